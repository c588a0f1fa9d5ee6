//! The list: what is needed, what for, and in which packages it comes.

use std::process::Command;
use std::slice;

use super::os::Family;
use crate::ebpf::objcopy;
use crate::run;

pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) needs: &'static [Need],
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Build,
    Bpf,
    Tests,
    Packages,
}

#[derive(Clone, Copy)]
pub(super) struct Need {
    pub(super) purpose: &'static str,
    /// How to see it where packages are not asked.
    pub(super) presence: Presence,
    /// Any one will do, the first is installed. Others only where the first
    /// would replace something that is just as good.
    debian: &'static [&'static str],
    /// As in the columns: Fedora, Arch, openSUSE. Empty where it comes with
    /// another item of the list.
    others: &'static [&'static str; 3],
    pub(super) compiles_bpf: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Presence {
    Program(&'static str),
    Library(&'static str),
    /// Its name has LLVM's version on some distributions.
    LlvmObjcopy,
}

const fn need(
    debian: &'static [&'static str],
    others: &'static [&'static str; 3],
    presence: Presence,
    purpose: &'static str,
) -> Need {
    Need {
        purpose,
        presence,
        debian,
        others,
        compiles_bpf: false,
    }
}

/// Only Debian has these; elsewhere nightly does it.
const fn bpf_compiler(package: &'static [&'static str], purpose: &'static str) -> Need {
    let presence = Presence::Program("rustc");
    Need {
        purpose,
        presence,
        debian: package,
        others: &[""; 3],
        compiles_bpf: true,
    }
}

/// Packages are made on Debian only.
const fn packer(
    package: &'static [&'static str],
    program: &'static str,
    purpose: &'static str,
) -> Need {
    need(package, &[""; 3], Program(program), purpose)
}

use Presence::{Library, Program};

pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "to build offwatch",
        needs: BUILD,
        kind: Kind::Build,
    },
    Group {
        title: "to rebuild its BPF object",
        needs: BPF,
        kind: Kind::Bpf,
    },
    Group {
        title: "for the tests and the demo",
        needs: TESTS,
        kind: Kind::Tests,
    },
    Group {
        title: "to make packages and check them",
        needs: PACKAGES,
        kind: Kind::Packages,
    },
];

const BUILD: &[Need] = &[
    need(
        &["gcc", "clang"],
        &["gcc"; 3],
        Program("cc"),
        "linker of Rust programs",
    ),
    need(
        &["libc6-dev"],
        &["glibc-devel", "", "glibc-devel"],
        Program("cc"),
        "what they link to",
    ),
    need(
        &["pkg-config", "pkgconf"],
        &["pkgconf-pkg-config", "pkgconf", "pkgconf-pkg-config"],
        Program("pkg-config"),
        "finds libvirt's library",
    ),
    need(
        &["libvirt-dev"],
        &["libvirt-devel", "libvirt", "libvirt-devel"],
        Library("libvirt"),
        "names of VMs (not for --no-default-features)",
    ),
];

const BPF: &[Need] = &[
    bpf_compiler(&["rustc-web"], "Rust compiler that goes with the next"),
    bpf_compiler(
        &["libstd-rust-web-dev-bpf"],
        "Rust's core library, built for BPF",
    ),
    bpf_compiler(&["rust-web-clippy"], "lints of the BPF programs"),
    need(
        &["llvm-22"],
        &["llvm"; 3],
        Presence::LlvmObjcopy,
        "strips the object",
    ),
    Need {
        compiles_bpf: false,
        ..bpf_compiler(&["llvm-22-dev"], "LLVM, which bpf-linker is linked to")
    },
];

const TESTS: &[Need] = &[
    need(
        &["g++"],
        &["gcc-c++", "gcc", "gcc-c++"],
        Program("c++"),
        "compiler of libFuzzer",
    ),
    need(
        &["iproute2"],
        &["iproute", "iproute2", "iproute2"],
        Program("ip"),
        "bridges, taps, tc",
    ),
    need(
        &["ethtool"],
        &["ethtool"; 3],
        Program("ethtool"),
        "a second opinion on offloads",
    ),
    need(
        &["kmod"],
        &["kmod"; 3],
        Program("modprobe"),
        "kernel modules",
    ),
    need(
        &["tcpdump"],
        &["tcpdump"; 3],
        Program("tcpdump"),
        "a second opinion on packets",
    ),
    need(
        &["openssl"],
        &["openssl"; 3],
        Program("openssl"),
        "certificates to try TLS with",
    ),
    need(
        &["tmux"],
        &["tmux"; 3],
        Program("tmux"),
        "a terminal for the screen",
    ),
    need(
        &["strace"],
        &["strace"; 3],
        Program("strace"),
        "counts system calls",
    ),
    need(
        &["valgrind"],
        &["valgrind"; 3],
        Program("valgrind"),
        "counts instructions",
    ),
    need(
        &["iperf3"],
        &["iperf3", "iperf3", "iperf"],
        Program("iperf3"),
        "traffic of real VMs",
    ),
    need(
        &["qemu-system-x86"],
        &["qemu-system-x86-core", "qemu-system-x86", "qemu-x86"],
        Program("qemu-system-x86_64"),
        "real VMs",
    ),
    // Neither enables nor starts a service on Debian 12, as
    // libvirt-daemon-system would.
    need(
        &["libvirt-daemon"],
        &["libvirt-daemon", "libvirt", "libvirt-daemon"],
        Program("libvirtd"),
        "real VMs, under their names",
    ),
    need(
        &["libvirt-daemon-driver-qemu"],
        &["libvirt-daemon-driver-qemu", "", "libvirt-daemon-qemu"],
        Program("libvirtd"),
        "libvirt's driver for them",
    ),
    need(
        &["libvirt-clients"],
        &["libvirt-client", "", "libvirt-client"],
        Program("virsh"),
        "starts and stops them",
    ),
    need(
        &["busybox-static", "busybox"],
        &["busybox", "busybox", "busybox-static"],
        Program("busybox"),
        "the programs in them",
    ),
    need(
        &["cpio"],
        &["cpio"; 3],
        Program("cpio"),
        "their file system",
    ),
    need(
        &["xz-utils"],
        &["xz", "xz", "xz"],
        Program("xz"),
        "their kernel's modules",
    ),
    // With promtool. Its service is not started, see `service`.
    need(
        &["prometheus"],
        &[
            "prometheus",
            "prometheus",
            "golang-github-prometheus-prometheus",
        ],
        Program("prometheus"),
        "scrapes, and judges metrics and rules",
    ),
    need(
        &["systemd"],
        &["systemd"; 3],
        Program("systemd-analyze"),
        "how far the unit is confined",
    ),
];

const PACKAGES: &[Need] = &[
    packer(&["dpkg-dev"], "dpkg-shlibdeps", "makes the .deb"),
    packer(&["rpm"], "rpmbuild", "makes the .rpm"),
    packer(
        &["mmdebstrap"],
        "mmdebstrap",
        "a clean Debian to try them in",
    ),
    packer(&["lintian"], "lintian", "finds faults of the .deb"),
    need(
        &["man-db"],
        &["man-db", "man-db", "man"],
        Program("man"),
        "finds faults of manual pages",
    ),
];

/// Where the packages for BPF do not exist or do not fit.
pub(super) const BPF_ADVICE: &str = "\
The BPF toolchain is needed to change offwatch-ebpf/ and for `cargo xtask test`, not to build or
use offwatch: the object is committed. Debian 12 (with its security updates) and 13 have it as
packages. Elsewhere, and beside Debian's own rustc or rustup packages, this does the same:
  rustup toolchain install nightly --component rust-src --component clippy
  bpf-linker 0.13, on PATH, built for the LLVM of nightly's rustc or a later one
  llvm-objcopy, of any LLVM";

impl Need {
    /// The packages of which any one will do; none if another item's package
    /// brings it.
    pub(super) fn packages(&self, family: Family) -> &'static [&'static str] {
        let [fedora, arch, suse] = self.others;
        let package = match family {
            Family::Debian => return self.debian,
            Family::Fedora => fedora,
            Family::Arch => arch,
            Family::Suse => suse,
            // Debian's name says what to look for, where others need it too.
            Family::Unknown if fedora.is_empty() => fedora,
            Family::Unknown => return self.debian,
        };
        if package.is_empty() {
            &[]
        } else {
            slice::from_ref(package)
        }
    }
}

impl Presence {
    pub(super) fn found(self) -> bool {
        match self {
            Program(program) => on_path(program),
            Presence::LlvmObjcopy => objcopy().is_some(),
            Library(library) => {
                run::succeeds(Command::new("pkg-config").args(["--exists", library]))
            }
        }
    }
}

/// Administration programs count too: tests that need them run as root.
fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_name_for_what_it_needs() {
        let needs = || GROUPS.iter().flat_map(|group| group.needs);
        assert!(needs().all(|need| !need.packages(Family::Debian).is_empty()));
        for family in [Family::Fedora, Family::Arch, Family::Suse, Family::Unknown] {
            for program in ["gcc", "libvirt", "busybox", "xz"] {
                let named = needs()
                    .flat_map(|need| need.packages(family))
                    .any(|package| package.starts_with(program));
                assert!(named, "{program} on {family:?}");
            }
            // Nightly does it there.
            assert!(needs().all(|need| !need.compiles_bpf || need.packages(family).is_empty()));
        }
    }

    #[test]
    fn programs_are_found() {
        assert!(Program("sh").found());
        assert!(!Program("no-such-program").found());
    }
}
