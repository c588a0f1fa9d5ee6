//! Creating taps through `/dev/net/tun`, as QEMU does.

use std::ffi::{c_char, c_int, c_short, c_ulong};
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;

use crate::netns::Netns;
use crate::offloads::Offloads;
use crate::vnet::{VNET_HDR_BYTES, VnetHdr};

mod ioctl {
    nix::ioctl_write_ptr_bad!(tunsetiff, libc::TUNSETIFF, libc::ifreq);
    nix::ioctl_write_ptr_bad!(tunsetifindex, libc::TUNSETIFINDEX, libc::c_uint);
    nix::ioctl_write_ptr_bad!(tunsetvnethdrsz, libc::TUNSETVNETHDRSZ, libc::c_int);
    nix::ioctl_write_ptr_bad!(tunattachfilter, libc::TUNATTACHFILTER, libc::sock_fprog);
}

/// A child that another thread forks holds our files until it runs its program: a
/// tap that was closed may still be there for so long.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);

/// A tap device. It exists as long as this value (or a worker) holds a queue.
#[derive(Debug)]
pub struct Tap {
    name: String,
    queues: Vec<OwnedFd>,
    vnet_hdr: bool,
}

/// How to open a queue.
#[derive(Debug, Clone, Copy)]
struct Opening {
    multi_queue: bool,
    vnet_hdr: bool,
    ifindex: Option<u32>,
}

impl Opening {
    /// The only queue, with virtio headers.
    const DEFAULT: Self = Self {
        multi_queue: false,
        vnet_hdr: true,
        ifindex: None,
    };
}

impl Tap {
    /// Creates tap `name` inside `ns` with as many queues as asked for.
    /// One queue means no `IFF_MULTI_QUEUE`, as with libvirt.
    pub fn create(ns: &Netns, name: &str, queues: usize) -> Result<Self> {
        if queues == 0 {
            bail!("tap {name}: at least one queue is needed");
        }
        let opening = Opening {
            multi_queue: queues > 1,
            ..Opening::DEFAULT
        };
        let queues = ns.try_run(|| {
            (0..queues)
                .map(|_| open_queue(name, opening))
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(Self {
            name: name.to_owned(),
            queues,
            vnet_hdr: true,
        })
    }

    /// As [`Self::create`] with one queue, made by somebody who knows nothing of
    /// virtio headers (no `IFF_VNET_HDR`): no offload passes in either direction.
    pub fn create_plain(ns: &Netns, name: &str) -> Result<Self> {
        let opening = Opening {
            vnet_hdr: false,
            ..Opening::DEFAULT
        };
        let queue = ns.try_run(|| open_queue(name, opening))?;
        Ok(Self {
            name: name.to_owned(),
            queues: vec![queue],
            vnet_hdr: false,
        })
    }

    /// As [`Self::create`] with one queue and an ifindex of one's choice.
    pub fn create_at(ns: &Netns, name: &str, ifindex: u32) -> Result<Self> {
        let opening = Opening {
            ifindex: Some(ifindex),
            ..Opening::DEFAULT
        };
        let queue = ns.try_run(|| open_queue(name, opening))?;
        Ok(Self {
            name: name.to_owned(),
            queues: vec![queue],
            vnet_hdr: true,
        })
    }

    /// A tap that another process made, by its only queue.
    pub(crate) fn from_queue(name: &str, queue: OwnedFd) -> Self {
        Self {
            name: name.to_owned(),
            queues: vec![queue],
            vnet_hdr: true,
        }
    }

    /// Whether frames carry a virtio header.
    pub fn has_vnet_hdr(&self) -> bool {
        self.vnet_hdr
    }

    /// Sends a frame `count` times as if a guest had.
    pub fn write(&self, frame: &[u8], header: VnetHdr, count: u64) -> Result<()> {
        let mut buffer = header.to_bytes().to_vec();
        buffer.extend(frame);
        let queue = self.queues.first().context("tap without queues")?;
        for _ in 0..count {
            nix::unistd::write(queue, &buffer)
                .with_context(|| format!("writing a frame to {}", self.name))?;
        }
        Ok(())
    }

    /// Interface name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Queue file descriptors (non-blocking).
    pub fn queues(&self) -> &[OwnedFd] {
        &self.queues
    }

    /// Declares what the reader of this tap accepts to receive. The kernel
    /// rewrites the features of the device accordingly.
    pub fn set_offloads(&self, offloads: Offloads) -> Result<()> {
        let first = self.queues.first().context("tap without queues")?;
        let uso: c_ulong = (libc::TUN_F_USO4 | libc::TUN_F_USO6).into();
        let bits = offloads.bits();
        match tunsetoffload(first, bits) {
            // Kernels before 6.2 know no USO.
            Err(Errno::EINVAL) if bits & uso != 0 => tunsetoffload(first, bits & !uso),
            other => other,
        }
        .with_context(|| format!("TUNSETOFFLOAD {bits:#x} on {}", self.name))
    }
}

impl Tap {
    /// Hides IPv6 multicast listener reports (to 33:33:00:00:00:16) from the
    /// reader of this tap. A Linux guest sends them at times of its own choosing
    /// and no setting stops it; every other frame passes.
    pub fn hide_listener_reports(&self) -> Result<()> {
        // Classic BPF over the Ethernet header: is it 3333:00000016?
        let mut code = [
            filter(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0),
            filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0x3333, 3),
            filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 2, 0),
            filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0x16, 1),
            filter(libc::BPF_RET | libc::BPF_K, 0, 0),
            filter(libc::BPF_RET | libc::BPF_K, u32::MAX, 0),
        ];
        let program = libc::sock_fprog {
            len: code.len() as u16,
            filter: code.as_mut_ptr(),
        };
        let first = self.queues.first().context("tap without queues")?;
        // SAFETY: the program and its code live across the call, which copies
        // them. The kernel applies it to all queues.
        unsafe { ioctl::tunattachfilter(first.as_raw_fd(), &program) }
            .with_context(|| format!("TUNATTACHFILTER on {}", self.name))?;
        Ok(())
    }
}

/// One instruction; `skip` counts instructions to skip if a test fails.
fn filter(code: u32, k: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: skip,
        k,
    }
}

fn tunsetoffload(fd: &OwnedFd, bits: c_ulong) -> nix::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes a plain integer and the descriptor is open.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, bits) }).map(drop)
}

fn open_queue(name: &str, opening: Opening) -> Result<OwnedFd> {
    let Opening {
        multi_queue,
        vnet_hdr,
        ifindex,
    } = opening;
    let fd: OwnedFd = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("opening /dev/net/tun")?
        .into();

    if let Some(ifindex) = ifindex {
        // SAFETY: the kernel reads one integer that lives across the call.
        unsafe { ioctl::tunsetifindex(fd.as_raw_fd(), &ifindex) }
            .with_context(|| format!("TUNSETIFINDEX {ifindex} for {name}"))?;
    }
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
    if vnet_hdr {
        flags |= libc::IFF_VNET_HDR;
    }
    if multi_queue {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    // SAFETY: `ifreq` is plain data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        bail!("interface name {name} is too long");
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    request.ifr_ifru.ifru_flags = flags as c_short;
    let until = Instant::now() + RELEASED_WITHIN;
    loop {
        // SAFETY: the request is initialised and lives across the call.
        match unsafe { ioctl::tunsetiff(fd.as_raw_fd(), &request) } {
            Err(Errno::EBUSY) if Instant::now() < until => sleep(Duration::from_millis(1)),
            other => {
                other.with_context(|| format!("TUNSETIFF {name}"))?;
                break;
            }
        }
    }

    if !vnet_hdr {
        return Ok(fd);
    }
    let header_bytes = VNET_HDR_BYTES as c_int;
    // SAFETY: the kernel reads one integer that lives across the call.
    unsafe { ioctl::tunsetvnethdrsz(fd.as_raw_fd(), &header_bytes) }
        .with_context(|| format!("TUNSETVNETHDRSZ {header_bytes} on {name}"))?;
    Ok(fd)
}
