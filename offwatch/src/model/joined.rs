//! Two samples, joined: what turning interfaces of one into those of a model
//! needs.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use offwatch_common::Slot;

use super::{figures::Sight, offloads::Catalogue};
use crate::sample::{self, Blind, Counters, ExactCounters, ExactHooks, Sample};

/// A sample, and the one before.
pub(super) struct Joined {
    pub(super) sample: Arc<Sample>,
    /// None if no rates can be given.
    pub(super) earlier: Option<Arc<Sample>>,
    pub(super) interval: Option<Duration>,
    /// Why no rate can be given at all.
    pub(super) no_interval: Option<&'static str>,
    pub(super) blind: Blind,
    pub(super) catalogue: Catalogue,
    /// For each interface, its place in the earlier sample.
    before: Vec<Option<u32>>,
    /// Places of interfaces by ifindex.
    places: OnceLock<HashMap<u32, usize>>,
}

impl Joined {
    pub(super) fn new(sample: Arc<Sample>, earlier: Option<(Arc<Sample>, Duration)>) -> Self {
        let no_interval = match &earlier {
            None => Some("first sample"),
            Some((_, interval)) if interval.is_zero() => {
                Some("no interval: the clock of the recording stands still or goes backwards")
            }
            Some(_) => None,
        };
        let earlier = earlier.filter(|(_, interval)| !interval.is_zero());
        let (earlier, interval) = earlier.unzip();
        let before = match &earlier {
            Some(earlier) => join(&sample.interfaces, &earlier.interfaces),
            None => Vec::new(),
        };
        Self {
            blind: sample.host.blind(),
            catalogue: Catalogue::default(),
            before,
            places: OnceLock::new(),
            sample,
            earlier,
            interval,
            no_interval,
        }
    }

    pub(super) fn hooks(&self) -> &ExactHooks {
        &self.sample.host.exact
    }

    /// The place in the earlier sample of the interface at a place in this one.
    pub(super) fn before(&self, place: u32) -> Option<u32> {
        self.before.get(place as usize).copied().flatten()
    }

    /// The interface at a place in the earlier sample, if it was counted there.
    pub(super) fn counted_before(&self, place: u32) -> Option<&sample::Interface> {
        let interface = &self.earlier.as_ref()?.interfaces[place as usize];
        interface.counted().is_some().then_some(&**interface)
    }

    /// The name of the interface with an ifindex.
    pub(super) fn name_of(&self, ifindex: u32) -> Cow<'_, str> {
        let interfaces = &self.sample.interfaces;
        let places = self.places.get_or_init(|| {
            let places = interfaces.iter().enumerate();
            places
                .map(|(place, interface)| (interface.ifindex, place))
                .collect()
        });
        match places.get(&ifindex) {
            Some(place) => Cow::Borrowed(&interfaces[*place].dev),
            None => Cow::Owned(format!("ifindex {ifindex}")),
        }
    }

    /// An interface of this sample as the figures of it need it, if it is counted.
    pub(super) fn sight<'sample>(
        &'sample self,
        interface: &'sample sample::Interface,
    ) -> Option<Sight<'sample>> {
        sight(interface, self.hooks())
    }

    /// The same of an interface of the earlier sample.
    pub(super) fn sight_before<'sample>(
        &'sample self,
        interface: &'sample sample::Interface,
    ) -> Option<Sight<'sample>> {
        sight(interface, &self.earlier.as_ref()?.host.exact)
    }
}

fn sight<'sample>(
    interface: &'sample sample::Interface,
    hooks: &'sample ExactHooks,
) -> Option<Sight<'sample>> {
    Some(Sight {
        slot: interface.counted()?,
        exact: match &interface.exact {
            ExactCounters::Counted(slot) => Some(slot),
            ExactCounters::Unavailable(_) => None,
        },
        hooks,
    })
}

impl sample::Interface {
    fn key(&self) -> (u32, u64) {
        (self.ifindex, self.generation)
    }

    /// Its counters are those of `other`, by reference.
    pub(super) fn shares_counters(&self, other: &Self) -> bool {
        let slots = match (&self.counters, &other.counters) {
            (Counters::Counted(one), Counters::Counted(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        slots
            && match (&self.exact, &other.exact) {
                (ExactCounters::Counted(one), ExactCounters::Counted(other)) => {
                    Arc::ptr_eq(one, other)
                }
                (ExactCounters::Unavailable(_), ExactCounters::Unavailable(_)) => true,
                _ => false,
            }
    }

    pub(super) fn counted(&self) -> Option<&Slot> {
        match &self.counters {
            Counters::Counted(slot) => Some(slot),
            Counters::Unavailable(_) => None,
        }
    }
}

/// For each interface the place of the same one in the earlier sample. The same
/// has the same ifindex and generation, wherever it is listed; as a rule that is
/// behind the one before it, and as a rule it is shared, and not looked at.
fn join(now: &[Arc<sample::Interface>], earlier: &[Arc<sample::Interface>]) -> Vec<Option<u32>> {
    let mut by_key: Option<HashMap<(u32, u64), usize>> = None;
    let mut next = 0;
    let mut places = Vec::with_capacity(now.len());
    for interface in now {
        let is_same = |other: &Arc<sample::Interface>| {
            Arc::ptr_eq(interface, other) || interface.key() == other.key()
        };
        let place = match earlier.get(next).is_some_and(is_same) {
            true => Some(next),
            false => {
                let by_key = by_key.get_or_insert_with(|| {
                    let keys = earlier.iter().map(|interface| interface.key());
                    keys.zip(0..).collect()
                });
                by_key.get(&interface.key()).copied()
            }
        };
        next = place.map_or(next, |place| place + 1);
        places.push(place.and_then(|place| u32::try_from(place).ok()));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface((ifindex, generation): (u32, u64)) -> Arc<sample::Interface> {
        Arc::new(sample::Interface {
            ifindex,
            generation,
            ..sample::Interface::default()
        })
    }

    #[test]
    fn the_same_is_found_wherever_it_is_listed() {
        let earlier = [(1, 1), (2, 2), (3, 3), (4, 4)].map(interface);
        let places = |keys: &[(u32, u64)]| {
            let now: Vec<_> = keys.iter().copied().map(interface).collect();
            join(&now, &earlier)
        };
        assert_eq!(places(&[(1, 1), (2, 2)]), [Some(0), Some(1)]);
        assert_eq!(places(&[(2, 2), (3, 3)]), [Some(1), Some(2)], "one is gone");
        let replaced = [(1, 1), (2, 7), (3, 3), (5, 4)];
        assert_eq!(places(&replaced), [Some(0), None, Some(2), None]);
        assert_eq!(
            places(&[(4, 4), (1, 1), (3, 3)]),
            [Some(3), Some(0), Some(2)]
        );
        let mut earlier = earlier.to_vec();
        Arc::make_mut(&mut earlier[1]).counters = Counters::Unavailable("no slot".into());
        let sample = |interfaces| {
            Arc::new(Sample {
                interfaces,
                ..Sample::default()
            })
        };
        let earlier = (sample(earlier), Duration::from_secs(1));
        let joined = Joined::new(sample(vec![interface((2, 2))]), Some(earlier));
        assert_eq!(joined.before(0), Some(1));
        assert!(joined.counted_before(1).is_none(), "it was not counted");
        assert!(joined.counted_before(0).is_some());
    }
}
