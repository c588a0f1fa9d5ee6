//! One window of `offwatch advise` on large hosts.

use anyhow::Result;
use serde::Serialize;

use super::{
    goals::{self, Outcome},
    report::Table,
    scale::LARGE,
    usage::{self, Usage},
};
use crate::{Netns, command::ip_batch, observer::offwatch};

/// As short as a window may be: what is judged is the same.
const WINDOW_S: f64 = 2.0;
const TURNS: usize = 3;

/// One size.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Advising {
    interfaces: u32,
    /// The run with the middle of the CPU times.
    usage: Usage,
}

pub(super) fn measure(sizes: &[u32]) -> Result<Vec<Advising>> {
    sizes.iter().map(|interfaces| of(*interfaces)).collect()
}

fn of(interfaces: u32) -> Result<Advising> {
    let ns = Netns::new()?;
    let taps = (0..interfaces).map(|number| format!("tuntap add dev ow{number} mode tap vnet_hdr"));
    ip_batch(&ns, &taps.collect::<Vec<_>>())?;
    let window = format!("{WINDOW_S}s");
    let mut runs = Vec::new();
    for _ in 0..TURNS {
        let command = offwatch(&ns, &["advise", "--json", "--window", &window])?;
        runs.push(usage::of(command, &[0])?);
    }
    runs.sort_by(|one, other| one.cpu_ms.total_cmp(&other.cpu_ms));
    Ok(Advising {
        interfaces,
        usage: runs[TURNS / 2],
    })
}

pub(super) fn table(sizes: &[Advising]) -> Table {
    let heads = [
        "interfaces",
        "CPU, ms",
        "wall beyond the window, ms",
        "memory, MiB",
    ];
    let mut table = Table::new("", &heads);
    for Advising { interfaces, usage } in sizes {
        table.row([
            interfaces.to_string(),
            format!("{:.0}", usage.cpu_ms),
            format!("{:.0}", usage.wall_ms - WINDOW_S * 1e3),
            format!("{:.0}", usage.memory_mib),
        ]);
    }
    table
}

pub(super) fn goals(sizes: &[Advising]) -> Vec<Outcome> {
    let large = sizes.iter().find(|size| size.interfaces >= LARGE);
    let cpu = large.map(|size| size.usage.cpu_ms);
    vec![goals::ADVISE.outcome(cpu.ok_or_else(|| "not with --quick".to_owned()))]
}
