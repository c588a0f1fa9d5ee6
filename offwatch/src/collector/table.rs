//! What is known of each interface.

use std::{collections::BTreeMap, sync::Arc};

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
    pub(super) fn show(&mut self, kernel: Fact<KernelCounters>) -> Arc<Interface> {
        if let Some(shown) = &self.shown
            && shown.kernel == kernel
        {
            return Arc::clone(shown);
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
