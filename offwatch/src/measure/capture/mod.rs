//! A capture of TCP headers at a few interfaces, in a thread of its own. Nothing is
//! left of it when it ends, however it ends.

mod filter;
mod ring;

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};

use self::ring::Ring;
use super::tcp::{Direction, Segment, TcpCount, Tracker};
use crate::clock;

/// Interfaces that are captured at once: each takes 4 MiB of the kernel's memory.
pub const MOST_INTERFACES: usize = 32;

/// By then a frame has been seen: the kernel looks at the block that it fills once in
/// its time, and hands it over the next time.
pub const SEEN_AFTER: Duration = Duration::from_millis(3 * ring::RETIRE_MS as u64);

/// What was captured at one interface since the capture began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Received from it.
    pub ingress: TcpCount,
    /// Sent to it.
    pub egress: TcpCount,
    /// Frames of TCP that passed unseen, as the ring was full.
    pub lost_frames: u64,
    /// Payload of each connection, by a number that is the same at all interfaces.
    pub flows: HashMap<u64, u64>,
}

/// A running capture.
pub struct Capture {
    ports: HashMap<u32, Result<Port, Arc<str>>>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

struct Port {
    socket: OwnedFd,
    tracker: Arc<Mutex<Tracker>>,
    lost_frames: u64,
}

impl Capture {
    /// Begins to capture at interfaces of this network namespace.
    pub fn start(ifindexes: impl IntoIterator<Item = u32>) -> io::Result<Self> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let mut rings = Vec::new();
        let mut ports = HashMap::new();
        for ifindex in ifindexes {
            let port = match rings.len() < MOST_INTERFACES {
                true => open(ifindex, &mut rings).map_err(|error| refused(&error).into()),
                false => {
                    Err(format!("only {MOST_INTERFACES} interfaces are captured at once").into())
                }
            };
            ports.insert(ifindex, port);
        }
        let until = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("capture".into())
            .spawn(move || run(rings, &until))?;
        Ok(Self {
            ports,
            stop,
            thread: Some(thread),
        })
    }

    /// What was captured at an interface, or why nothing is.
    pub fn read(&mut self, ifindex: u32) -> Result<Captured, Arc<str>> {
        let port = self.port(ifindex)?;
        let tracker = lock(&port.tracker);
        Ok(Captured {
            ingress: tracker.count(Direction::Ingress),
            egress: tracker.count(Direction::Egress),
            lost_frames: port.lost_frames,
            flows: tracker.flows(),
        })
    }
}

impl Capture {
    /// Has what passed until now told by [`Self::read_marked`], though it is seen
    /// later.
    pub fn mark(&mut self) {
        let at_ns = clock::realtime_ns();
        for port in self.ports.values().flatten() {
            lock(&port.tracker).mark(at_ns);
        }
    }

    /// What was captured at an interface by the last mark, without its connections, and
    /// whether that is certain. If nothing has passed since it never is: after
    /// [`SEEN_AFTER`] it is all there was.
    pub fn read_marked(&mut self, ifindex: u32) -> Result<(Captured, bool), Arc<str>> {
        let port = self.port(ifindex)?;
        let tracker = lock(&port.tracker);
        let (ingress, is_certain) = tracker.marked(Direction::Ingress);
        let (egress, _) = tracker.marked(Direction::Egress);
        let captured = Captured {
            ingress,
            egress,
            lost_frames: port.lost_frames,
            flows: HashMap::new(),
        };
        Ok((captured, is_certain))
    }

    /// A captured interface, with what was lost by now.
    fn port(&mut self, ifindex: u32) -> Result<&mut Port, Arc<str>> {
        let port = match self.ports.get_mut(&ifindex) {
            Some(Ok(port)) => port,
            Some(Err(reason)) => return Err(Arc::clone(reason)),
            None => return Err(Arc::from("it is not captured")),
        };
        port.lost_frames += ring::lost(&port.socket).map_err(|error| refused(&error))?;
        Ok(port)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It fails only if the thread has been told 2^64 times.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(ifindex: u32, rings: &mut Vec<(Ring, Arc<Mutex<Tracker>>)>) -> io::Result<Port> {
    let ring = Ring::open(ifindex)?;
    let socket = ring.socket()?;
    let tracker = Arc::default();
    rings.push((ring, Arc::clone(&tracker)));
    Ok(Port {
        socket,
        tracker,
        lost_frames: 0,
    })
}

fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "a capture takes CAP_NET_RAW".into(),
        _ => format!("it cannot be captured: {error}"),
    }
}

fn lock(tracker: &Mutex<Tracker>) -> MutexGuard<'_, Tracker> {
    tracker.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(mut rings: Vec<(Ring, Arc<Mutex<Tracker>>)>, stop: &EventFd) {
    loop {
        let mut waiting = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        let fds = rings.iter().map(|(ring, _)| ring.fd());
        waiting.extend(fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let polled = poll(&mut waiting, PollTimeout::NONE);
        if polled.is_err_and(|error| error != nix::Error::EINTR) {
            return;
        }
        if waiting[0].any() != Some(false) {
            return;
        }
        for (ring, tracker) in &mut rings {
            ring.forget_error();
            // Not more of one than it can hold: the others wait.
            for _ in 0..ring::BLOCKS {
                if !ring.drain(|frame| take(frame, tracker)) {
                    break;
                }
            }
        }
    }
}

fn take(frame: ring::Frame<'_>, tracker: &Mutex<Tracker>) {
    let Some(segment) = Segment::parse(frame.start, frame.bytes, frame.gso_size) else {
        return;
    };
    let direction = match frame.is_egress {
        true => Direction::Egress,
        false => Direction::Ingress,
    };
    let mut tracker = lock(tracker);
    tracker.frame(direction, frame.bytes as u64, frame.at_ns);
    tracker.pass(direction, &segment, frame.at_ns);
}
