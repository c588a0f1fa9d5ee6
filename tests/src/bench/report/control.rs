//! Starting, reading, ending.

use serde::Serialize;

use super::{
    super::{
        control::{Control, READ_INTERFACES},
        goals::{self, Outcome},
    },
    Table,
};

/// What else is known of the control path.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Beside {
    /// System calls to read [`READ_INTERFACES`] slots; none without strace.
    pub(in crate::bench) read_syscalls: Option<u64>,
    /// What the kernel charges for all maps.
    pub(in crate::bench) kernel_bytes: u64,
}

const MIB: f64 = 1024.0 * 1024.0;

pub(in crate::bench) fn tables(rows: &[Control], beside: &Beside) -> Vec<Table> {
    let heads = [
        "interfaces",
        "attach, ms",
        "= start",
        "+ observe",
        "detach, ms",
        "own BTF reader, ms",
        "aya's, ms",
        "read 10,000, ms",
    ];
    let mut times = Table::new("", &heads);
    for row in rows {
        times.row([
            row.interfaces.to_string(),
            format!("{:.1}", row.attach_ms()),
            format!("{:.1}", row.start_ms),
            format!("{:.2}", row.observe_ms),
            format!("{:.1}", row.stop_ms),
            format!("{:.1}", row.btf_ms),
            format!("{:.1}", row.loader_btf_ms),
            format!("{:.2}", row.read_ms),
        ]);
    }
    let mut counts = Table::new("", &["", "it is"]);
    let calls = beside.read_syscalls.map(|calls| calls.to_string());
    counts.row([
        format!("system calls to read {READ_INTERFACES} interfaces"),
        calls.unwrap_or_else(|| "strace is not installed".to_owned()),
    ]);
    counts.row([
        "kernel memory of all maps".to_owned(),
        format!("{:.2} MiB", beside.kernel_bytes as f64 / MIB),
    ]);
    vec![times, counts]
}

pub(in crate::bench) fn goals(rows: &[Control], beside: &Beside) -> Vec<Outcome> {
    let largest = rows.iter().find(|row| row.interfaces >= READ_INTERFACES);
    let largest = largest.ok_or("not with --quick");
    let attach = largest.map(|row| row.attach_ms() + row.stop_ms);
    let read = rows.last().map(|row| row.read_ms);
    let calls = beside.read_syscalls.map(|calls| calls as f64);
    vec![
        goals::ATTACH.outcome(attach.map_err(str::to_owned)),
        goals::READ.outcome(read.ok_or_else(String::new)),
        goals::READ_CALLS.outcome(calls.ok_or_else(|| "strace is not installed".to_owned())),
        goals::KERNEL_MEMORY.outcome(Ok(beside.kernel_bytes as f64 / MIB)),
    ]
}
