//! Which processes are VMMs, by their program.

use std::fs;
use std::path::Path;

use crate::inventory::nic::printable;

/// Programs that hold the tap of a VM only until they hand it over.
const PASS_TAPS_ON: [&str; 4] = ["libvirtd", "virtqemud", "virtlxcd", "qemu-bridge-helper"];

/// What a process is by its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Qemu,
    OtherVmm,
    PassesTapsOn,
    Unknown,
}

/// What a process is, and the name of its program.
pub(super) fn program(directory: &Path) -> (Program, String) {
    let comm = fs::read(directory.join("comm")).unwrap_or_default();
    let name = printable(String::from_utf8_lossy(&comm).trim_end());
    let by_comm = by_name(&name);
    if by_comm != Program::Unknown {
        return (by_comm, name);
    }
    // `-name process=` and some wrappers change the name of the thread. The
    // link can be read with the same privilege as the descriptors.
    let exe = fs::read_link(directory.join("exe")).unwrap_or_default();
    let exe = exe.file_name().unwrap_or_default().to_string_lossy();
    (
        by_name(exe.strip_suffix(" (deleted)").unwrap_or(&exe)),
        name,
    )
}

fn by_name(name: &str) -> Program {
    // Names in `comm` are cut after 15 bytes; wrappers add a dot in front.
    let name = name.strip_prefix('.').unwrap_or(name);
    let is = |program: &str| name == program || (name.len() == 15 && program.starts_with(name));
    if name.starts_with("qemu-system-")
        || name.starts_with("qemu-kvm")
        || matches!(name, "qemu" | "kvm")
    {
        Program::Qemu
    } else if ["cloud-hypervisor", "firecracker", "crosvm", "lkvm"]
        .into_iter()
        .any(is)
    {
        Program::OtherVmm
    } else if PASS_TAPS_ON.into_iter().any(is) {
        Program::PassesTapsOn
    } else {
        Program::Unknown
    }
}
