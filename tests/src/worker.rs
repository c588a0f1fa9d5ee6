//! One queue of a relay: a thread that copies frames both ways and counts.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};

use crate::tap::Tap;
use crate::truth::Truth;
use crate::vnet::{VNET_HDR_BYTES, VnetHdr};

/// Largest thing a tap hands out: a super-frame at the kernel's largest
/// `gso_max_size` in practice, with room for headers.
const BUFFER_BYTES: usize = 256 * 1024 + VNET_HDR_BYTES;

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

/// Counters of one queue. A lock is held across the system call *and* the
/// counting, so whoever holds it sees exactly what the kernel has counted.
/// One pair a queue: queues must not wait for each other.
#[derive(Debug)]
pub(crate) struct Lane {
    from_vm: Mutex<Truth>,
    to_vm: Mutex<Truth>,
    wake: EventFd,
}

impl Lane {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            from_vm: Mutex::default(),
            to_vm: Mutex::default(),
            wake: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .context("eventfd")?,
        })
    }

    pub(crate) fn lock_from_vm(&self) -> MutexGuard<'_, Truth> {
        // Counters stay usable after a panic in another thread.
        self.from_vm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_to_vm(&self) -> MutexGuard<'_, Truth> {
        self.to_vm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the worker look at `paused` and `stop`.
    pub(crate) fn wake(&self) {
        // Only fails when the counter is full, and then it is readable anyway.
        let _ = self.wake.write(1);
    }
}

/// Copies frames of queue `index` until told to stop.
pub(crate) fn run(shared: &Arc<Shared>, index: usize) -> Result<()> {
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
        let from_host = if self.shared.paused.load(Ordering::Acquire) {
            PollFlags::empty()
        } else {
            PollFlags::POLLIN
        };
        let host = self.shared.host_tap.queues()[self.index].as_fd();
        let guest = self.shared.guest_tap.queues()[self.index].as_fd();
        let mut fds = [
            PollFd::new(host, from_host),
            PollFd::new(guest, PollFlags::POLLIN),
            PollFd::new(self.lane.wake.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("poll"),
        }
        let [host, guest, wake] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if wake.contains(PollFlags::POLLIN) {
            // Resets the counter; nothing to read is fine.
            let _ = self.lane.wake.read();
        }
        if (host | guest).intersects(PollFlags::POLLERR | PollFlags::POLLNVAL) {
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
        let host = &self.shared.host_tap.queues()[self.index];
        for _ in 0..BATCH_FRAMES {
            let Some(packet) = read_packet(guest, buffer)? else {
                break;
            };
            let Some((header, frame)) = VnetHdr::split(packet) else {
                continue;
            };
            let mut truth = self.lane.lock_from_vm();
            match write(host, packet) {
                Ok(_) => truth.count(header, frame),
                // The host never saw it: not a frame from the VM.
                Err(_) => truth.undelivered_frames += 1,
            }
        }
        Ok(())
    }

    fn copy_to_vm(&self, buffer: &mut [u8]) -> Result<()> {
        let guest = &self.shared.guest_tap.queues()[self.index];
        let host = &self.shared.host_tap.queues()[self.index];
        for _ in 0..BATCH_FRAMES {
            let mut truth = self.lane.lock_to_vm();
            // Under the lock, so that nothing is read once `pause` returned.
            if self.shared.paused.load(Ordering::Acquire) {
                break;
            }
            let Some(packet) = read_packet(host, buffer)? else {
                break;
            };
            if let Some((header, frame)) = VnetHdr::split(packet) {
                truth.count(header, frame);
            }
            drop(truth);
            if write(guest, packet).is_err() {
                self.lane.lock_to_vm().undelivered_frames += 1;
            }
        }
        Ok(())
    }
}

/// One packet with its virtio header, or `None` when the ring is empty.
fn read_packet(queue: impl AsFd, buffer: &mut [u8]) -> Result<Option<&[u8]>> {
    match read(queue, buffer) {
        Ok(bytes) => Ok(Some(&buffer[..bytes])),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno).context("reading from a tap"),
    }
}
