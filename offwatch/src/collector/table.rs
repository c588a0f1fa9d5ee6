//! What is known of each interface.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{counters::Compared, unobserved};
use crate::{
    inventory::link::Link,
    probe::{Counted, Probe},
    sample::{
        Counters, ExactCounters, Interface,
        offloads::{Fact, KernelCounters, Limits, Offloads},
    },
};

/// All interfaces, by ifindex.
pub(super) type Table = BTreeMap<u32, Known>;

/// Offloads that many interfaces have in common: most taps of a host.
#[derive(Debug, Default)]
pub(super) struct Common(VecDeque<Arc<Offloads>>);

impl Common {
    /// More are seldom common.
    const MOST: usize = 8;

    fn share(&mut self, offloads: &mut Arc<Offloads>) {
        match self.0.iter().find(|common| *common == offloads) {
            Some(common) => *offloads = Arc::clone(common),
            None => {
                if self.0.len() == Self::MOST {
                    self.0.pop_back();
                }
                self.0.push_front(Arc::clone(offloads));
            }
        }
    }
}

/// An interface.
pub(super) struct Known {
    pub(super) link: Link,
    /// Samples share it until it changes.
    pub(super) offloads: Arc<Offloads>,
    /// The kernel's own counters.
    pub(super) compared: Compared,
    pub(super) counted: Counted,
    /// As the last sample had it; none if it has changed since.
    shown: Option<Arc<Interface>>,
}

impl Known {
    /// Nothing yet, and no change of features was told.
    pub(super) fn new(link: Link) -> Self {
        Self {
            offloads: Arc::new(Offloads {
                features_changed: Fact::Known(0),
                ..Offloads::default()
            }),
            compared: Compared::default(),
            counted: Counted::default(),
            link,
            shown: None,
        }
    }

    /// The interface has changed.
    pub(super) fn changed(&mut self, link: Link) {
        self.link = link;
        self.shown = None;
    }

    /// What is known of its offloads, to be changed.
    pub(super) fn offloads_mut(&mut self) -> &mut Offloads {
        self.shown = None;
        Arc::make_mut(&mut self.offloads)
    }

    /// Its limits are others than were known.
    pub(super) fn set_limits(&mut self, limits: Arc<Limits>) {
        self.link.limits = limits;
        self.shown = None;
    }

    /// Reads what the hooks have counted.
    pub(super) fn count(&mut self, probe: Option<&Probe>, uncounted: &Arc<str>) {
        let is_new = match probe {
            Some(probe) => probe.read(self.link.ifindex, &mut self.counted),
            None => {
                let nothing = Counted::nothing(uncounted);
                let is_new = self.counted != nothing;
                self.counted = nothing;
                is_new
            }
        };
        if is_new {
            self.shown = None;
        }
    }

    /// The interface for a sample: that of the last one if nothing has changed.
    pub(super) fn show(
        &mut self,
        kernel: Fact<KernelCounters>,
        common: &mut Common,
    ) -> Arc<Interface> {
        if let Some(shown) = &self.shown {
            if shown.kernel == kernel {
                return Arc::clone(shown);
            }
        } else {
            common.share(&mut self.offloads);
        }
        let shown = Arc::new(self.interface(kernel));
        self.shown = Some(Arc::clone(&shown));
        shown
    }

    fn interface(&self, kernel: Fact<KernelCounters>) -> Interface {
        let link = &self.link;
        let Counted {
            generation,
            counters,
            exact,
        } = self.counted.clone();
        let (counters, exact) = match unobserved(link) {
            Some(reason) => (
                Counters::Unavailable(reason.into()),
                ExactCounters::Unavailable(reason.into()),
            ),
            None => (counters, exact),
        };
        Interface {
            dev: Arc::clone(&link.dev),
            ifindex: link.ifindex,
            generation,
            kind: link.kind.clone(),
            mac: link.mac.clone(),
            master: link.master,
            mtu: link.mtu,
            counters,
            exact,
            offloads: Arc::clone(&self.offloads),
            limits: Fact::Known(Arc::clone(&link.limits)),
            kernel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Kind;

    fn link(dev: &str, ifindex: u32) -> Link {
        Link {
            ifindex,
            dev: dev.into(),
            kind: Kind::Tap,
            mac: None,
            master: None,
            mtu: 1500,
            limits: Arc::default(),
            tap: None,
            xdp: false,
        }
    }

    fn shown(known: &mut Known, common: &mut Common, reason: &str) -> Arc<Interface> {
        known.count(None, &reason.into());
        known.show(Fact::Known(KernelCounters::default()), common)
    }

    #[test]
    fn an_interface_is_shared_until_anything_about_it_changes() {
        let (mut known, mut common) = (Known::new(link("t0", 5)), Common::default());
        let mut last = shown(&mut known, &mut common, "no probe");
        let again = shown(&mut known, &mut common, "no probe");
        assert!(Arc::ptr_eq(&last, &again), "nothing has changed");
        type Change = fn(&mut Known);
        let changes: [Change; 3] = [
            |known| known.changed(link("t1", 5)),
            |known| known.set_limits(Arc::default()),
            |known| known.offloads_mut().features_changed = Fact::Known(3),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            change(&mut known);
            let now = shown(&mut known, &mut common, "no probe");
            assert!(!Arc::ptr_eq(&last, &now), "change {number}");
            last = now;
        }
        assert_eq!(&*last.dev, "t1");
        assert_eq!(last.offloads.features_changed, Fact::Known(3));
        let now = shown(&mut known, &mut common, "another reason");
        assert_eq!(now.counters, Counters::Unavailable("another reason".into()));
        let newer = KernelCounters {
            tx_packets: 1,
            ..KernelCounters::default()
        };
        let newer = known.show(Fact::Known(newer), &mut common);
        assert!(
            !Arc::ptr_eq(&now, &newer),
            "the kernel's counters are newer"
        );
    }

    #[test]
    fn interfaces_share_offloads_until_they_differ() {
        let mut common = Common::default();
        let mut taps = [5, 6].map(|ifindex| Known::new(link("t", ifindex)));
        let [one, other] = taps
            .each_mut()
            .map(|known| shown(known, &mut common, "").offloads.clone());
        assert!(Arc::ptr_eq(&one, &other));
        taps[0].offloads_mut().features_changed = Fact::Known(1);
        let [one, other] = taps
            .each_mut()
            .map(|known| shown(known, &mut common, "").offloads.clone());
        assert_eq!(one.features_changed, Fact::Known(1));
        assert_eq!(other.features_changed, Fact::Known(0), "only of the one");
    }
}
