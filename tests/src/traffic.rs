//! TCP between endpoints: one bounded, verified transfer, or a steady flow.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::guest::{Endpoint, Family};
use crate::sockopt;

/// Bytes of each write, large enough that TCP makes full super-frames.
const BLOCK_BYTES: usize = 64 * 1024;

/// Long enough for a machine that is loaded, and emulated, too.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);

/// Longest sleep of a paced sender, so that it notices a stop soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct TcpOptions {
    /// Address family.
    pub family: Family,
    /// Payload bytes.
    pub bytes: u64,
    /// Upper limit of the segment size, as a low-MTU path would set it.
    pub max_segment_bytes: Option<u16>,
    /// Upper limit of the rate of payload.
    pub bits_per_second: Option<u64>,
    /// The whole transfer fails when it takes longer.
    pub timeout: Duration,
}

impl TcpOptions {
    /// `bytes` over `family` as fast as possible, within 240 s.
    pub fn new(family: Family, bytes: u64) -> Self {
        Self {
            family,
            bytes,
            max_segment_bytes: None,
            bits_per_second: None,
            timeout: LIMIT,
        }
    }
}

/// Outcome of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    /// Payload bytes that arrived intact.
    pub bytes: u64,
    /// From connect to end of stream.
    pub elapsed: Duration,
}

impl Transfer {
    /// Rate of payload.
    pub fn bits_per_second(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.elapsed.as_secs_f64()
    }
}

/// Sends one stream and checks that every byte arrived unchanged.
pub fn tcp_stream(from: &Endpoint, to: &Endpoint, options: &TcpOptions) -> Result<Transfer> {
    let deadline = Instant::now() + options.timeout;
    let listener = listen(to, options)?;
    let address = listener.local_addr()?;
    let progress = Progress::default();

    let (elapsed, received) = thread::scope(|scope| {
        let receiver = scope.spawn(|| -> Result<u64> {
            let (stream, _) = listener.accept().context("accept")?;
            receive(stream, deadline, &progress)
        });
        let started = Instant::now();
        let sent = from.ns.try_run(|| {
            let stream = connect(address, options.timeout)?;
            send(stream, options, deadline, &progress)
        });
        if sent.is_err() {
            // The other side need not wait for the rest.
            progress.stop.store(true, Ordering::Release);
        }
        let received = receiver
            .join()
            .map_err(|_| anyhow!("the receiver panicked"));
        sent?;
        anyhow::Ok((started.elapsed(), received??))
    })
    .with_context(|| format!("TCP to {address}"))?;

    if received != options.bytes {
        bail!("TCP to {address}: {received} of {} bytes", options.bytes);
    }
    Ok(Transfer {
        bytes: received,
        elapsed,
    })
}

/// A TCP stream that runs until dropped.
#[derive(Debug)]
pub struct TcpFlow {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl TcpFlow {
    /// Starts a flow; `bytes` and `timeout` of the options do not apply.
    pub fn start(from: &Endpoint, to: &Endpoint, options: TcpOptions) -> Result<Self> {
        const CONNECT: Duration = Duration::from_secs(60);
        let options = TcpOptions {
            bytes: u64::MAX,
            timeout: CONNECT,
            ..options
        };
        let forever = Instant::now() + Duration::from_secs(365 * 24 * 3600);
        let listener = listen(to, &options)?;
        let address = listener.local_addr()?;
        let stream = from.ns.try_run(|| connect(address, CONNECT))?;
        let (peer, _) = listener.accept().context("accept")?;

        let progress = Arc::new(Progress::default());
        let mut flow = Self {
            progress: Arc::clone(&progress),
            threads: Vec::new(),
        };
        let receiver = Arc::clone(&progress);
        flow.threads.push(
            thread::Builder::new()
                .name("flow-rx".into())
                .spawn(move || receive(peer, forever, &receiver).map(drop))?,
        );
        flow.threads.push(
            thread::Builder::new()
                .name("flow-tx".into())
                .spawn(move || send(stream, &options, forever, &progress))?,
        );
        Ok(flow)
    }

    /// Payload bytes that have arrived.
    pub fn received_bytes(&self) -> u64 {
        self.progress.received_bytes.load(Ordering::Relaxed)
    }

    /// Ends the flow; an error of either side is reported.
    pub fn stop(mut self) -> Result<u64> {
        self.finish()?;
        Ok(self.received_bytes())
    }

    fn finish(&mut self) -> Result<()> {
        self.progress.stop.store(true, Ordering::Release);
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            let ended = thread.join().map_err(|_| anyhow!("a flow panicked"));
            result = result.and(ended.and_then(|ended| ended));
        }
        result
    }
}

impl Drop for TcpFlow {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.finish();
    }
}

#[derive(Debug, Default)]
struct Progress {
    stop: AtomicBool,
    received_bytes: AtomicU64,
}

fn listen(to: &Endpoint, options: &TcpOptions) -> Result<TcpListener> {
    let address = SocketAddr::new(to.ip(options.family), 0);
    let listener = to
        .ns
        .run(|| TcpListener::bind(address))?
        .with_context(|| format!("listening on {address}"))?;
    sockopt::receive_timeout(&listener, options.timeout)?;
    if let Some(bytes) = options.max_segment_bytes {
        sockopt::max_segment(&listener, bytes)?;
    }
    Ok(listener)
}

fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream> {
    TcpStream::connect_timeout(&address, timeout).with_context(|| format!("connect to {address}"))
}

/// The stream repeats one block, so that a misplaced byte is noticed.
fn block() -> Vec<u8> {
    (0..BLOCK_BYTES).map(|i| (i % 251) as u8).collect()
}

/// Blocking calls return now and then, so that stop and deadline are seen.
const TICK: Duration = Duration::from_millis(50);

fn is_tick(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn send(
    mut stream: TcpStream,
    options: &TcpOptions,
    deadline: Instant,
    progress: &Progress,
) -> Result<()> {
    stream.set_write_timeout(Some(TICK))?;
    let block = block();
    let started = Instant::now();
    let mut sent_bytes: u64 = 0;
    while sent_bytes < options.bytes {
        if progress.stop.load(Ordering::Acquire) {
            break;
        }
        if Instant::now() >= deadline {
            bail!("sent only {sent_bytes} bytes in time");
        }
        if let Some(rate) = options.bits_per_second {
            let due = Duration::from_secs_f64(sent_bytes as f64 * 8.0 / rate as f64);
            if let Some(early) = due.checked_sub(started.elapsed()) {
                thread::sleep(early.min(LONGEST_SLEEP));
                if early > LONGEST_SLEEP {
                    continue;
                }
            }
        }
        let at = (sent_bytes % BLOCK_BYTES as u64) as usize;
        let left = (options.bytes - sent_bytes).min((BLOCK_BYTES - at) as u64) as usize;
        match stream.write(&block[at..at + left]) {
            Ok(bytes) => sent_bytes += bytes as u64,
            Err(error) if is_tick(&error) => {}
            // The receiver may have stopped first, if this thread came late.
            Err(_) if progress.stop.load(Ordering::Acquire) => break,
            Err(error) => return Err(error).context("sending"),
        }
    }
    match stream.shutdown(Shutdown::Write) {
        Err(_) if progress.stop.load(Ordering::Acquire) => Ok(()),
        result => result.context("shutdown"),
    }
}

fn receive(mut stream: TcpStream, deadline: Instant, progress: &Progress) -> Result<u64> {
    stream.set_read_timeout(Some(TICK))?;
    let expected = block();
    let mut buffer = vec![0; 4 * BLOCK_BYTES];
    let mut received_bytes: u64 = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(received_bytes),
            Ok(bytes) => {
                let mut rest = &buffer[..bytes];
                while !rest.is_empty() {
                    let at = (received_bytes % BLOCK_BYTES as u64) as usize;
                    let (part, next) = rest.split_at(rest.len().min(BLOCK_BYTES - at));
                    if part != &expected[at..at + part.len()] {
                        bail!("bytes after {received_bytes} were changed on the way");
                    }
                    received_bytes += part.len() as u64;
                    rest = next;
                }
                progress
                    .received_bytes
                    .store(received_bytes, Ordering::Relaxed);
            }
            // On a stop the sender ends the stream; a tick without data then
            // means that the path is dead.
            Err(error) if is_tick(&error) => {
                if progress.stop.load(Ordering::Acquire) {
                    return Ok(received_bytes);
                }
            }
            Err(error) => return Err(error).context("receiving"),
        }
        if Instant::now() >= deadline {
            bail!("received only {received_bytes} bytes in time");
        }
    }
}
