//! Facts beside the counting of packets.

use super::Check;
use crate::inventory::{
    features::{Family, FeatureSocket},
    kernel_log::KernelLogReader,
    sysfs::Sysfs,
};

/// Whether offload features can be read.
pub(super) fn features() -> Check {
    const NAME: &str = "ethtool netlink";
    let names = Family::resolve().and_then(|family| FeatureSocket::open(family)?.names());
    match names {
        Ok(names) => Check::ok(NAME, format!("tells {} features", names.0.len())),
        Err(error) => Check::missing(
            NAME,
            error.to_string(),
            "offload features of interfaces and their changes are not shown",
        ),
    }
}

/// Whether sysfs shows the observed namespace.
pub(super) fn sysfs() -> Check {
    const NAME: &str = "sysfs";
    match Sysfs::open() {
        Ok(_) => Check::ok(NAME, "of this network namespace"),
        Err(error) => Check::missing(
            NAME,
            Sysfs::reason(&error),
            "transmit timeouts, and whether a tap does GRO, are not shown",
        ),
    }
}

/// Whether the kernel's log can be read.
pub(super) fn kernel_log() -> Check {
    const NAME: &str = "kernel log";
    let opened = KernelLogReader::open().and_then(|mut log| log.read(1));
    match opened {
        Ok(_) => Check::ok(NAME, "readable"),
        Err(error) => Check::missing(
            NAME,
            KernelLogReader::reason(&error),
            "the kernel's warnings of offload faults are not counted",
        ),
    }
}
