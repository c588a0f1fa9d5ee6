//! What every source of VMs shares: what carries the frames of a network card,
//! and which of these carriers the host's kernel can show.

use std::path::Path;

use crate::sample::Nic;

/// Backends whose name decides how a [`Nic`] is treated; all others are only
/// printed.
pub mod backend {
    /// A tap: the one backend whose frames this program counts.
    pub const TAP: &str = "tap";
    /// A macvtap (libvirt's `direct`).
    pub const MACVTAP: &str = "macvtap";
    /// Queues in memory shared with another process: OVS-DPDK, VPP.
    pub const VHOST_USER: &str = "vhost-user";
    /// A PCI card that the guest drives itself.
    pub const VFIO: &str = "vfio";
    /// virtio queues in hardware.
    pub const VDPA: &str = "vdpa";
    /// QEMU's own user-mode network.
    pub const SLIRP: &str = "slirp";
    /// User-mode network by a passt process.
    pub const PASST: &str = "passt";
    /// Frames between processes, over a socket.
    pub const SOCKET: &str = "socket";
    /// Not connected.
    pub const NONE: &str = "none";
}

/// A network card, with the reason why its traffic cannot be observed if its
/// backend is one of those that pass the host's network stack by.
pub fn nic(backend: &str, dev: Option<String>, mac: Option<String>) -> Nic {
    Nic {
        dev,
        mac: mac.map(|mac| mac.to_ascii_lowercase()),
        unobservable: unobservable(backend),
        backend: backend.to_owned(),
    }
}

/// Why the traffic of a backend cannot be observed, in words for an administrator.
fn unobservable(backend: &str) -> Option<String> {
    let reason = match backend {
        backend::TAP => return None,
        backend::MACVTAP => "frames pass the host's stack under the device below it",
        backend::VHOST_USER => "frames move through shared memory, not through the host's kernel",
        backend::VFIO => "the guest drives the card itself, past the host's kernel",
        backend::VDPA => "the card reads the guest's queues itself, past the host's kernel",
        backend::SLIRP => "frames end in QEMU, which uses sockets of its own",
        backend::PASST => "frames end in passt, which uses sockets of its own",
        backend::SOCKET => "frames move between processes over a socket",
        backend::NONE => "the card is not connected",
        _ => "frames do not pass an interface of the host",
    };
    Some(format!("{backend}: {reason}"))
}

/// Makes a name from XML or from a command line fit for a terminal: any local
/// user can start a process whose command line holds escape sequences.
pub fn printable(name: &str) -> String {
    const LONGEST: usize = 255;
    if name.len() <= LONGEST && crate::text::is_plain(name) {
        return name.to_owned();
    }
    let kept: String = name.chars().take(LONGEST).collect();
    crate::text::plain(&kept)
}

/// Whether the PCI device at an address (`0000:3b:02.1`) is a network card:
/// a GPU is given to a guest in the same way.
pub fn is_network_card(sysfs: &Path, address: &str) -> bool {
    const NETWORK_CONTROLLER: &str = "0x02";
    // An address is the name of a directory and must stay one.
    if !address
        .chars()
        .all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        || address.contains("..")
    {
        return false;
    }
    // QEMU takes an address without the domain.
    let address = match address.matches(':').count() {
        1 => format!("0000:{address}"),
        _ => address.to_owned(),
    };
    let class = sysfs.join("bus/pci/devices").join(address).join("class");
    std::fs::read_to_string(class).is_ok_and(|class| class.starts_with(NETWORK_CONTROLLER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_taps_are_observable() {
        assert_eq!(nic("tap", None, None).unobservable, None);
        for backend in ["macvtap", "vhost-user", "vfio", "passt", "l2tpv3"] {
            let reason = nic(backend, None, None).unobservable.unwrap();
            assert!(reason.starts_with(&format!("{backend}: ")), "{reason}");
        }
    }

    #[test]
    fn names_cannot_drive_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a?[2Jb?");
        assert_eq!(printable("büro\u{202e}"), "büro?");
        assert_eq!(printable(&"ü".repeat(1000)).chars().count(), 255);
    }

    #[test]
    fn pci_class_tells_network_cards() {
        let sysfs = tempfile::tempdir().unwrap();
        for (address, class) in [
            ("0000:3b:02.1", "0x020000\n"),
            ("0000:01:00.0", "0x030000\n"),
        ] {
            let dir = sysfs.path().join("bus/pci/devices").join(address);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("class"), class).unwrap();
        }
        assert!(is_network_card(sysfs.path(), "0000:3b:02.1"));
        assert!(is_network_card(sysfs.path(), "3b:02.1"));
        assert!(!is_network_card(sysfs.path(), "0000:01:00.0"));
        assert!(!is_network_card(sysfs.path(), "0000:99:00.0"));
        assert!(!is_network_card(sysfs.path(), "../../etc"));
    }
}
