//! Which capabilities a hook needs, and which this process lacks.

use crate::sample::Hook;

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Names of the capabilities that `hook` needs and this process does not have.
/// `CAP_SYS_ADMIN` stands for `CAP_BPF` and `CAP_PERFMON` (`capabilities(7)`).
pub fn missing_capabilities(hook: Hook) -> Vec<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing(hook, effective(&status))
}

/// Whether the descriptors of other users' processes can be read.
pub fn can_read_processes() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status) & (1 << CAP_SYS_PTRACE) != 0
}

/// Whether features of interfaces can be changed.
pub fn can_change_interfaces() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status) & (1 << CAP_NET_ADMIN) != 0
}

fn missing(hook: Hook, effective: u64) -> Vec<&'static str> {
    let has = |capability: u32| effective & (1 << capability) != 0;
    let mut missing = Vec::new();
    for (capability, name) in [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")] {
        if !has(capability) && !has(CAP_SYS_ADMIN) {
            missing.push(name);
        }
    }
    // Loading and attaching classifiers is network administration.
    if hook == Hook::Tc && !has(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN");
    }
    missing
}

fn effective(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_missing_capability() {
        assert_eq!(missing(Hook::Tp, 0), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(Hook::Tp, 1 << CAP_BPF), ["CAP_PERFMON"]);
        assert_eq!(
            missing(Hook::Tc, 1 << CAP_BPF | 1 << CAP_PERFMON),
            ["CAP_NET_ADMIN"]
        );
        assert!(missing(Hook::Tp, 1 << CAP_SYS_ADMIN).is_empty());
        assert!(missing(Hook::Tc, u64::MAX).is_empty());
    }

    #[test]
    fn reads_the_effective_set() {
        let status = "Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t000001ffffffffff\n";
        assert_eq!(effective(status), 0x1ff_ffff_ffff);
        assert_eq!(effective("Name:\tx\n"), 0);
    }
}
