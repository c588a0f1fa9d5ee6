//! The view of VMs.

use super::{
    Body, ViewOptions,
    number::{Count, CpuTime, Id, Percent, shown},
    state::letter,
};
use crate::model::overview::{Domain, Overview};

pub(super) fn body(overview: &Overview<'_>, options: &ViewOptions) -> Body {
    let mut domains = overview.domains.clone();
    options.order.domains(&mut domains);
    let heading = match options.block_in_bytes {
        true => "   ID S RDBY WRBY RXBY TXBY %CPU %MEM    TIME   NAME",
        false => "   ID S RDRQ WRRQ RXBY TXBY %CPU %MEM    TIME   NAME",
    };
    Body {
        heading: heading.to_owned(),
        rows: domains
            .iter()
            .map(|domain| row(domain, options.block_in_bytes))
            .collect(),
        owners: domains.iter().map(|domain| domain.place).collect(),
        message: None,
    }
}

fn row(domain: &Domain<'_>, block_in_bytes: bool) -> String {
    let name = shown(domain.name);
    if !domain.is_active {
        return format!("{:48}({name})", "    -");
    }
    let usage = domain.usage;
    let disk = usage.and_then(|usage| usage.disk()).unwrap_or_default();
    let (reads, writes) = match block_in_bytes {
        true => (disk.read_bytes, disk.write_bytes),
        false => (disk.read_requests, disk.write_requests),
    };
    let nic = usage.and_then(|usage| usage.nic()).unwrap_or_default();
    let memory = usage.and_then(|usage| usage.memory_percent());
    format!(
        "{} {} {} {} {} {} {} {} {} {name}",
        Id(domain.id),
        letter(domain.state),
        Count(reads),
        Count(writes),
        Count(nic.rx_bytes),
        Count(nic.tx_bytes),
        Percent(usage.and_then(|usage| usage.cpu_percent())),
        Percent(memory.map(|percent| percent as f64)),
        CpuTime(usage.and_then(|usage| usage.now.cpu_time_ns)),
    )
}
