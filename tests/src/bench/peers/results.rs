//! What the others take.

use serde::Serialize;

use super::{bpftrace::Beside, netqtop, virsh::Ticks};
use crate::bench::{
    goals::{self, Outcome},
    path::{Load, Shape, Wiring},
    report::Table,
};

/// All of them.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Peers {
    /// Or why it could not be measured.
    pub(super) bpftrace: Result<Beside, String>,
    pub(super) ticks: Ticks,
    /// Why netqtop could not be measured.
    pub(super) netqtop: Option<String>,
}

pub(in crate::bench) fn tables(peers: &Peers) -> Vec<Table> {
    vec![script(&peers.bpftrace), ticks(&peers.ticks), others(peers)]
}

fn script(beside: &Result<Beside, String>) -> Table {
    let title = match beside {
        Ok(beside) => format!("A script of {}, at {}", beside.version, beside.probes),
        Err(_) => "A script of bpftrace".to_owned(),
    };
    let heads = [
        "way",
        "ns a frame",
        "offwatch adds, ns",
        "the script adds, ns",
        "offwatch, to the script",
    ];
    let mut table = Table::new(title, &heads);
    match beside {
        Ok(beside) => {
            for way in &beside.ways {
                table.row([
                    way.load.title(),
                    format!("{:.0}", way.path_ns),
                    format!("{:.0}", way.offwatch_ns),
                    format!("{:.0}", way.script_ns),
                    format!("{:.2}", way.ratio),
                ]);
            }
        }
        Err(reason) => table.row([reason.clone()]),
    }
    table
}

fn ticks(ticks: &Ticks) -> Table {
    let title = format!("A tick at {} domains", ticks.domains);
    let mut table = Table::new(title, &["", "CPU, ms"]);
    table.row([
        "offwatch top --stream".to_owned(),
        format!("{:.1}", ticks.offwatch_ms),
    ]);
    table.row([
        "virsh domifstat of each interface".to_owned(),
        match &ticks.virsh_ms {
            Ok(ms) => format!("{ms:.1}"),
            Err(reason) => reason.clone(),
        },
    ]);
    table
}

fn others(peers: &Peers) -> Table {
    let mut table = Table::new("Not compared", &["", "because"]);
    let runs = "it runs, but tells of one physical interface, queue by queue";
    let netqtop = peers.netqtop.as_deref().unwrap_or(runs);
    table.row([netqtop::PROGRAM, netqtop]);
    let silent = "libvirt's test driver answers it with no counters";
    table.row(["virsh domstats --interface", silent]);
    table
}

pub(in crate::bench) fn goals(peers: &Peers) -> Vec<Outcome> {
    let bridge = Load {
        wiring: Wiring::Bridge,
        shape: Shape::Small,
    };
    let ratio = peers.bpftrace.as_ref().map(|beside| {
        let way = beside.ways.iter().find(|way| way.load == bridge);
        way.map(|way| way.ratio.median)
    });
    let ratio = match ratio {
        Ok(ratio) => ratio.ok_or_else(String::new),
        Err(reason) => Err(reason.clone()),
    };
    vec![goals::BPFTRACE.outcome(ratio)]
}
