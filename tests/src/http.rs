//! `offwatch export`, and clients of it that may send what they like.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Netns, observer::offwatch};

/// A test must not hang.
const PATIENCE: Duration = Duration::from_secs(240);
const LISTENING: &str = "listening on ";

/// A running `offwatch export`.
pub struct Exporter {
    child: Child,
    ns: Netns,
    address: SocketAddr,
    /// What it says on stderr.
    lines: Mutex<Receiver<String>>,
}

impl Exporter {
    /// Starts it inside `ns`, on a port of loopback, and waits until it serves.
    pub fn start(ns: &Netns, args: &[&str]) -> Result<Self> {
        let mut command = offwatch(ns, &["export", "--listen", "127.0.0.1:0", "--no-advice"])?;
        command.args(args);
        Self::spawn(ns, command)
    }

    /// As [`Self::start`], of a command that may listen elsewhere.
    pub fn spawn(ns: &Netns, mut command: Command) -> Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("its stderr is a pipe")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines();
            lines
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        });
        let mut exporter = Self {
            child,
            ns: ns.clone(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            lines: Mutex::new(lines),
        };
        let line = exporter.line()?;
        let url = line.split_once(LISTENING).map(|(_, url)| url);
        let url = url.with_context(|| format!("it says: {line}"))?;
        let host = url.split('/').nth(2).context("a URL")?;
        exporter.address = host.parse().with_context(|| line.clone())?;
        Ok(exporter)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next line that it says.
    pub fn line(&self) -> Result<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.recv_timeout(PATIENCE);
        line.context("offwatch says nothing, or has ended")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), signal).context("kill")
    }

    /// Asks it to end, and waits.
    pub fn end(mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        self.child.wait().context("waiting for offwatch")
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// A number of bytes in `/proc/PID/status`, such as `VmRSS`.
    pub fn memory_bytes(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim_matches([':', ' ', '\t']).strip_suffix(" kB"));
        Ok(kib.context("no such number")?.trim().parse::<u64>()? * 1024)
    }

    /// Has the greatest memory measured from now on (`VmHWM`).
    pub fn reset_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(path, "5").context("resetting VmHWM")
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> Result<usize> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        Ok(open.count())
    }

    /// A connection to it.
    pub fn connect(&self) -> Result<TcpStream> {
        let address = self.address;
        let stream = self.ns.run(|| TcpStream::connect(address))?;
        let stream = stream.with_context(|| format!("connecting to {}", self.address))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// All that is answered to something.
    pub fn ask(&self, request: &[u8]) -> Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .context("reading the answer")?;
        String::from_utf8(answer).context("an answer of plain text")
    }

    /// A scrape: its series.
    pub fn scrape(&self) -> Result<Series> {
        series(&whole(&self.ask(SCRAPE)?)?)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request for metrics, the last of its connection.
pub const SCRAPE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\
    Accept: application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1\r\n\r\n";

/// Values of series, by their name with labels.
pub type Series = BTreeMap<String, f64>;

/// The body of an answer in chunks, if all of it is there.
pub fn whole(answer: &str) -> Result<String> {
    let (head, mut rest) = answer.split_once("\r\n\r\n").context("no head")?;
    ensure!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    ensure!(head.contains("\r\ntransfer-encoding: chunked"), "{head}");
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("cut off before a chunk")?;
        let size = usize::from_str_radix(size, 16).context("the size of a chunk")?;
        let chunk = after.get(..size).context("cut off in a chunk")?;
        body.push_str(chunk);
        rest = after[size..]
            .strip_prefix("\r\n")
            .context("no end of a chunk")?;
        if size == 0 {
            ensure!(rest.is_empty(), "something follows: {rest:.40}");
            return Ok(body);
        }
    }
}

/// The series of metrics in OpenMetrics' format.
pub fn series(metrics: &str) -> Result<Series> {
    let lines = metrics.strip_suffix("# EOF\n").context("no end")?;
    let mut series = Series::new();
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        let value = value.parse().with_context(|| line.to_owned())?;
        if series.insert(name.to_owned(), value).is_some() {
            bail!("{name} is there twice");
        }
    }
    ensure!(!series.is_empty(), "no series");
    Ok(series)
}

/// The value of a series.
pub fn value(series: &Series, name: &str) -> Result<f64> {
    let value = series.get(name).copied();
    value.with_context(|| format!("no series {name}"))
}

/// How many series a family has.
pub fn count(series: &Series, family: &str) -> usize {
    let of = |name: &&String| name.split('{').next() == Some(family);
    series.keys().filter(of).count()
}
