//! What a process holds in the kernel, and what a host's network looks like:
//! to prove that nothing is left behind.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use aya::{
    maps::loaded_maps,
    programs::{loaded_links, loaded_programs},
};

use crate::{Netns, command};

/// BPF objects that a process holds open, by their ids.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BpfObjects {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

impl BpfObjects {
    /// Those of process `pid`, from `/proc/PID/fdinfo`.
    pub fn of(pid: u32) -> Result<Self> {
        let mut objects = Self::default();
        let directory = format!("/proc/{pid}/fdinfo");
        for entry in std::fs::read_dir(&directory).with_context(|| directory.clone())? {
            // A descriptor may be closed while we look.
            let Ok(info) = std::fs::read_to_string(entry?.path()) else {
                continue;
            };
            // A link's entry names its program, too; the program's own may be closed.
            for line in info.lines() {
                let Some((key, value)) = line.split_once(':') else {
                    continue;
                };
                let set = match key {
                    "prog_id" => &mut objects.programs,
                    "map_id" => &mut objects.maps,
                    "link_id" => &mut objects.links,
                    _ => continue,
                };
                set.extend(value.trim().parse::<u32>());
            }
        }
        Ok(objects)
    }

    /// Those that the kernel still has.
    pub fn alive(&self) -> Self {
        let programs = loaded_programs()
            .filter_map(Result::ok)
            .map(|program| program.id());
        let maps = loaded_maps().filter_map(Result::ok).map(|map| map.id());
        let links = loaded_links().filter_map(Result::ok).map(|link| link.id());
        Self {
            programs: programs.filter(|id| self.programs.contains(id)).collect(),
            maps: maps.filter(|id| self.maps.contains(id)).collect(),
            links: links.filter(|id| self.links.contains(id)).collect(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty() && self.links.is_empty()
    }
}

/// Everything about a namespace's devices that offwatch must not change.
pub fn network_state(ns: &Netns, devices: &[&str]) -> Result<String> {
    let mut state = configured(&command::run(ns, &["ip", "link", "show"])?);
    let mut add = |arguments: &[&str]| -> Result<()> {
        state.push_str(&command::run(ns, arguments)?);
        Ok(())
    };
    add(&["tc", "qdisc", "show"])?;
    for device in devices {
        add(&["tc", "filter", "show", "dev", device])?;
        add(&["tc", "filter", "show", "dev", device, "ingress"])?;
        add(&["ethtool", "-k", device])?;
    }
    Ok(state)
}

/// `ip link show` without what the kernel's link watch changes by itself, up to
/// a second after a device came up: its operational state.
fn configured(links: &str) -> String {
    const OPERATIONAL: [&str; 3] = ["LOWER_UP", "NO-CARRIER", "DORMANT"];
    let mut state = String::new();
    for line in links.lines() {
        let mut words = line.split(' ');
        while let Some(word) = words.next() {
            if word == "state" {
                words.next();
                continue;
            }
            let flags = word.trim_matches(['<', '>']).split(',');
            let flags: Vec<_> = flags.filter(|flag| !OPERATIONAL.contains(flag)).collect();
            state.push_str(&flags.join(","));
            state.push(' ');
        }
        state.push('\n');
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_changes_by_itself_is_left_out() {
        let up = "2: t0: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc fq state UP mode DEFAULT\n";
        let down = "2: t0: <NO-CARRIER,BROADCAST,UP> mtu 1500 qdisc fq state DOWN mode DEFAULT\n";
        assert_eq!(configured(up), configured(down));
        assert_ne!(configured(up), configured(&up.replace("1500", "9000")));
        assert_ne!(configured(up), configured(&up.replace(",UP,", ",")));
        assert_ne!(
            configured(up),
            configured(&up.replace("qdisc fq", "qdisc noqueue"))
        );
    }
}
