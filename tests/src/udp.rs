//! UDP between endpoints, without loss by construction or with loss on
//! purpose.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::guest::{Endpoint, Family};
use crate::sockopt;
use crate::traffic::LIMIT;

/// Receive buffer: more than a whole window of datagrams, whatever the
/// kernel charges for each.
const RECEIVE_BUFFER_BYTES: usize = 32 << 20;

/// Bytes of one write with `UDP_SEGMENT`, below the IP limit.
const USO_WRITE_BYTES: usize = 60_000;

/// Segments that the kernel accepts in one write (64 before 6.9).
const USO_MAX_SEGMENTS: usize = 64;

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct UdpOptions {
    /// Address family.
    pub family: Family,
    /// Datagrams that shall arrive.
    pub datagrams: u64,
    /// Payload bytes of each.
    pub payload_bytes: u16,
    /// Hand many datagrams to the kernel at once (`UDP_SEGMENT`).
    pub segmentation: bool,
    /// Datagrams on their way at most. The sender learns of arrivals behind
    /// the network's back, so nothing overflows.
    pub window: u64,
    /// The whole transfer fails when it takes longer.
    pub timeout: Duration,
}

impl UdpOptions {
    /// `datagrams` of `payload_bytes` over `family`, within 240 s.
    pub fn new(family: Family, datagrams: u64, payload_bytes: u16) -> Self {
        Self {
            family,
            datagrams,
            payload_bytes,
            segmentation: false,
            window: 512,
            timeout: LIMIT,
        }
    }

    /// Datagrams of each write.
    fn per_write(&self) -> u64 {
        if !self.segmentation {
            return 1;
        }
        let fitting = USO_WRITE_BYTES / usize::from(self.payload_bytes).max(1);
        fitting.clamp(1, USO_MAX_SEGMENTS) as u64
    }
}

/// Sends datagrams and waits until each has arrived; a lost or misshapen one
/// is an error.
pub fn udp_stream(from: &Endpoint, to: &Endpoint, options: &UdpOptions) -> Result<()> {
    let deadline = Instant::now() + options.timeout;
    let sink = bind(to, options.family)?;
    sockopt::receive_timeout(&sink, Duration::from_millis(50))?;
    sockopt::receive_buffer(&sink, RECEIVE_BUFFER_BYTES)?;
    let address = sink.local_addr()?;
    let source = connected(from, address)?;
    if options.segmentation {
        sockopt::udp_segment(&source, options.payload_bytes)?;
    }

    let arrived = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&sink, options, deadline, &arrived, &failed));
        let sent = send(&source, options, deadline, &arrived, &failed);
        if sent.is_err() {
            failed.store(true, Ordering::Release);
        }
        let received = receiver
            .join()
            .map_err(|_| anyhow!("the receiver panicked"));
        sent?;
        received?
    })
    .with_context(|| format!("UDP to {address}"))
}

/// Sends datagrams without caring whether they arrive. Returns the socket
/// they are for: while it lives, the receiver answers no ICMP errors.
pub fn udp_blast(
    from: &Endpoint,
    to: &Endpoint,
    family: Family,
    datagrams: u64,
    payload_bytes: u16,
) -> Result<UdpSocket> {
    let sink = bind(to, family)?;
    let source = connected(from, sink.local_addr()?)?;
    let payload = vec![0x5a; payload_bytes.into()];
    for _ in 0..datagrams {
        source.send(&payload).context("sending")?;
    }
    Ok(sink)
}

fn bind(at: &Endpoint, family: Family) -> Result<UdpSocket> {
    let address = SocketAddr::new(at.ip(family), 0);
    at.ns
        .run(|| UdpSocket::bind(address))?
        .with_context(|| format!("binding to {address}"))
}

fn connected(from: &Endpoint, address: SocketAddr) -> Result<UdpSocket> {
    let family = if address.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    };
    let socket = bind(from, family)?;
    socket
        .connect(address)
        .with_context(|| format!("connecting to {address}"))?;
    Ok(socket)
}

fn send(
    socket: &UdpSocket,
    options: &UdpOptions,
    deadline: Instant,
    arrived: &AtomicU64,
    failed: &AtomicBool,
) -> Result<()> {
    let per_write = options.per_write();
    let payload_bytes = u64::from(options.payload_bytes);
    let buffer = vec![0x5a; (per_write * payload_bytes) as usize];
    let mut sent = 0;
    while sent < options.datagrams {
        // A window below one write would never open.
        while sent + per_write > arrived.load(Ordering::Acquire) + options.window.max(per_write) {
            if failed.load(Ordering::Acquire) {
                // The receiver says why.
                return Ok(());
            }
            if Instant::now() >= deadline {
                let arrived = arrived.load(Ordering::Acquire);
                bail!("sent only {sent} datagrams in time, {arrived} arrived");
            }
            thread::sleep(Duration::from_micros(50));
        }
        let now = per_write.min(options.datagrams - sent);
        socket
            .send(&buffer[..(now * payload_bytes) as usize])
            .context("sending")?;
        sent += now;
    }
    Ok(())
}

fn receive(
    socket: &UdpSocket,
    options: &UdpOptions,
    deadline: Instant,
    arrived: &AtomicU64,
    failed: &AtomicBool,
) -> Result<()> {
    let mut buffer = vec![0; 65536];
    for count in 0..options.datagrams {
        let bytes = loop {
            match socket.recv(&mut buffer) {
                Ok(bytes) => break bytes,
                Err(_) if failed.load(Ordering::Acquire) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    failed.store(true, Ordering::Release);
                    return Err(error).with_context(|| {
                        format!("{count} of {} datagrams arrived", options.datagrams)
                    });
                }
                // The receive timeout, there to look at the deadline.
                Err(_) => {}
            }
        };
        if bytes != usize::from(options.payload_bytes) {
            failed.store(true, Ordering::Release);
            bail!("a datagram of {bytes} bytes arrived");
        }
        arrived.store(count + 1, Ordering::Release);
    }
    Ok(())
}
