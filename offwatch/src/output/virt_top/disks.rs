//! The view of disks: those that were there an interval ago, too.

use super::{
    Body, ViewOptions,
    number::{Count, Id, padded, shown},
    state::letter,
};
use crate::model::{
    overview::{Domain, Overview},
    usage::DiskDelta,
};

pub(super) fn body(overview: &Overview<'_>, options: &ViewOptions) -> Body {
    let active = overview.domains.iter().filter(|domain| domain.is_active);
    let mut rows: Vec<(&Domain<'_>, &str, DiskDelta)> = active
        .filter_map(|domain| Some((domain, domain.usage?)))
        .flat_map(|(domain, usage)| usage.disks().map(move |(dev, delta)| (domain, dev, delta)))
        .collect();
    rows.sort_by(|one, other| {
        options
            .order
            .disks((one.0, one.1, &one.2), (other.0, other.1, &other.2))
    });
    Body {
        heading: "   ID S RDBY WRBY RDRQ WRRQ DOMAIN       DEVICE".to_owned(),
        rows: rows.iter().map(row).collect(),
        owners: rows.iter().map(|(domain, ..)| domain.place).collect(),
        message: without_libvirt(overview),
    }
}

fn row((domain, dev, delta): &(&Domain<'_>, &str, DiskDelta)) -> String {
    format!(
        "{} {} {} {} {} {} {} {}",
        Id(domain.id),
        letter(domain.state),
        Count(delta.read_bytes),
        Count(delta.write_bytes),
        Count(delta.read_requests),
        Count(delta.write_requests),
        padded(domain.name, 12),
        shown(dev),
    )
}

/// Why there are no disks, if that is known for all VMs.
fn without_libvirt(overview: &Overview<'_>) -> Option<String> {
    let mut usages = overview.domains.iter().filter_map(|domain| domain.usage);
    let is_known = usages.any(|usage| usage.now.disks.is_some());
    let has_any = overview.domains.iter().any(|domain| domain.is_active);
    (has_any && !is_known).then(|| "no figures of disks: they need libvirt".to_owned())
}
