//! A real Prometheus, as Debian packages it, in a namespace of its own.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command::{ip_batch, run},
    netns::Netns,
    observer::offwatch,
    quiet::wait_until,
};

/// Where it listens, inside its namespace.
const LISTEN: &str = "127.0.0.1:9090";
/// On an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no Prometheus here, if so.
pub fn lacking() -> Option<String> {
    let mut version = Command::new("prometheus");
    let version = version.arg("--version").stdin(Stdio::null()).output();
    let error = version.err()?;
    Some(format!("prometheus cannot be run: {error}"))
}

/// A Prometheus that runs. It ends, and its data are gone, when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    ns: Netns,
    directory: TempDir,
}

impl Prometheus {
    /// Starts it inside `ns` with a configuration, see [`config`], and rule files as
    /// name and text; waits until it answers.
    pub fn start(ns: &Netns, config: &str, rule_files: &[(&str, &str)]) -> Result<Self> {
        let directory = TempDir::new().context("a directory for Prometheus")?;
        for (name, text) in rule_files.iter().chain(&[("prometheus.yml", config)]) {
            fs::write(directory.path().join(name), text)
                .with_context(|| format!("writing {name}"))?;
        }
        let log = fs::File::create(directory.path().join("log"))?;
        let child = ns
            .command("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={LISTEN}"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start prometheus")?;
        let mut prometheus = Self {
            child,
            ns: ns.clone(),
            directory,
        };
        wait_until("Prometheus answers", PATIENCE, || {
            if let Some(status) = prometheus.child.try_wait()? {
                bail!("prometheus ended, {status}: {}", prometheus.log()?);
            }
            Ok(prometheus.query("vector(1)").is_ok())
        })?;
        Ok(prometheus)
    }

    /// Its address, inside its namespace.
    pub fn url(&self) -> String {
        format!("http://{LISTEN}")
    }

    /// Its namespace.
    pub fn ns(&self) -> &Netns {
        &self.ns
    }

    /// What it has logged.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(self.directory.path().join("log")).context("Prometheus' log")
    }

    /// The answer to a query, now: of a vector a list of `{metric, value: [time,
    /// "text"]}`, of a matrix `values`.
    pub fn query(&self, query: &str) -> Result<Vec<Value>> {
        self.ask(&[], query)
    }

    /// The same at another time, in seconds since the epoch.
    pub fn query_at(&self, query: &str, unix_seconds: f64) -> Result<Vec<Value>> {
        self.ask(&[&format!("--time={unix_seconds:.3}")], query)
    }

    fn ask(&self, options: &[&str], query: &str) -> Result<Vec<Value>> {
        let url = self.url();
        let command = ["promtool", "query", "instant", "--format=json"];
        let argv: Vec<&str> = command.iter().chain(options).copied().collect();
        let text = run(&self.ns, &[&argv[..], &[&url, query]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("{query}: {text}"))
    }

    /// The only value of a query.
    pub fn value(&self, query: &str) -> Result<f64> {
        let result = self.query(query)?;
        ensure!(result.len() == 1, "{query}: {} results", result.len());
        number(&result[0])
    }

    /// Waits until it has scraped each of `targets` targets, from begin to end, after
    /// this call.
    pub fn wait_scraped(&self, targets: usize) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        // The time of a sample is that at which its scrape began.
        let query = format!("timestamp(up) > {:.3} and up == 1", now.as_secs_f64());
        let scraped = wait_until("Prometheus has scraped", PATIENCE, || {
            Ok(self.query(&query)?.len() >= targets)
        });
        scraped.with_context(|| format!("targets: {:?}", self.query("up")))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of one result of a vector.
pub fn number(result: &Value) -> Result<f64> {
    let text = result["value"][1].as_str();
    let text = text.with_context(|| format!("no value: {result}"))?;
    text.parse().with_context(|| format!("no number: {result}"))
}

/// A configuration that scrapes targets (`interval` such as `1s`), with rule files.
pub fn config(interval: &str, targets: &[SocketAddr], rule_files: &[&str]) -> String {
    let mut text = format!(
        "global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\n  \
         evaluation_interval: {interval}\n"
    );
    if !rule_files.is_empty() {
        let _ = writeln!(text, "rule_files: {rule_files:?}");
    }
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let _ = write!(
        text,
        "scrape_configs:\n- job_name: offwatch\n  static_configs:\n  - targets: {targets:?}\n"
    );
    text
}

/// Connects `ns` to Prometheus' namespace by a veth pair, of which there may be up to
/// 62: `number` counts from 1. The address of `ns` there, where an exporter may listen.
/// Nothing else is reached by it.
pub fn connect(prometheus: &Netns, ns: &Netns, number: u8) -> Result<Ipv4Addr> {
    const DEVICE: &str = "scrape";
    let [own, other] = [2, 1].map(|last| Ipv4Addr::new(192, 0, 2, 4 * number + last));
    let beyond = format!("{DEVICE}{number}");
    let path = prometheus.path();
    let path = path.to_str().context("a path of plain text")?;
    let pair = format!("ip link add {DEVICE} type veth peer name {beyond} netns {path}");
    run(ns, &pair.split(' ').collect::<Vec<_>>())?;
    for (ns, device, address) in [(ns, DEVICE, own), (prometheus, &*beyond, other)] {
        ns.sysctl(&[(&format!("net/ipv6/conf/{device}/disable_ipv6"), "1")])?;
        let lines = [
            format!("addr add {address}/30 dev {device}"),
            format!("link set {device} up"),
        ];
        ip_batch(ns, &lines)?;
    }
    Ok(own)
}

/// An `offwatch export` that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Exporter {
    /// Starts it inside `ns`.
    pub fn start(ns: &Netns, address: SocketAddr, args: &[&str]) -> Result<Self> {
        Self::spawn(offwatch(ns, &[])?, address, args)
    }

    /// Starts it by a command that is offwatch without arguments.
    pub fn spawn(mut command: Command, address: SocketAddr, args: &[&str]) -> Result<Self> {
        command.args(["export", "--insecure", "--listen"]);
        command.arg(address.to_string()).args(args);
        let child = command.spawn().context("cannot start offwatch export")?;
        Ok(Self { child, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it with SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill offwatch")?;
        self.child.wait().context("cannot wait for offwatch")?;
        Ok(())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
