//! The view of network cards: those that were there an interval ago, too.

use super::{
    Body, ViewOptions,
    number::{Count, Id, padded, shown},
    state::letter,
};
use crate::model::{
    overview::{Domain, Overview},
    usage::NicDelta,
};

pub(super) fn body(overview: &Overview<'_>, options: &ViewOptions) -> Body {
    let active = overview.domains.iter().filter(|domain| domain.is_active);
    let mut rows: Vec<(&Domain<'_>, &str, NicDelta)> = active
        .filter_map(|domain| Some((domain, domain.usage?)))
        .flat_map(|(domain, usage)| usage.nics().map(move |(dev, delta)| (domain, dev, delta)))
        .collect();
    rows.sort_by(|one, other| {
        options
            .order
            .nics((one.0, one.1, &one.2), (other.0, other.1, &other.2))
    });
    Body {
        heading: "   ID S RXBY TXBY RXPK TXPK DOMAIN       INTERFACE".to_owned(),
        rows: rows.iter().map(row).collect(),
        owners: rows.iter().map(|(domain, ..)| domain.place).collect(),
        message: None,
    }
}

fn row((domain, dev, delta): &(&Domain<'_>, &str, NicDelta)) -> String {
    format!(
        "{} {} {} {} {} {} {} {}",
        Id(domain.id),
        letter(domain.state),
        Count(delta.rx_bytes),
        Count(delta.tx_bytes),
        Count(delta.rx_packets),
        Count(delta.tx_packets),
        padded(domain.name, 12),
        shown(dev),
    )
}
