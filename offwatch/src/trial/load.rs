//! A load of the trial's own, for a lab that has no other.

use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use netlink_sys::protocols::NETLINK_ROUTE;

use super::path;
use crate::inventory::setup::{
    self, Route,
    route::{self, Outgoing},
};

/// Longest wait for a listener.
const CONNECT: Duration = Duration::from_secs(5);
/// A write or sleep takes no longer, so that the end is seen soon.
const TICK: Duration = Duration::from_millis(20);
/// What was not sent in time for longer than this, is not sent later either.
const LATEST: Duration = Duration::from_millis(100);
/// TCP makes full super-frames of it.
const LARGEST_WRITE_BYTES: usize = 64 << 10;
const SMALLEST_WRITE_BYTES: usize = 1448;

/// Why there is no load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The network namespace is the host's.
    #[error(
        "--load is for a lab in a network namespace of its own; on a host, a trial only \
         watches what flows"
    )]
    NotALab,
    /// The interface is of a VM.
    #[error("--load is not for VMs, and {dev} is an interface of {vm}")]
    OfVm {
        /// The interface.
        dev: String,
        /// The VM.
        vm: String,
    },
    /// Frames to the address leave elsewhere.
    #[error("--load: frames to {to} do not leave by {dev}")]
    Elsewhere {
        /// Where the load is to go.
        to: SocketAddr,
        /// The interface.
        dev: String,
    },
    /// Nobody listens, or the connection broke.
    #[error("--load: TCP to {to}: {reason}")]
    Connection {
        /// Where the load is to go.
        to: SocketAddr,
        /// What is wrong.
        reason: String,
    },
    /// The kernel does not tell where frames leave.
    #[error("--load: cannot tell where frames to {to} leave: {source}")]
    Route {
        /// Where the load is to go.
        to: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A TCP stream that is sent until this is dropped.
#[derive(Debug)]
pub struct Load {
    to: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    broken: OnceLock<String>,
}

impl Load {
    /// Connects and sends at most `bits_per_s` of payload, if frames to `to` leave by
    /// the interface `ifindex`, also as a port of a bridge. `vm` is the VM whose
    /// interface it is, if any.
    pub fn start(
        to: SocketAddr,
        bits_per_s: u64,
        ifindex: u32,
        vm: Option<&str>,
    ) -> Result<Self, LoadError> {
        if !is_lab() {
            return Err(LoadError::NotALab);
        }
        if let Some(vm) = vm {
            let dev = name(ifindex);
            let vm = vm.to_owned();
            return Err(LoadError::OfVm { dev, vm });
        }
        leaves_by(to, ifindex)?;
        let connection = |error: io::Error| LoadError::Connection {
            to,
            reason: error.to_string(),
        };
        let stream = TcpStream::connect_timeout(&to, CONNECT).map_err(connection)?;
        stream.set_write_timeout(Some(TICK)).map_err(connection)?;
        // A bridge may have learned only now where it is.
        leaves_by(to, ifindex)?;
        let shared = Arc::new(Shared::default());
        let sender = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("load".into())
            .spawn(move || {
                if let Err(error) = send(stream, bits_per_s, &sender.stop) {
                    // Nobody else sets it.
                    let _ = sender.broken.set(error.to_string());
                }
            })
            .map_err(connection)?;
        Ok(Self {
            to,
            shared,
            thread: Some(thread),
        })
    }

    /// An error if it is not sent any more.
    pub fn check(&self) -> Result<(), LoadError> {
        match self.shared.broken.get() {
            None => Ok(()),
            Some(reason) => Err(LoadError::Connection {
                to: self.to,
                reason: reason.clone(),
            }),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic, and there is nothing to tell any more.
            let _ = thread.join();
        }
    }
}

/// The network namespace of this thread is neither the kernel's first one nor that of
/// the first process.
fn is_lab() -> bool {
    // A switch that only the first one has. Who may not read a link of the first
    // process may read this.
    let is_first = fs::exists("/proc/sys/net/core/netdev_max_backlog");
    let inode = |process: &str| fs::metadata(format!("/proc/{process}/ns/net")).map(|of| of.ino());
    let Ok(own) = inode("thread-self") else {
        return false;
    };
    let is_hosts = inode("1").is_ok_and(|first| first == own);
    !is_first.unwrap_or(true) && !is_hosts
}

fn leaves_by(to: SocketAddr, ifindex: u32) -> Result<(), LoadError> {
    let way = || {
        let mut requests = Route::open(NETLINK_ROUTE)?;
        let by = match to {
            SocketAddr::V6(to) if to.scope_id() != 0 => Some(to.scope_id()),
            _ => None,
        };
        let outgoing = Outgoing {
            to: to.ip(),
            from: None,
            by,
        };
        let hop = route::hop(&mut requests, outgoing)?;
        let devices = setup::stacked()?.into_iter();
        let devices = devices.map(|device| (device.ifindex, device)).collect();
        path::of_hops(&mut requests, &devices, hop.as_slice())
    };
    let passed = way().map_err(|source| LoadError::Route { to, source })?;
    if passed.surely.contains(&ifindex) || passed.perhaps.contains_key(&ifindex) {
        return Ok(());
    }
    let dev = name(ifindex);
    Err(LoadError::Elsewhere { to, dev })
}

fn name(ifindex: u32) -> String {
    let name = nix::net::if_::if_indextoname(ifindex);
    name.map_or_else(
        |_| format!("interface {ifindex}"),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Sends until it is to stop.
fn send(mut stream: TcpStream, bits_per_s: u64, stop: &AtomicBool) -> io::Result<()> {
    let bytes_per_s = bits_per_s as f64 / 8.0;
    let most = (bytes_per_s * TICK.as_secs_f64() / 2.0) as usize;
    let block = vec![0x5a; most.clamp(SMALLEST_WRITE_BYTES, LARGEST_WRITE_BYTES)];
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if let Some(early) = due
            .checked_duration_since(now)
            .filter(|early| !early.is_zero())
        {
            thread::sleep(early.min(TICK));
            continue;
        }
        let sent = match stream.write(&block) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => bytes,
            Err(error) if is_tick(&error) => 0,
            Err(error) => return Err(error),
        };
        due = due.max(now.checked_sub(LATEST).unwrap_or(now));
        due += Duration::from_secs_f64(sent as f64 / bytes_per_s);
    }
    Ok(())
}

fn is_tick(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
