//! What `ethtool -k` prints, by the kernel's names.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::{link, netns::Netns};

/// State of a feature as printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// `on` or `off`.
    pub on: bool,
    /// `[fixed]`.
    pub fixed: bool,
    /// What is asked for, where that is another state: `[requested on]`.
    pub requested: Option<bool>,
}

/// Names that ethtool had before the kernel gave features names. It prints
/// groups of several features by such a name, too, with the features below.
const OLD_NAMES: [(&str, &str); 9] = [
    ("rx-checksumming", "rx-checksum"),
    ("generic-segmentation-offload", "tx-generic-segmentation"),
    ("generic-receive-offload", "rx-gro"),
    ("large-receive-offload", "rx-lro"),
    ("udp-fragmentation-offload", "tx-udp-fragmentation"),
    ("rx-vlan-offload", "rx-vlan-hw-parse"),
    ("tx-vlan-offload", "tx-vlan-hw-insert"),
    ("ntuple-filters", "rx-ntuple-filter"),
    ("receive-hashing", "rx-hashing"),
];
const GROUPS: [&str; 3] = [
    "tx-checksumming",
    "scatter-gather",
    "tcp-segmentation-offload",
];

/// Features of `device`.
pub fn features(ns: &Netns, device: &str) -> Result<BTreeMap<String, State>> {
    let text = link::features(ns, device)?;
    let mut features = BTreeMap::new();
    for line in text.lines().skip(1) {
        let (name, state) = line
            .trim()
            .split_once(": ")
            .with_context(|| format!("`{line}` of ethtool -k"))?;
        if GROUPS.contains(&name) {
            continue;
        }
        let old = OLD_NAMES.iter().find(|(old, _)| *old == name);
        let name = old.map_or(name, |(_, name)| *name);
        features.insert(name.to_owned(), parse(state)?);
    }
    Ok(features)
}

fn parse(state: &str) -> Result<State> {
    let (on, note) = state.split_once(' ').unwrap_or((state, ""));
    let (fixed, requested) = match note {
        "" => (false, None),
        "[fixed]" => (true, None),
        "[requested on]" => (false, Some(true)),
        "[requested off]" => (false, Some(false)),
        other => bail!("`{other}` of ethtool -k"),
    };
    Ok(State {
        on: on == "on",
        fixed,
        requested,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read() -> Result<()> {
        let state = |on, fixed, requested| State {
            on,
            fixed,
            requested,
        };
        assert_eq!(parse("on")?, state(true, false, None));
        assert_eq!(parse("off [fixed]")?, state(false, true, None));
        assert_eq!(
            parse("off [requested on]")?,
            state(false, false, Some(true))
        );
        assert!(parse("off [not requested]").is_err());
        Ok(())
    }
}
