//! Datagrams of 64 bytes from a socket in one guest to a socket in another, with all that
//! happens in between done by one thread: the sender, what carries frames between guests
//! and taps, the host's bridge, the receiver.
//!
//! With a thread for each, on few processors, what arrives is what the scheduler leaves to
//! the receiver: it differs by more than a half from turn to turn.

use std::{
    net::{SocketAddr, UdpSocket},
    os::fd::OwnedFd,
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    time::ClockId,
    unistd::{read, write},
};

use crate::{
    GuestConfig, Netns,
    bench::{path::time, pin},
    command::{bridge_batch, ip_batch},
    guest::{self, GUEST_DEVICE},
    host::BRIDGE,
    link,
    tap::Tap,
};

/// Payload with which a datagram over IPv4 is a frame of 64 bytes.
const PAYLOAD: [u8; 22] = [0; 22];
const PORT: u16 = 5201;
/// Datagrams that wait at each station; a socket has room for more by default.
const BATCH: usize = 128;
const BATCHES: usize = 200;
/// Larger than any frame here, with its header.
const BUFFER_BYTES: usize = 4096;

/// A guest without the threads that carry its frames.
struct End {
    ns: Netns,
    config: GuestConfig,
    host_tap: Tap,
    guest_tap: Tap,
}

/// Both guests and their host.
pub(super) struct Flood {
    host: Netns,
    ends: [End; 2],
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Flood {
    pub(super) fn new() -> Result<Self> {
        let host = Netns::new()?;
        link::add_bridge(&host, BRIDGE)?;
        ip_batch(&host, &[format!("link set {BRIDGE} up")])?;
        let ends = [end(&host, "from", 1)?, end(&host, "to", 2)?];
        for (own, other) in [(0, 1), (1, 0)] {
            let mac = guest::format_mac(ends[other].config.mac);
            let (ip, tap) = (ends[other].config.ip4, &ends[other].config.tap);
            let neighbour = format!("neigh replace {ip} lladdr {mac} dev {GUEST_DEVICE}");
            ip_batch(&ends[own].ns, &[neighbour])?;
            bridge_batch(&host, &[format!("fdb add {mac} dev {tap} master static")])?;
        }
        let bound = |end: &End| {
            let address = SocketAddr::from((end.config.ip4, PORT));
            end.ns
                .try_run(|| UdpSocket::bind(address).context("a socket"))
        };
        let (sender, receiver) = (bound(&ends[0])?, bound(&ends[1])?);
        sender.connect((ends[1].config.ip4, PORT))?;
        receiver.set_nonblocking(true)?;
        Ok(Self {
            host,
            ends,
            sender,
            receiver,
        })
    }

    pub(super) fn host(&self) -> &Netns {
        &self.host
    }

    /// Thousands of packets that a processor takes all the way in a second: of the
    /// batches the first quartile, as interrupts and neighbours only ever add.
    pub(super) fn rate(&self) -> Result<f64> {
        // A thread of its own, as others must not be bound.
        self.host.try_run(|| {
            pin()?;
            let mut buffer = vec![0; BUFFER_BYTES];
            let batches = (0..BATCHES).map(|_| self.batch(&mut buffer));
            let mut batches = batches.collect::<Result<Vec<f64>>>()?;
            batches.sort_by(f64::total_cmp);
            Ok(1e6 / batches[BATCHES / 4])
        })
    }

    /// Nanoseconds a packet.
    fn batch(&self, buffer: &mut [u8]) -> Result<f64> {
        let start = time(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        for _ in 0..BATCH {
            self.sender.send(&PAYLOAD).context("sending")?;
        }
        let [from, to] = &self.ends;
        carry(&from.guest_tap, &from.host_tap, buffer)?;
        carry(&to.host_tap, &to.guest_tap, buffer)?;
        let mut received = 0;
        while self.receiver.recv(buffer).is_ok() {
            received += 1;
        }
        let spent = time(ClockId::CLOCK_THREAD_CPUTIME_ID)? - start;
        ensure!(
            received == BATCH,
            "of {BATCH} packets {received} came through"
        );
        Ok(spent.as_nanos() as f64 / BATCH as f64)
    }
}

fn end(host: &Netns, name: &str, index: u16) -> Result<End> {
    let config = GuestConfig::new(name, index);
    let (ns, host_tap, guest_tap) = guest::connect(host, &config)?;
    Ok(End {
        ns,
        config,
        host_tap,
        guest_tap,
    })
}

/// All frames that wait, with their headers.
fn carry(from: &Tap, to: &Tap, buffer: &mut [u8]) -> Result<()> {
    let (from, to) = (queue(from)?, queue(to)?);
    loop {
        match read(from, buffer) {
            Ok(bytes) => write(to, &buffer[..bytes]).context("sending a frame")?,
            Err(Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(error).context("receiving a frame"),
        };
    }
}

fn queue(tap: &Tap) -> Result<&OwnedFd> {
    tap.queues().first().context("no queue")
}
