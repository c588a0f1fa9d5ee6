//! Series of the host as a whole, and of what cannot be seen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{exporter::uncounted as reason_of, labels, snapshot::Series, value::Value};
use crate::{
    filter::Filter,
    model::{Cost, Measured, Moment, missing},
    sample::{Counters, ExactCounters, Host, Kind, Sample, Vm, VmState},
};

/// Where libvirt has VMs.
const NO_LIBVIRT: &str =
    "it does not answer: its VMs are told by its files and /proc, without disks";

pub(super) fn info(host: &Host) -> Box<str> {
    let labels = labels::of(&[
        ("host", &host.name),
        ("kernel", &host.kernel),
        ("hook", host.hook.name()),
    ]);
    labels.into()
}

/// What a segment and a checksummed byte cost, seconds.
pub(super) fn cost(cost: &Cost) -> (Option<f64>, Option<f64>) {
    let seconds = |measured: Option<Measured>| measured.map(|measured| measured.ns / 1e9);
    (seconds(cost.segment), seconds(cost.checksum_byte))
}

/// None where a recording does not tell it.
pub(super) fn online_cpus(host: &Host) -> Option<u64> {
    (host.online_cpus > 0).then_some(host.online_cpus.into())
}

/// Memory of the host; none where its source does not tell it.
pub(super) fn memory_bytes(host: &Host) -> Option<u64> {
    let kib = host.node.as_ref()?.memory_kib;
    (kib > 0).then(|| kib.checked_mul(1024)).flatten()
}

/// When the oldest statistics of a VM were told, milliseconds since the Unix epoch.
pub(super) fn statistics_unix_ms(sample: &Sample) -> Option<u64> {
    let stats = sample.vms.iter().filter_map(|vm| vm.stats.as_ref());
    let oldest = stats.map(|stats| stats.monotonic_ns).min()?;
    let age_ms = sample.monotonic_ns.saturating_sub(oldest) / 1_000_000;
    Some(sample.time_unix_ms.saturating_sub(age_ms))
}

/// What cannot be seen on the whole host, and why.
pub(super) fn unavailable(
    sample: &Sample,
    moment: &Moment,
    (enforcement, as_set): (Option<&str>, Option<&str>),
) -> Vec<Series> {
    let host = &sample.host;
    let blind = moment.blind();
    let exact = &host.exact;
    let segmentation = exact.segmentation.method().err();
    let checksum = exact.checksum.method().and(exact.crc32c.method()).err();
    let is_derived = segmentation.or(checksum).is_some();
    let no_vhost = |vm: &Vm| vm.pid.is_some() && vm.vhost_cpu_ns.is_none();
    let vhost = sample.vms.iter().any(no_vhost);
    let vhost = vhost.then_some("the vhost threads of a VM's process cannot be seen");
    let known = [
        ("libvirt", host.libvirt_is_silent.then_some(NO_LIBVIRT)),
        ("gso", blind.gso),
        ("drops", blind.drops),
        ("software_work", blind.work.filter(|_| is_derived)),
        ("segmentation_seconds", segmentation),
        ("checksum_seconds", checksum),
        ("drops_by_class", no_exact(sample)),
        ("vhost_cpu", vhost),
        ("feature_changes", no_changes(sample)),
        ("enforcement", enforcement),
        ("enforcement_as_set", as_set),
    ];
    let known = known.into_iter();
    let known = known.filter_map(|(what, reason)| Some((what, reason?)));
    let notes: Vec<String> = host.notes.iter().map(|note| lasting(note)).collect();
    let notes = notes.iter().map(|note| ("note", note.as_str()));
    let classes = exact.unknown_drops.iter();
    let classes = classes.map(|(class, reason)| (class_name(class), reason.as_str()));
    let classes = classes.filter(|_| blind.drops.is_none());
    // A set: the same note twice is one series.
    let reasons: BTreeSet<(&str, &str)> = known.chain(notes).chain(classes).collect();
    let series = reasons.iter().map(|(what, reason)| Series {
        labels: labels::of(&[("what", what), ("reason", reason)]).into(),
        value: Value::Count(1),
    });
    series.collect()
}

/// A note without its numbers and what is in brackets. Those change, and each time would
/// make another series.
fn lasting(note: &str) -> String {
    let mut depth = 0_usize;
    let outside: String = note
        .chars()
        .filter(|letter| {
            depth += usize::from(*letter == '(');
            let is_outside = depth == 0;
            depth = depth.saturating_sub(usize::from(*letter == ')'));
            is_outside
        })
        .collect();
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let words = outside.split_whitespace();
    let words = words.map(|word| if is_number(word) { "N" } else { word });
    words.collect::<Vec<&str>>().join(" ")
}

/// Why it is not known of an interface how often its features changed.
fn no_changes(sample: &Sample) -> Option<&str> {
    let mut interfaces = sample.interfaces.iter();
    interfaces.find_map(|found| found.offloads.features_changed.reason())
}

/// What a class of drops is called there.
fn class_name(class: &str) -> &'static str {
    match class {
        "full_ring" => "drops_full_ring",
        "validate_xmit" => "drops_validate_xmit",
        "checksum" => "drops_checksum",
        _ => "drops_gso",
    }
}

/// Why no interface has drops by class, if none has.
fn no_exact(sample: &Sample) -> Option<&str> {
    let mut reason = None;
    for found in &sample.interfaces {
        match (&found.counters, &found.exact) {
            (Counters::Counted(_), ExactCounters::Counted(_)) => return None,
            (Counters::Counted(_), ExactCounters::Unavailable(why)) => reason = Some(&**why),
            (Counters::Unavailable(_), _) => {}
        }
    }
    reason
}

/// Cards of VMs that run which cannot be seen, by `vm`, `dev` and `reason`: how many.
pub(super) fn unobservable(
    sample: &Sample,
    names: &[Arc<str>],
    by_dev: &HashMap<&str, usize>,
    filter: &Filter,
    top: usize,
) -> Vec<Series> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let is_on = |state| !matches!(state, VmState::Shutoff | VmState::Crashed);
    for (vm, name) in sample
        .vms
        .iter()
        .zip(names)
        .filter(|(vm, _)| is_on(vm.state))
    {
        for nic in vm.nics.iter() {
            let place = nic.dev.as_deref().and_then(|dev| by_dev.get(dev));
            let found = place.map(|place| &*sample.interfaces[*place]);
            let reason = match (&nic.unobservable, found) {
                (Some(reason), _) => reason.clone(),
                (None, None) => missing(nic),
                (None, Some(found)) => match reason_of(found) {
                    Some(reason) => reason.to_owned(),
                    None => continue,
                },
            };
            if !filter.shows(Some(&vm.name), nic.dev.as_deref()) {
                continue;
            }
            let dev = nic.dev.as_deref().unwrap_or_default();
            let labels = labels::of(&[("vm", name), ("dev", dev), ("reason", &reason)]);
            *counts.entry(labels).or_default() += 1;
        }
    }
    bounded(counts, top)
}

/// Other interfaces that are not counted, by `dev` and `reason`.
pub(super) fn uncounted(
    sample: &Sample,
    owners: &[Option<(usize, usize)>],
    filter: &Filter,
    top: usize,
) -> Vec<Series> {
    let others = sample.interfaces.iter().zip(owners);
    let others = others.filter(|(found, owner)| owner.is_none() && found.kind != Kind::Loopback);
    let uncounted = others.filter_map(|(found, _)| {
        let reason = reason_of(found)?;
        let labels = labels::of(&[("dev", &found.dev), ("reason", reason)]);
        filter.shows(None, Some(&found.dev)).then_some((labels, 1))
    });
    bounded(uncounted.collect(), top)
}

fn bounded(counts: BTreeMap<String, u64>, top: usize) -> Vec<Series> {
    let most = match top {
        0 => usize::MAX,
        top => top,
    };
    let series = counts.into_iter().take(most).map(|(labels, count)| Series {
        labels: labels.into(),
        value: Value::Count(count),
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_stays_the_same_while_what_is_in_it_changes() {
        let note = "at least 17 frames of IPv4 passed unseen (vnet12, vnet9 and 3 more): by XDP";
        let told = lasting(note);
        assert_eq!(told, "at least N frames of IPv4 passed unseen : by XDP");
        assert_eq!(
            lasting(&note.replace("17", "1800").replace("vnet9", "vnet8")),
            told
        );
        assert_eq!(lasting("a) b (c"), "a) b", "it need not be balanced");
    }
}
