//! A real virtualisation host that fits in a test: libvirtd, QEMU guests under
//! software emulation, a bridge and iperf3, all inside private namespaces.
//!
//! ```no_run
//! use offwatch_e2e::{Endpoint, GuestSpec, Host, Options};
//! use std::time::Duration;
//!
//! # fn main() -> anyhow::Result<()> {
//! let host = Host::start(Options::default())?;
//! host.define_and_start(&GuestSpec::new("web", 11))?;
//! host.wait_ready("web", Duration::from_secs(90))?;
//! let run = host.iperf(Endpoint::Host, Endpoint::Guest("web"), 2)?;
//! println!("{:.1} Gbit/s", run.bits_per_second / 1e9);
//! // The program under test sees this host and nothing of the real one.
//! let list = host.command("ip").args(["-br", "link"]).output()?;
//! # drop(list);
//! # Ok(())
//! # }
//! ```
//!
//! Everything runs in one network, one mount and one process namespace. The
//! first process of the process namespace ends when the harness ends, however
//! that happens, and the kernel then ends libvirtd, the guests and every program
//! started by [`Host::command`]. State lives on a tmpfs of the mount namespace,
//! so nothing stays behind; only the unpacked guest kernel is kept, in the cargo
//! target directory.
//!
//! Needs root, the packages in [`PACKAGES`], and a kernel with namespaces,
//! overlayfs, bridge and TUN. It needs neither KVM nor systemd nor D-Bus.

mod command;
mod cpio;
mod domain;
mod enter;
mod guest;
mod host;
mod image;
mod iperf;
mod kernel;
pub mod matrix;
mod modules;
mod namespace;
mod programs;
mod stuck;

pub use domain::GuestSpec;
pub use guest::Output;
pub use host::{BRIDGE, Endpoint, HOST_ADDRESS, Host, Options, Stopped};
pub use iperf::Throughput;
pub use stuck::unless_stuck;

/// Debian packages that the harness needs installed.
///
/// `libvirt-daemon` (not `-system`) is enough: what the latter adds are systemd
/// units, a system user and a default network, none of which is used. Install
/// without recommended packages. The guest kernel is not listed because it must
/// not be installed on the host: the harness downloads and unpacks it.
pub const PACKAGES: &[&str] = &[
    "busybox-static",
    "ethtool",
    "iperf3",
    "iproute2",
    "libvirt-clients",
    "libvirt-daemon",
    "mount",
    "qemu-system-x86",
    "util-linux",
    "xz-utils",
];

/// Programs that [`PACKAGES`] must have put on the search path.
const PROGRAMS: &[&str] = &[
    "apt-get",
    "busybox",
    "dpkg-deb",
    "ip",
    "iperf3",
    "ldd",
    "libvirtd",
    "qemu-system-x86_64",
    "unshare",
    "virsh",
    "xz",
];

/// Why the harness cannot run on this machine, or `None` if it can.
///
/// A test prints the reason and returns; only tests that were asked for by name
/// should treat it as a failure.
pub fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".into());
    }
    if !std::path::Path::new("/dev/net/tun").exists() {
        return Some("needs /dev/net/tun".into());
    }
    let missing: Vec<_> = PROGRAMS
        .iter()
        .copied()
        .filter(|program| programs::find_program(program).is_none())
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "missing {}; install {}",
            missing.join(", "),
            PACKAGES.join(" ")
        )
    })
}

/// Returns from the calling test, saying why, where real VMs cannot run; fails it
/// where `OFFWATCH_E2E_REQUIRED` is set.
#[macro_export]
macro_rules! skip_unless_vms {
    () => {
        if let Some(reason) = $crate::unavailable() {
            assert!(
                ::std::env::var_os("OFFWATCH_E2E_REQUIRED").is_none(),
                "real VMs must run here: {reason}"
            );
            eprintln!("skipped: {reason}");
            return Ok(());
        }
    };
}
