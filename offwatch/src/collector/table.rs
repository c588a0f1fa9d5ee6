//! What is known of each interface.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Deref,
    sync::Arc,
};

use super::{counters::Compared, unobserved};
use crate::{
    clock::monotonic_ns,
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

/// An interface. Of what samples tell of it there is no second copy.
pub(super) struct Known {
    /// As samples have it, and as the last one shares it until something changes.
    shown: Arc<Interface>,
    /// Its offloads may be those of others, too.
    may_share: bool,
    /// When the kernel had last told of it, on the monotonic clock.
    told_ns: u64,
    /// An XDP program takes its frames before anything else sees them.
    pub(super) xdp: bool,
    counted: Counted,
    /// The kernel's own counters against offwatch's.
    pub(super) compared: Compared,
}

impl Known {
    /// Nothing yet, and no change of features was told. Why the kernel's counters are
    /// not known is `unread`.
    pub(super) fn new(link: Link, unread: Fact<KernelCounters>) -> Self {
        let offloads = Offloads {
            features_changed: Fact::Known(0),
            ..Offloads::default()
        };
        let mut known = Self {
            shown: Arc::new(Interface {
                ifindex: link.ifindex,
                offloads: Arc::new(offloads),
                kernel: unread,
                ..Interface::default()
            }),
            may_share: true,
            told_ns: 0,
            xdp: false,
            counted: Counted::default(),
            compared: Compared::default(),
        };
        known.changed(link);
        known.show_counted();
        known
    }

    /// The interface has changed.
    pub(super) fn changed(&mut self, link: Link) {
        let Link {
            ifindex,
            dev,
            kind,
            mac,
            master,
            mtu,
            limits,
            tap,
            xdp,
        } = link;
        self.told_ns = monotonic_ns();
        self.xdp = xdp;
        if self.offloads.tap != tap {
            self.offloads_mut().tap = tap;
        }
        let is_other = self.kind != kind;
        let shown = self.shown_mut();
        shown.ifindex = ifindex;
        (shown.dev, shown.kind, shown.mac) = (dev, kind, mac);
        (shown.master, shown.mtu) = (master, mtu);
        shown.limits = Fact::Known(limits);
        if is_other {
            self.show_counted();
        }
    }

    /// What is known of its offloads, to be changed.
    pub(super) fn offloads_mut(&mut self) -> &mut Offloads {
        self.may_share = true;
        Arc::make_mut(&mut self.shown_mut().offloads)
    }

    /// Takes up limits that the kernel told at `not_before_ns` or later, if they are others
    /// than were known, and what it told of the interface meanwhile is not newer.
    pub(super) fn set_limits(&mut self, limits: Limits, not_before_ns: u64) {
        let is_newer = not_before_ns > self.told_ns;
        if is_newer && self.limits().is_none_or(|known| *known != limits) {
            self.shown_mut().limits = Fact::Known(Arc::new(limits));
        }
    }

    /// Its limits.
    pub(super) fn limits(&self) -> Option<&Limits> {
        self.limits.known().map(|limits| &**limits)
    }

    /// Takes up the kernel's counters.
    pub(super) fn set_kernel(&mut self, kernel: Fact<KernelCounters>) {
        if self.kernel != kernel {
            self.shown_mut().kernel = kernel;
        }
    }

    /// Reads what the hooks have counted.
    pub(super) fn count(&mut self, probe: Option<&Probe>, uncounted: &Arc<str>) {
        let is_new = match probe {
            // Most are at rest: not even looked up.
            Some(probe) => !probe.is(&self.counted) && probe.read(self.ifindex, &mut self.counted),
            None => {
                let nothing = Counted::nothing(uncounted);
                let is_new = self.counted != nothing;
                self.counted = nothing;
                is_new
            }
        };
        if is_new {
            self.show_counted();
        }
    }

    /// What the hooks had counted.
    pub(super) fn counted(&self) -> &Counted {
        &self.counted
    }

    /// The interface for a sample: that of the last one if nothing has changed.
    pub(super) fn show(&mut self, common: &mut Common) -> Arc<Interface> {
        if std::mem::take(&mut self.may_share) {
            common.share(&mut self.shown_mut().offloads);
        }
        Arc::clone(&self.shown)
    }

    /// To be changed. Samples that share it keep what they have.
    fn shown_mut(&mut self) -> &mut Interface {
        Arc::make_mut(&mut self.shown)
    }

    fn show_counted(&mut self) {
        let Counted {
            generation,
            counters,
            exact,
            ..
        } = self.counted.clone();
        let (counters, exact) = match unobserved(&self.kind) {
            Some(reason) => (
                Counters::Unavailable(reason.into()),
                ExactCounters::Unavailable(reason.into()),
            ),
            None => (counters, exact),
        };
        let shown = self.shown_mut();
        shown.generation = generation;
        (shown.counters, shown.exact) = (counters, exact);
    }
}

impl Deref for Known {
    type Target = Interface;

    fn deref(&self) -> &Interface {
        &self.shown
    }
}

#[cfg(test)]
pub(super) mod tests {
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

    pub(in crate::collector) fn known(dev: &str, ifindex: u32) -> Known {
        let counters = KernelCounters::default();
        Known::new(link(dev, ifindex), Fact::Known(counters))
    }

    fn shown(known: &mut Known, common: &mut Common, reason: &str) -> Arc<Interface> {
        known.count(None, &reason.into());
        known.show(common)
    }

    #[test]
    fn an_interface_is_shared_until_anything_about_it_changes() {
        let (mut known, mut common) = (known("t0", 5), Common::default());
        let mut last = shown(&mut known, &mut common, "no probe");
        let again = shown(&mut known, &mut common, "no probe");
        assert!(Arc::ptr_eq(&last, &again), "nothing has changed");
        type Change = fn(&mut Known);
        let changes: [Change; 3] = [
            |known| known.changed(link("t1", 5)),
            |known| {
                let limits = Limits {
                    tx_queues: Some(2),
                    ..Limits::default()
                };
                known.set_limits(limits, monotonic_ns() + 1);
            },
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
        known.set_kernel(Fact::Known(newer));
        let newer = known.show(&mut common);
        assert!(
            !Arc::ptr_eq(&now, &newer),
            "the kernel's counters are newer"
        );
    }

    #[test]
    fn limits_are_the_newest_that_the_kernel_told() {
        let mut known = known("t0", 5);
        let limits = Limits {
            tx_queues: Some(2),
            ..Limits::default()
        };
        let before = monotonic_ns();
        known.changed(link("t0", 5));
        known.set_limits(limits.clone(), before);
        assert_eq!(known.limits(), Some(&Limits::default()), "told since");
        // The rest of a listing is made while what comes before is read.
        let after = monotonic_ns() + 1;
        known.set_limits(limits.clone(), after);
        assert_eq!(known.limits(), Some(&limits));
    }

    #[test]
    fn interfaces_share_offloads_until_they_differ() {
        let mut common = Common::default();
        let mut taps = [5, 6].map(|ifindex| known("t", ifindex));
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
