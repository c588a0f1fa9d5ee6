//! What a changed interface is compared with.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::{
    Settings,
    judge::{Evidence, figures, too_little},
};
use crate::measure::Window;

/// A control whose connections end at a changed interface fares as that one does: no
/// more than this part of its payload may be of such.
const MOST_SHARED: f64 = 0.1;
/// Of one whose bytes are mostly no captured TCP, it is not known.
const FEWEST_KNOWN: f64 = 0.5;

/// Interfaces that were not changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Controls {
    /// Those that were compared with, by ifindex and name.
    pub used: Vec<(u32, String)>,
    /// Those that were not, by name, and why.
    pub left_out: Vec<(String, String)>,
}

/// Those of `others` that can tell what would have happened without the change.
pub(super) fn of(settings: &Settings, evidence: &Evidence<'_>) -> Controls {
    let mut controls = Controls::default();
    let vms: BTreeSet<&str> = evidence
        .exposed
        .iter()
        .filter_map(|ifindex| vm(evidence, *ifindex))
        .collect();
    let exposed = flows(evidence, evidence.exposed);
    for ifindex in evidence.others {
        let Some(first) = evidence.before.first() else {
            break;
        };
        let Some(known) = first.interfaces.get(ifindex).and_then(|it| it.known()) else {
            continue;
        };
        let dev = known.dev.to_string();
        let because = match vm(evidence, *ifindex).filter(|vm| vms.contains(vm)) {
            Some(vm) => Some(format!("it belongs to {vm}, too")),
            None => unfit(settings, evidence, *ifindex, &exposed),
        };
        match because {
            None => controls.used.push((*ifindex, dev)),
            Some(because) => controls.left_out.push((dev, because)),
        }
    }
    controls
}

fn vm<'w>(evidence: &Evidence<'w>, ifindex: u32) -> Option<&'w str> {
    let mut windows = evidence.before.iter().chain(evidence.after);
    windows.find_map(|window| window.interfaces.get(&ifindex)?.known()?.vm.as_deref())
}

fn unfit(
    settings: &Settings,
    evidence: &Evidence<'_>,
    ifindex: u32,
    exposed: &HashMap<u64, u64>,
) -> Option<String> {
    let both = figures(evidence.before, ifindex).and_then(|before| {
        let after = figures(evidence.after, ifindex)?;
        Ok((before, after))
    });
    let (before, after) = match both {
        Ok(both) => both,
        Err(because) => return Some(because),
    };
    if let Some(because) = too_little(settings, &before, "before the change") {
        return Some(because);
    }
    let all = before.iter().chain(&after);
    let is_mixed = all.clone().any(|(_, figures)| {
        figures
            .features_changed
            .known()
            .is_some_and(|changes| *changes > 0)
    });
    if is_mixed {
        return Some("its features changed meanwhile".into());
    }
    let own = flows(evidence, &[ifindex]);
    let payload: u64 = own.values().sum();
    let bytes: u64 = all.map(|(_, figures)| figures.bytes()).sum();
    if (payload as f64) < bytes as f64 * FEWEST_KNOWN {
        return Some("with whom it talks is not known: most of it is no captured TCP".into());
    }
    let shared: u64 = own
        .iter()
        .filter(|(flow, _)| exposed.contains_key(flow))
        .map(|(_, bytes)| bytes)
        .sum();
    let is_shared = shared as f64 > payload as f64 * MOST_SHARED;
    is_shared.then(|| "it talks with those that are changed".into())
}

/// Payload by connection at any of these interfaces in all windows.
fn flows(evidence: &Evidence<'_>, ifindexes: &[u32]) -> HashMap<u64, u64> {
    let mut sum = HashMap::new();
    let windows = evidence.before.iter().chain(evidence.after);
    let each = |window: &'_ Window, ifindex: &u32| window.flows.get(ifindex).cloned();
    for window in windows {
        for flow in ifindexes.iter().filter_map(|ifindex| each(window, ifindex)) {
            for (flow, bytes) in flow {
                *sum.entry(flow).or_default() += bytes;
            }
        }
    }
    sum
}
