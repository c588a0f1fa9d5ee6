//! The machine that the VMs run on, from the kernel alone.

use std::fs;
use std::path::Path;

use super::nic::printable;
use crate::sample::Node;

/// Reads it below `proc` and `sys`, which are `/proc` and `/sys`.
pub fn read(proc: &Path, sys: &Path) -> Node {
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let cpus = |name: &str| list_length(&text(&sys.join("devices/system/cpu").join(name)));
    let online_cpus = cpus("online");
    Node {
        host_name: printable(text(&proc.join("sys/kernel/hostname")).trim()),
        arch: architecture(),
        online_cpus,
        cpus: cpus("present").max(online_cpus),
        mhz: value(&text(&proc.join("cpuinfo")), "cpu MHz")
            .and_then(|mhz| mhz.parse::<f64>().ok())
            .map(|mhz| mhz as u32),
        memory_kib: value(&text(&proc.join("meminfo")), "MemTotal")
            .and_then(|kib| kib.split_whitespace().next()?.parse().ok())
            .unwrap_or_default(),
    }
}

fn architecture() -> String {
    let name = nix::sys::utsname::uname();
    let machine = name.map(|name| name.machine().to_string_lossy().into_owned());
    machine.unwrap_or_default()
}

/// How many numbers a list such as `0-3,8` stands for.
fn list_length(list: &str) -> u32 {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    ranges.fold(0, u32::saturating_add)
}

/// The value of the first line `name: value`.
fn value<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("devices/system/cpu/online", "0-2,6\n");
        write("devices/system/cpu/present", "0-7\n");
        write("sys/kernel/hostname", "kvm1\n");
        write(
            "cpuinfo",
            "processor\t: 0\ncpu MHz\t\t: 2596.992\ncpu MHz\t\t: 1000\n",
        );
        write("meminfo", "MemTotal:       10971352 kB\nMemFree: 1 kB\n");
        let node = read(root.path(), root.path());
        let expected = Node {
            host_name: "kvm1".into(),
            arch: architecture(),
            online_cpus: 4,
            cpus: 8,
            mhz: Some(2596),
            memory_kib: 10_971_352,
        };
        assert_eq!(node, expected);
    }

    #[test]
    fn this_machine() {
        let node = read(Path::new("/proc"), Path::new("/sys"));
        assert!(
            node.online_cpus > 0 && node.cpus >= node.online_cpus,
            "{node:?}"
        );
        assert!(node.memory_kib > 0 && !node.arch.is_empty(), "{node:?}");
    }

    #[test]
    fn lists_that_make_no_sense() {
        for (list, length) in [("", 0), ("x", 0), ("3-1", 0), ("0-4294967295", 0), ("5", 1)] {
            assert_eq!(list_length(list), length, "{list}");
        }
    }
}
