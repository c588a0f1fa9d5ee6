//! The view of physical CPUs: a row for each, a column for each VM that runs.
//!
//! Below each VM are the share of the CPU that all its threads took, and that
//! of its virtual CPUs alone. Where libvirt does not tell (it needs cgroup v1
//! for that), the second one is what virtual CPUs took that were on the CPU at
//! both ends of the interval, marked with `~`: they may have been elsewhere in
//! between.

use super::{
    Body,
    number::{Percent, columns, padded, shown},
};
use crate::model::{
    overview::Overview,
    usage::{PcpuDelta, Usage},
};

/// A column is never narrower than its figures.
const NARROWEST: usize = 12;
/// Columns of two figures.
const FIGURES: usize = 10;

/// Linux has no more (`NR_CPUS`); a damaged recording may tell of any number.
const MOST_CPUS: u32 = 8192;

pub(super) fn body(overview: &Overview<'_>) -> Body {
    let shown_domains = overview.domains.iter().filter(|domain| domain.is_active);
    let vms: Vec<(&str, usize, &Usage)> = shown_domains
        .filter_map(|domain| {
            let usage = domain.usage.filter(|usage| usage.interval_ns().is_some())?;
            let width = (columns(&shown(domain.name)) + 1).max(NARROWEST);
            has_pcpus(usage).then_some((domain.name, width, usage))
        })
        .collect();
    let mut heading = "PHYCPU %CPU ".to_owned();
    for (name, width, _) in &vms {
        heading.push_str(&padded(name, *width));
    }
    let rows = (0..overview.node.cpus.min(MOST_CPUS)).map(|cpu| row(cpu, &vms));
    Body {
        heading,
        rows: rows.collect(),
        owners: Vec::new(),
        message: message(overview, vms.is_empty()),
    }
}

fn row(cpu: u32, vms: &[(&str, usize, &Usage)]) -> String {
    let mut cells = String::new();
    let mut sum = None;
    for (_, width, usage) in vms {
        let delta = usage.pcpu(cpu);
        let share = |ns: Option<u64>| {
            let interval = usage.interval_ns()? as f64;
            Some(100.0 * ns? as f64 / interval)
        };
        let (all, vcpus) = (share(delta.time_ns), share(delta.vcpu_time_ns));
        if let Some(share) = all.or(vcpus) {
            *sum.get_or_insert(0.0) += share;
        }
        cells.push_str(&cell(all, false));
        cells.push_str(&cell(vcpus, delta.is_approximate));
        cells.extend(std::iter::repeat_n(' ', width - FIGURES));
    }
    format!("{cpu:4}   {} {cells}", Percent(sum))
}

/// A figure in 5 columns: blank where there was nothing.
fn cell(share: Option<f64>, is_approximate: bool) -> String {
    let share = share.filter(|share| *share > 0.0);
    let mark = match share {
        Some(_) if is_approximate => '~',
        _ => ' ',
    };
    format!("{}{mark}", Percent(share))
}

/// Whether anything is known of the physical CPUs of a VM.
fn has_pcpus(usage: &Usage) -> bool {
    let before = usage.before.as_ref();
    let by_libvirt = before.is_some_and(|stats| stats.pcpus.is_some());
    let vcpus = usage.now.vcpus.iter().flatten();
    let by_vcpus = vcpus.filter(|vcpu| vcpu.pcpu.is_some()).count() > 0;
    (by_libvirt && usage.now.pcpus.is_some()) || by_vcpus
}

fn message(overview: &Overview<'_>, is_empty: bool) -> Option<String> {
    let mut usages = overview.domains.iter().filter_map(|domain| domain.usage);
    if is_empty {
        let mut active = usages.filter(|usage| usage.interval_ns().is_some());
        return active
            .next()
            .map(|_| "which physical CPUs VMs use is not known: libvirt does not tell".to_owned());
    }
    let approximate = |usage: &Usage| {
        let PcpuDelta { is_approximate, .. } = usage.pcpu(0);
        has_pcpus(usage) && is_approximate
    };
    usages
        .any(approximate)
        .then(|| "~ by where virtual CPUs were seen: libvirt does not tell more".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        model::usage::UsageHistory,
        sample::{Host, Node, Sample},
    };

    #[test]
    fn a_damaged_number_of_cpus_takes_no_memory() {
        let node = Node {
            host_name: "kvm1".into(),
            arch: "x86_64".into(),
            online_cpus: 2,
            cpus: 1 << 20,
            mhz: None,
            memory_kib: 1000,
        };
        let sample = Sample {
            host: Host {
                node: Some(Arc::new(node)),
                ..Host::default()
            },
            ..Sample::default()
        };
        let history = UsageHistory::default();
        let body = body(&Overview::of_sample(&sample, &history));
        assert_eq!(body.rows.len(), MOST_CPUS as usize);
    }
}
