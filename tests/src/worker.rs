//! One queue of a relay: a thread that copies frames both ways and counts.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::write;

use crate::port::{Packet, Port, is_readable, read_packet};
use crate::tap::Tap;
use crate::truth::Truth;
use crate::vnet::{VNET_HDR_BYTES, VnetHdr};

/// Largest thing a tap hands out: a super-frame at the kernel's largest
/// `gso_max_size` in practice, with room for headers.
pub(crate) const BUFFER_BYTES: usize = 256 * 1024 + VNET_HDR_BYTES;

/// Frames copied in one direction before the other gets its turn.
const BATCH_FRAMES: usize = 64;

/// State shared by the workers of one relay and its handle.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host_tap: Tap,
    pub(crate) guest_tap: Tap,
    pub(crate) lanes: Vec<Lane>,
    /// While set, no frame is read from the host tap.
    pub(crate) paused: AtomicBool,
    pub(crate) stop: AtomicBool,
}

/// Counters of one queue. A lock is held from reading a frame to handing it
/// on, so whoever holds it sees exactly what the kernel has counted and no
/// frame halfway. One pair a queue: queues must not wait for each other.
#[derive(Debug)]
pub(crate) struct Lane {
    from_vm: Mutex<Truth>,
    to_vm: Mutex<Truth>,
    /// Used under the lock of the direction.
    port: Port,
    wake: EventFd,
    /// Why the worker ended before it was told to.
    failure: Mutex<Option<String>>,
}

impl Lane {
    pub(crate) fn new(port: Port) -> Result<Self> {
        Ok(Self {
            port,
            from_vm: Mutex::default(),
            to_vm: Mutex::default(),
            wake: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .context("eventfd")?,
            failure: Mutex::default(),
        })
    }

    pub(crate) fn lock_from_vm(&self) -> MutexGuard<'_, Truth> {
        // Counters stay usable after a panic in another thread.
        self.from_vm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_to_vm(&self) -> MutexGuard<'_, Truth> {
        self.to_vm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    pub(crate) fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the worker look at `paused` and `stop`.
    pub(crate) fn wake(&self) {
        // Only fails when the counter is full, and then it is readable anyway.
        let _ = self.wake.write(1);
    }
}

impl Shared {
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Whether no frame waits in a ring or is halfway. A ring that is not
    /// drained on purpose does not count.
    pub(crate) fn is_idle(&self) -> Result<bool> {
        for (lane, guest) in self.lanes.iter().zip(self.guest_tap.queues()) {
            let _halfway = (lane.lock_from_vm(), lane.lock_to_vm());
            if is_readable(guest)? || !(self.is_paused() || lane.port.is_empty()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stops lane `index`, and hands on what it has moved out of the tap's ring:
    /// `truth`, of the direction to the VM, is then what the kernel has counted.
    pub(crate) fn stop_lane(&self, index: usize, truth: &mut Truth) -> Result<()> {
        let port = &self.lanes[index].port;
        port.stop()?;
        if matches!(port, Port::Tap(_) | Port::Plain(_)) {
            return Ok(());
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        while self.hand_on(index, truth, &mut buffer)? {}
        Ok(())
    }

    /// Takes one packet to the guest of queue `index`; false if there is none.
    fn hand_on(&self, index: usize, truth: &mut Truth, buffer: &mut [u8]) -> Result<bool> {
        let packet = match self.lanes[index].port.take(buffer)? {
            Packet::Some(packet) => packet,
            Packet::Refused => {
                truth.undelivered_frames += 1;
                return Ok(true);
            }
            Packet::None => return Ok(false),
        };
        if let Some((header, frame)) = VnetHdr::split(packet) {
            truth.count(header, frame);
        }
        if write(&self.guest_tap.queues()[index], packet).is_err() {
            truth.undelivered_frames += 1;
        }
        Ok(true)
    }
}

/// Copies frames of queue `index` until told to stop. An early end is kept
/// for whoever looks at the counters.
pub(crate) fn run(shared: &Arc<Shared>, index: usize) {
    if let Err(error) = copy(shared, index) {
        *shared.lanes[index].failure() = Some(format!("{error:#}"));
    }
}

fn copy(shared: &Arc<Shared>, index: usize) -> Result<()> {
    let worker = Worker {
        shared,
        index,
        lane: &shared.lanes[index],
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let ready = worker.wait()?;
        if shared.stop.load(Ordering::Acquire) {
            return Ok(());
        }
        if ready.guest {
            worker.copy_from_vm(&mut buffer)?;
        }
        if ready.host {
            worker.copy_to_vm(&mut buffer)?;
        }
    }
}

struct Ready {
    host: bool,
    guest: bool,
}

struct Worker<'a> {
    shared: &'a Shared,
    index: usize,
    lane: &'a Lane,
}

impl Worker<'_> {
    fn wait(&self) -> Result<Ready> {
        let from_host = if self.shared.is_paused() {
            PollFlags::empty()
        } else {
            PollFlags::POLLIN
        };
        // Whatever reads it, the tap itself tells when it has gone.
        let tap = self.shared.host_tap.queues()[self.index].as_fd();
        let guest = self.shared.guest_tap.queues()[self.index].as_fd();
        let mut fds = [
            PollFd::new(tap, PollFlags::empty()),
            PollFd::new(self.lane.port.readable(), from_host),
            PollFd::new(guest, PollFlags::POLLIN),
            PollFd::new(self.lane.wake.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll"),
        }
        let [tap, host, guest, wake] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if wake.contains(PollFlags::POLLIN) {
            // Resets the counter; nothing to read is fine.
            let _ = self.lane.wake.read();
        }
        if (tap | host | guest).intersects(PollFlags::POLLERR | PollFlags::POLLNVAL) {
            // Someone deleted a tap; spinning on it would burn a processor.
            bail!("a tap of {} has gone", self.shared.host_tap.name());
        }
        Ok(Ready {
            host: host.contains(PollFlags::POLLIN),
            guest: guest.contains(PollFlags::POLLIN),
        })
    }

    fn copy_from_vm(&self, buffer: &mut [u8]) -> Result<()> {
        let guest = &self.shared.guest_tap.queues()[self.index];
        let mut truth = self.lane.lock_from_vm();
        for _ in 0..BATCH_FRAMES {
            let packet = match read_packet(guest, buffer)? {
                Packet::Some(packet) => packet,
                Packet::Refused => {
                    truth.undelivered_frames += 1;
                    continue;
                }
                Packet::None => break,
            };
            let Some((header, frame)) = VnetHdr::split(packet) else {
                continue;
            };
            match self.lane.port.put(packet)? {
                Ok(()) => truth.count(header, frame),
                // The host never saw it: not a frame from the VM.
                Err(_) => truth.undelivered_frames += 1,
            }
        }
        self.lane.port.flush()
    }

    fn copy_to_vm(&self, buffer: &mut [u8]) -> Result<()> {
        let mut truth = self.lane.lock_to_vm();
        for _ in 0..BATCH_FRAMES {
            // Under the lock, so that nothing is read once `pause` returned.
            if self.shared.is_paused() || !self.shared.hand_on(self.index, &mut truth, buffer)? {
                break;
            }
        }
        self.lane.port.give_back()
    }
}
