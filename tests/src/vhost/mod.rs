//! vhost-net: the host's kernel carries the frames between a guest's virtqueues
//! and its tap, as on real KVM hosts. This is the guest's driver and what QEMU
//! does to set the device up.

mod ring;
mod rx;
mod tx;

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vhost::net::VhostNet;
use vhost::vhost_kern::net::Net;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_net::VIRTIO_NET_F_MRG_RXBUF;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use ring::{Memory, Ring};
use rx::Rx;
use tx::Tx;

const DEVICE: &str = "/dev/vhost-net";

/// Queue of the device that the guest receives by.
const RX: usize = 0;
/// Queue of the device that the guest sends by.
const TX: usize = 1;

/// Both make the header 12 bytes long, as it is on the taps.
const FEATURES: u64 = 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_NET_F_MRG_RXBUF;

mod ioctl {
    /// `VHOST_VIRTIO` of `<linux/vhost.h>`.
    const TYPE: u8 = 0xaf;
    nix::ioctl_write_ptr!(set_fork_from_owner, TYPE, 0x84, u8);
    // Its number in the first releases that had it, before it was corrected.
    nix::ioctl_write_ptr!(set_fork_from_owner_at_first, TYPE, 0x83, u8);
}

/// Why there is no vhost-net here, or `None` if there is.
pub fn skip_reason() -> Option<String> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    let error = opened.err()?;
    Some(match error.kind() {
        ErrorKind::NotFound => "CONFIG_VHOST_NET is not in this kernel".into(),
        _ => format!("cannot open {DEVICE}: {error}"),
    })
}

/// Whether the owner of a device may choose between a thread of its own and
/// one of the kernel (`VHOST_SET_FORK_FROM_OWNER`, commit 7d9896e9f6d0).
pub fn can_choose_thread() -> Result<bool> {
    let device = OpenOptions::new().read(true).write(true).open(DEVICE);
    Ok(choose_kthread(&device.context(DEVICE)?).is_ok())
}

fn choose_kthread(device: &impl AsRawFd) -> nix::Result<()> {
    const KTHREAD: u8 = 0;
    let device = device.as_raw_fd();
    // SAFETY: the kernel reads one byte that lives across the call, and the
    // descriptor is open.
    unsafe { ioctl::set_fork_from_owner(device, &KTHREAD) }
        // SAFETY: as above.
        .or_else(|_| unsafe { ioctl::set_fork_from_owner_at_first(device, &KTHREAD) })
        .map(drop)
}

/// Returns from the calling test, saying why, where there is no vhost-net;
/// fails it where `OFFWATCH_REQUIRE_VHOST` is set.
#[macro_export]
macro_rules! skip_unless_vhost {
    () => {
        $crate::skip_unless_lab!();
        if let Some(reason) = $crate::vhost::skip_reason() {
            assert!(
                std::env::var_os("OFFWATCH_REQUIRE_VHOST").is_none(),
                "vhost-net must work here: {reason}"
            );
            eprintln!("skipped: {reason}");
            return Ok(());
        }
    };
}

/// A vhost-net device between a driver and one queue of a tap. The process
/// that opens it owns the kernel's thread that carries the frames.
pub(crate) struct VhostNetPort {
    device: Net<Memory>,
    tap: File,
    tx: Mutex<Tx>,
    rx: Mutex<Rx>,
    /// A second handle: the one inside is behind the lock.
    rx_call: EventFd,
}

impl VhostNetPort {
    /// Opens a device for a queue of a tap. Its thread is one of the kernel if
    /// `kthread`, else what is usual.
    pub(crate) fn open(tap: &OwnedFd, kthread: bool) -> Result<Self> {
        let bytes = Rx::BYTES + Tx::BYTES;
        let start = GuestAddress(0);
        let memory = GuestMemoryMmap::from_ranges(&[(start, bytes as usize)])
            .context("memory of a guest")?;
        let memory = Arc::new(memory);
        let rx = Rx::new(Arc::clone(&memory), start)?;
        let tx = Tx::new(Arc::clone(&memory), GuestAddress(Rx::BYTES))?;

        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr: start.0,
            memory_size: bytes,
            userspace_addr: memory
                .get_host_address(start)
                .context("memory of a guest")? as u64,
            ..VhostUserMemoryRegionInfo::default()
        };
        let device = Net::new(memory).context(DEVICE)?;
        if kthread {
            choose_kthread(&device).context("VHOST_SET_FORK_FROM_OWNER")?;
        }
        device.set_owner().context("VHOST_SET_OWNER")?;
        let offered = device.get_features().context("VHOST_GET_FEATURES")?;
        ensure!(
            offered & FEATURES == FEATURES,
            "vhost-net offers {offered:#x}, which lacks some of {FEATURES:#x}"
        );
        device
            .set_features(FEATURES)
            .context("VHOST_SET_FEATURES")?;
        device
            .set_mem_table(&[region])
            .context("VHOST_SET_MEM_TABLE")?;
        set_up(&device, RX, rx.ring(), rx.kick(), rx.call()).context("receive queue")?;
        set_up(&device, TX, tx.ring(), tx.kick(), tx.call()).context("transmit queue")?;
        let port = Self {
            device,
            tap: tap.try_clone().context("dup of a tap")?.into(),
            rx_call: rx.call().try_clone().context("dup of an eventfd")?,
            tx: Mutex::new(tx),
            rx: Mutex::new(rx),
        };
        port.attach(TX, true)?;
        port.attach(RX, true)?;
        Ok(port)
    }

    /// Becomes readable when packets for the guest may be waiting.
    pub(crate) fn readable(&self) -> BorrowedFd<'_> {
        as_fd(&self.rx_call)
    }

    /// Sends a packet with its header, at the next [`Self::flush`] or before.
    /// Whether the tap accepts it is not to be learnt.
    pub(crate) fn put(&self, packet: &[u8]) -> Result<()> {
        lock(&self.tx).put(packet)
    }

    /// Waits until all packets have been sent.
    pub(crate) fn flush(&self) -> Result<()> {
        lock(&self.tx).flush()
    }

    /// Copies the next packet for the guest into `packet`, see [`Rx::take`].
    pub(crate) fn take(&self, packet: &mut [u8]) -> Result<Option<usize>> {
        lock(&self.rx).take(packet)
    }

    /// Lets the device use the buffers of what was taken.
    pub(crate) fn give_back(&self) -> Result<()> {
        lock(&self.rx).give_back()
    }

    /// The device takes no further frame from the tap, and those that it took
    /// ahead are in the tap's ring again: what it counted can be taken.
    pub(crate) fn stop(&self) -> Result<()> {
        self.attach(RX, false)
    }

    /// Ends [`Self::stop`].
    pub(crate) fn start(&self) -> Result<()> {
        self.attach(RX, true)
    }

    /// Whether no frame is in a queue or in the tap's ring, or is halfway.
    /// Nothing must be taken meanwhile.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        self.stop()?;
        let is_waiting = lock(&self.rx).is_waiting()?;
        let mut ring = [PollFd::new(as_fd(&self.tap), PollFlags::POLLIN)];
        let in_ring = poll(&mut ring, PollTimeout::ZERO).context("poll")?;
        self.start()?;
        Ok(!is_waiting && in_ring == 0)
    }

    fn attach(&self, queue: usize, attach: bool) -> Result<()> {
        self.device
            .set_backend(queue, attach.then_some(&self.tap))
            .context("VHOST_NET_SET_BACKEND")
    }
}

impl std::fmt::Debug for VhostNetPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VhostNetPort")
            .field("tap", &self.tap)
            .finish_non_exhaustive()
    }
}

fn set_up(
    device: &Net<Memory>,
    queue: usize,
    ring: &Ring,
    kick: &EventFd,
    call: &EventFd,
) -> Result<()> {
    device.set_vring_num(queue, ring.descriptors())?;
    device.set_vring_base(queue, 0)?;
    device.set_vring_addr(queue, &ring.config())?;
    device.set_vring_kick(queue, kick)?;
    device.set_vring_call(queue, call)?;
    Ok(())
}

fn event() -> Result<EventFd> {
    EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).context("eventfd")
}

fn as_fd(file: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as the borrow lasts.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

/// A queue stays usable after a panic in another thread.
fn lock<T>(queue: &Mutex<T>) -> MutexGuard<'_, T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
