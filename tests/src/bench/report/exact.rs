//! What the programs at the kernel's own functions add.

use super::{Table, cell};
use crate::bench::exact::ExactCost;

pub(in crate::bench) fn table(costs: &[ExactCost]) -> Table {
    let heads = [
        "",
        "from tap to tap, ns",
        "added, ns",
        "the whole way, to that without",
    ];
    let mut table = Table::new("", &heads);
    for cost in costs {
        let name = format!("{}, {}", cost.method, cost.call);
        let path = format!("{:.0}", cost.path_ns);
        table.row(match &cost.added {
            Ok(added) => vec![
                name,
                path,
                cell(Some(added.ns), 0),
                cell(Some(added.path_ratio), 3),
            ],
            Err(reason) => vec![name, path, format!("not here: {reason}")],
        });
    }
    table
}
