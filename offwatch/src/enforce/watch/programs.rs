//! Programs of this host that are known to change features of interfaces.

use std::{collections::BTreeSet, fs, path::Path};

/// As the kernel has their names, cut after 15 bytes.
const KNOWN: [(&str, &str); 13] = [
    ("NetworkManager", "NetworkManager"),
    ("ansible-playboo", "ansible-playbook"),
    ("cf-agent", "cf-agent"),
    ("chef-client", "chef-client"),
    ("connmand", "connmand"),
    ("ethtool", "ethtool"),
    ("nmstatectl", "nmstatectl"),
    ("puppet", "puppet"),
    ("salt-minion", "salt-minion"),
    ("systemd-network", "systemd-networkd"),
    ("systemd-udevd", "systemd-udevd"),
    ("tuned", "tuned"),
    ("wickedd", "wickedd"),
];

/// Those that run, by name. Of processes that are hidden nothing is told.
pub fn running(proc: &Path) -> Vec<&'static str> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let processes = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok())
    });
    let names = processes.filter_map(|entry| {
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        let known = KNOWN.iter().find(|(cut, _)| *cut == comm.trim_end());
        known.map(|(_, name)| *name)
    });
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_programs_are_found_once() -> std::io::Result<()> {
        let proc = tempfile::tempdir()?;
        for (pid, comm) in [
            ("1", "systemd"),
            ("7", "tuned"),
            ("12", "NetworkManager"),
            ("13", "tuned"),
        ] {
            fs::create_dir(proc.path().join(pid))?;
            fs::write(proc.path().join(pid).join("comm"), format!("{comm}\n"))?;
        }
        fs::create_dir(proc.path().join("sys"))?;
        fs::write(proc.path().join("sys/comm"), "puppet\n")?;
        assert_eq!(running(proc.path()), ["NetworkManager", "tuned"]);
        Ok(())
    }
}
