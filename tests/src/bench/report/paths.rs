//! All contenders on one way.

use offwatch::sample::Hook;
use serde::Serialize;

use super::{
    super::goals::{self, Outcome},
    Table, cell,
};
use crate::bench::{
    path::{Load, Shape, Wiring},
    rounds::{Cost, baselines},
    stats::Estimate,
    variant::Variant,
};

/// All variants on one way.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct PathReport {
    load: Load,
    variants: Vec<VariantReport>,
}

/// One variant on one way. Ratios are those to the empty programs at the same
/// hook.
#[derive(Debug, Serialize)]
struct VariantReport {
    #[serde(skip)]
    variant: Variant,
    name: String,
    path_ns: f64,
    added_ns: Option<Estimate>,
    /// The whole way, to that without any program.
    path_ratio: Option<Estimate>,
    /// The added cost, to that of the empty program that counts.
    added_ratio_count: Option<Estimate>,
    /// The added cost, to that of the empty program that returns.
    added_ratio_zero: Option<Estimate>,
}

impl PathReport {
    pub(in crate::bench) fn new(load: Load, cost: &Cost) -> Self {
        let variants = Variant::ALL.map(|variant| {
            let against = match variant {
                Variant::Offwatch(hook) => Some(baselines(hook)),
                _ => None,
            };
            let attached = variant != Variant::Nothing;
            VariantReport {
                variant,
                name: variant.title(),
                path_ns: cost.path_ns(variant),
                added_ns: attached.then(|| cost.added_ns(variant)),
                path_ratio: attached.then(|| cost.path_ratio(variant, Variant::Nothing)),
                added_ratio_count: against.map(|(count, _)| cost.added_ratio(variant, count)),
                added_ratio_zero: against.map(|(_, zero)| cost.added_ratio(variant, zero)),
            }
        });
        Self {
            load,
            variants: variants.into(),
        }
    }

    /// What the hooks that offwatch uses where it can add, to what empty ones do.
    fn added_ratio(&self) -> Option<Estimate> {
        let default = Variant::Offwatch(Hook::default());
        let mut variants = self.variants.iter();
        let found = variants.find(|report| report.variant == default);
        found?.added_ratio_count
    }

    pub(in crate::bench) fn table(&self) -> Table {
        let heads = [
            "",
            "ns a frame",
            "added, ns",
            "to nothing",
            "added, to (array + 1)",
            "added, to (return)",
        ];
        let mut table = Table::new(self.load.title(), &heads);
        for row in &self.variants {
            table.row([
                row.name.clone(),
                format!("{:.0}", row.path_ns),
                cell(row.added_ns, 0),
                cell(row.path_ratio, 2),
                cell(row.added_ratio_count, 2),
                cell(row.added_ratio_zero, 2),
            ]);
        }
        table
    }
}

pub(in crate::bench) fn goals(paths: &[PathReport]) -> Vec<Outcome> {
    let goals = [
        (&goals::BRIDGE, Wiring::Bridge),
        (&goals::VETH, Wiring::VethPair),
    ];
    let goals = goals.into_iter().map(|(goal, wiring)| {
        let load = Load {
            wiring,
            shape: Shape::Small,
        };
        let path = paths.iter().find(|path| path.load == load);
        let ratio = path.and_then(PathReport::added_ratio);
        goal.outcome(ratio.map(|ratio| ratio.median).ok_or_else(String::new))
    });
    goals.collect()
}
