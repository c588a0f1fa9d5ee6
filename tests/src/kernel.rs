//! What kernels differ in, as far as tests depend on it.

use nix::sys::utsname::uname;

/// Something that kernels have since a release.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    what: &'static str,
    since: (u32, u32),
    commit: &'static str,
}

/// Super-frames of UDP at a tap: `TUN_F_USO4`, `TUN_F_USO6` and the virtio
/// header for them.
pub const USO: Feature = Feature {
    what: "UDP segmentation offload of taps",
    since: (6, 2),
    commit: "399e0827642f",
};

/// BPF programs at an interface without a qdisc.
pub const TCX: Feature = Feature {
    what: "tcx",
    since: (6, 6),
    commit: "e420bed02507",
};

/// Casting an address to a type, which lockdown does not refuse.
pub const RDONLY_CAST: Feature = Feature {
    what: "bpf_rdonly_cast",
    since: (6, 2),
    commit: "a35b9af4ec2c",
};

/// What a map takes of memory, and not what it was charged for by its sizes.
pub const MAP_MEMORY: Feature = Feature {
    what: "telling the memory of a BPF map",
    since: (6, 4),
    commit: "90a5527d7686",
};

impl Feature {
    /// Why this kernel does not have it, or `None` if it has.
    pub fn lacking(&self) -> Option<String> {
        let (major, minor) = self.since;
        (version(&release()) < self.since).then(|| {
            format!(
                "{} came with Linux {major}.{minor} (commit {})",
                self.what, self.commit
            )
        })
    }
}

/// Whether BPF programs must not probe the kernel's memory.
pub fn is_confidential() -> bool {
    lockdown().as_deref() == Some("confidentiality")
}

/// The kernel's lockdown mode: `none`, `integrity` or `confidentiality`; `None`
/// where it cannot be seen.
pub fn lockdown() -> Option<String> {
    let modes = std::fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (_, rest) = modes.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// As in `uname -r`.
pub fn release() -> String {
    let name = uname().ok();
    let release = name.as_ref().and_then(|name| name.release().to_str());
    release.unwrap_or_default().to_owned()
}

/// Major and minor number of a release.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, expected) in [
            ("6.12.117+deb13-cloud-amd64", (6, 12)),
            ("6.1.0-56-cloud-amd64", (6, 1)),
            ("7.0", (7, 0)),
            ("7", (7, 0)),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        assert!(version("6.12.0") > version("6.6.1"));
    }
}
