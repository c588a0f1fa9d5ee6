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
    let mut state = String::new();
    let mut add = |arguments: &[&str]| -> Result<()> {
        state.push_str(&command::run(ns, arguments)?);
        Ok(())
    };
    add(&["ip", "link", "show"])?;
    add(&["tc", "qdisc", "show"])?;
    for device in devices {
        add(&["tc", "filter", "show", "dev", device])?;
        add(&["tc", "filter", "show", "dev", device, "ingress"])?;
        add(&["ethtool", "-k", device])?;
    }
    Ok(state)
}
