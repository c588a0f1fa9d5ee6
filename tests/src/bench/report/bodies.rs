//! The programs alone.

use super::Table;
use crate::bench::body::Body;

pub(in crate::bench) fn table(bodies: &[Body]) -> Table {
    let mut table = Table::new("", &["program", "ns a run", "by"]);
    for body in bodies {
        table.row([
            body.program.clone(),
            format!("{:.1}", body.run_ns),
            body.method.to_owned(),
        ]);
    }
    table
}
