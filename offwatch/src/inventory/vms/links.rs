//! The interfaces of the observed namespace, as far as VMs are concerned.

use std::collections::{BTreeSet, HashMap};

use crate::inventory::nic::{self, backend};
use crate::sample::{Kind, Nic};

/// The interfaces of the observed namespace, as far as VMs are concerned.
#[derive(Clone, Debug, Default)]
pub struct LinkTable {
    pub(super) kinds: HashMap<String, Kind>,
    pub(super) macvtaps: HashMap<u32, String>,
    /// Those that may have an owner.
    pub(super) taps: BTreeSet<(u32, String)>,
}

impl LinkTable {
    /// From name, ifindex and kind of each interface.
    pub fn new<'a>(links: impl IntoIterator<Item = (&'a str, u32, &'a Kind)>) -> Self {
        let mut all = Self::default();
        for (dev, ifindex, kind) in links {
            if is_macvtap(kind) {
                all.macvtaps.insert(ifindex, dev.to_owned());
            }
            if is_macvtap(kind) || *kind == Kind::Tap {
                all.taps.insert((ifindex, dev.to_owned()));
            }
            all.kinds.insert(dev.to_owned(), kind.clone());
        }
        all
    }
}

fn is_macvtap(kind: &Kind) -> bool {
    matches!(kind, Kind::Other(name) if name == backend::MACVTAP)
}

/// Corrects a card by what its interface is: a name tells nothing, and
/// `<interface type='ethernet'>` takes a macvtap as well as a tap.
pub(super) fn refine(card: &mut Nic, is_active: bool, links: &LinkTable) {
    let Some(dev) = &card.dev else { return };
    match links.kinds.get(dev) {
        Some(kind) if is_macvtap(kind) && card.backend == backend::TAP => {
            *card = nic::nic(backend::MACVTAP, card.dev.take(), card.mac.take());
        }
        None if is_active && card.unobservable.is_none() => {
            card.unobservable = Some(format!(
                "{}: there is no {dev} in the observed network namespace",
                card.backend
            ));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(dev: &str) -> Nic {
        nic::nic("tap", Some(dev.to_owned()), None)
    }

    #[test]
    fn interfaces_are_what_they_are() {
        let macvtap = Kind::Other("macvtap".into());
        let links = LinkTable::new([("vnet0", 4, &macvtap), ("macvtap0", 5, &Kind::Tap)]);
        let mut nic = tap("vnet0");
        refine(&mut nic, true, &links);
        assert_eq!(nic.backend, "macvtap");
        assert_eq!(nic.dev.as_deref(), Some("vnet0"));
        assert!(nic.unobservable.is_some());
        let mut nic = tap("macvtap0");
        refine(&mut nic, true, &links);
        assert_eq!(nic, tap("macvtap0"));
        let mut nic = tap("gone0");
        refine(&mut nic, true, &links);
        assert!(nic.unobservable.unwrap().contains("gone0"));
    }
}
