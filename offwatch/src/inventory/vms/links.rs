//! The interfaces of the observed namespace, as far as VMs are concerned.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::inventory::nic::{self, backend};
use crate::sample::{Kind, Nic};

/// The interfaces of the observed namespace, as far as VMs are concerned.
#[derive(Clone, Debug, Default)]
pub struct LinkTable {
    /// Another one for each table that is made.
    pub(super) revision: u64,
    /// By name.
    links: HashMap<Arc<str>, Known>,
    pub(super) macvtaps: HashMap<u32, Arc<str>>,
    /// Those that may have an owner, by ifindex.
    pub(super) taps: Arc<Vec<(u32, Arc<str>)>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    ifindex: u32,
    is_macvtap: bool,
}

impl LinkTable {
    /// From name, ifindex and kind of each interface.
    pub fn new<'a>(links: impl IntoIterator<Item = (Arc<str>, u32, &'a Kind)>) -> Self {
        static REVISIONS: AtomicU64 = AtomicU64::new(1);
        let mut all = Self {
            revision: REVISIONS.fetch_add(1, Ordering::Relaxed),
            ..Self::default()
        };
        let mut taps = Vec::new();
        for (dev, ifindex, kind) in links {
            let is_macvtap = is_macvtap(kind);
            if is_macvtap {
                all.macvtaps.insert(ifindex, Arc::clone(&dev));
            }
            if is_macvtap || *kind == Kind::Tap {
                taps.push((ifindex, Arc::clone(&dev)));
            }
            let known = Known {
                ifindex,
                is_macvtap,
            };
            all.links.insert(dev, known);
        }
        taps.sort_unstable();
        all.taps = Arc::new(taps);
        all
    }

    /// ifindex of an interface, by name.
    pub fn ifindex(&self, dev: &str) -> Option<u32> {
        self.links.get(dev).map(|link| link.ifindex)
    }
}

fn is_macvtap(kind: &Kind) -> bool {
    matches!(kind, Kind::Other(name) if name == backend::MACVTAP)
}

/// Corrects a card by what its interface is: a name tells nothing, and
/// `<interface type='ethernet'>` takes a macvtap as well as a tap. Returns the
/// ifindex.
pub(super) fn refine(card: &mut Nic, is_active: bool, links: &LinkTable) -> Option<u32> {
    let dev = card.dev.as_ref()?;
    let link = links.links.get(dev.as_str());
    match link {
        Some(link) if link.is_macvtap && card.backend == backend::TAP => {
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
    link.map(|link| link.ifindex)
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
        let links = LinkTable::new([
            ("vnet0".into(), 4, &macvtap),
            ("macvtap0".into(), 5, &Kind::Tap),
        ]);
        let mut nic = tap("vnet0");
        assert_eq!(refine(&mut nic, true, &links), Some(4));
        assert_eq!(nic.backend, "macvtap");
        assert_eq!(nic.dev.as_deref(), Some("vnet0"));
        assert!(nic.unobservable.is_some());
        let mut nic = tap("macvtap0");
        refine(&mut nic, true, &links);
        assert_eq!(nic, tap("macvtap0"));
        let mut nic = tap("gone0");
        assert_eq!(refine(&mut nic, true, &links), None);
        assert!(nic.unobservable.unwrap().contains("gone0"));
    }
}
