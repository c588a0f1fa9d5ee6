//! What the kernel charges for the maps of a probe.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use offwatch::{probe::Probe, sample::Hook};

use crate::Netns;

/// Bytes of all maps that the default hooks need.
pub(super) fn of_maps() -> Result<u64> {
    let netns = Netns::new()?.inum();
    let before = charged()?;
    let probe = Probe::start(Hook::default(), netns)?;
    let now = charged()?;
    drop(probe);
    let new = now.iter().filter(|(id, _)| !before.contains_key(id));
    Ok(new.map(|(_, bytes)| bytes).sum())
}

/// Bytes of each map that this process has open, by its id.
fn charged() -> Result<BTreeMap<u32, u64>> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo").context("/proc/self/fdinfo")? {
        // The descriptor of the directory itself is closed by now.
        let Ok(info) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        let value = |wanted: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            let (_, value) = lines.find(|(key, _)| *key == wanted)?;
            value.trim().parse::<u64>().ok()
        };
        if let (Some(id), Some(bytes)) = (value("map_id"), value("memlock")) {
            maps.insert(u32::try_from(id).context("a map's id")?, bytes);
        }
    }
    Ok(maps)
}
