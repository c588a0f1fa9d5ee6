//! virt-top's text blocks (`--stream`), one a tick.

use std::fmt::Write as _;

use super::{
    ViewOptions,
    header::{local_time, machine},
    number::{Count, CpuTime, Id, OrDash, Percent, shown},
    state::letter,
};
use crate::model::overview::{Domain, Overview};

/// One block: active VMs by id, whatever the order of the screen is. Every
/// column has a value, as programs read it: 0 in a first sample, as in
/// virt-top, and `-` for what is not known.
pub fn stream(overview: &Overview<'_>, options: &ViewOptions) -> String {
    let (read, write) = match options.block_in_bytes {
        true => ("RDBY", "WRBY"),
        false => ("RDRQ", "WRRQ"),
    };
    let mut block = format!(
        "virt-top time  {} Host {} {} \n   ID S {read} {write} RXBY TXBY %CPU %MEM   TIME    NAME\n",
        local_time(overview.time_unix_ms, &options.zone),
        shown(&overview.node.host_name),
        machine(&overview.node),
    );
    let active = overview.domains.iter().filter(|domain| domain.is_active);
    let mut domains: Vec<&Domain<'_>> = active.collect();
    domains.sort_by_key(|domain| (domain.id.is_none(), domain.id, domain.name));
    for domain in domains {
        row(&mut block, domain, options.block_in_bytes);
    }
    block
}

fn row(block: &mut String, domain: &Domain<'_>, block_in_bytes: bool) {
    let usage = domain.usage;
    let is_first = usage.is_some_and(|usage| usage.interval_ns().is_none());
    // What a VM without disks or cards moved is 0, and known.
    let disks = usage.and_then(|usage| usage.now.disks.as_ref());
    let nics = usage.and_then(|usage| usage.now.nics.as_ref());
    let is_zero = |count: Option<usize>| count.is_some_and(|count| is_first || count == 0);
    let disk_is_zero = is_zero(disks.map(Vec::len));
    let nic_is_zero = is_zero(nics.map(Vec::len));
    let disk = usage.and_then(|usage| usage.disk()).unwrap_or_default();
    let nic = usage.and_then(|usage| usage.nic()).unwrap_or_default();
    let (reads, writes) = match block_in_bytes {
        true => (disk.read_bytes, disk.write_bytes),
        false => (disk.read_requests, disk.write_requests),
    };
    let count = |count: Option<u64>, is_zero: bool| {
        let count = count.or(is_zero.then_some(0));
        OrDash(count.map(|count| Count(Some(count))), 4)
    };
    let percent = |percent: Option<f64>, is_known: bool| {
        let percent = match is_first && is_known {
            true => Some(0.0),
            false => percent,
        };
        OrDash(percent.map(|percent| Percent(Some(percent))), 4)
    };
    let cpu_time = usage.and_then(|usage| usage.now.cpu_time_ns);
    let time = OrDash(cpu_time.map(|ns| CpuTime(Some(ns))), 9);
    let cpu = usage.and_then(|usage| usage.cpu_percent());
    let memory = usage.and_then(|usage| usage.memory_percent());
    // Writing to a String does not fail.
    let _ = writeln!(
        block,
        "{} {} {} {} {} {} {} {} {time} {}",
        Id(domain.id),
        letter(domain.state),
        count(reads, disk_is_zero),
        count(writes, disk_is_zero),
        count(nic.rx_bytes, nic_is_zero),
        count(nic.tx_bytes, nic_is_zero),
        percent(cpu, cpu_time.is_some()),
        percent(memory.map(|percent| percent as f64), memory.is_some()),
        shown(domain.name),
    );
}
