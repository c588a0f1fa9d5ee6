//! Follows the offload features of interfaces.

use std::{collections::BTreeSet, future::pending, io};

use super::table::Table;
use crate::{
    inventory::{
        features::{Family, FeatureSocket, FeatureSweep, Monitor},
        notifications::Lost,
    },
    sample::offloads::{Fact, FeatureNames, Features},
};

/// Above so many, listing all interfaces is cheaper than asking for each.
const SINGLE_READINGS: usize = 64;
/// Datagrams of the sweep in each sample: about 400 interfaces, 0.5 ms.
const SWEEP_DATAGRAMS: usize = 2;

/// Reads features when an interface is new or the kernel tells of a change. It
/// does not tell when a feature is asked for and stays off, so all interfaces
/// are also read in turn, some in each sample.
pub(super) struct FeatureFollower {
    kernel: Fact<Kernel>,
    names: FeatureNames,
    /// Interfaces to be read before the next sample.
    stale: BTreeSet<u32>,
    /// The kernel is to be asked again: it answered before.
    is_lost: bool,
}

struct Kernel {
    reader: FeatureSocket,
    monitor: Monitor,
    sweep: FeatureSweep,
}

impl Kernel {
    fn open() -> (Fact<Self>, FeatureNames) {
        match Self::try_open() {
            Ok((kernel, names)) => (Fact::Known(kernel), names),
            Err(error) => (Fact::unavailable(reason(&error)), FeatureNames::default()),
        }
    }

    fn try_open() -> io::Result<(Self, FeatureNames)> {
        let family = Family::resolve()?;
        // Subscribed before the first reading, so no change is missed.
        let monitor = Monitor::open(family)?;
        let mut reader = FeatureSocket::open(family)?;
        let names = reader.names()?;
        let sweep = FeatureSweep::open(family, SWEEP_DATAGRAMS)?;
        let kernel = Self {
            reader,
            monitor,
            sweep,
        };
        Ok((kernel, names))
    }
}

impl FeatureFollower {
    /// Never fails: where features cannot be read, that is what is told of each
    /// interface. Must run on a tokio runtime.
    pub(super) fn open() -> Self {
        let (kernel, names) = Kernel::open();
        Self {
            kernel,
            names,
            stale: BTreeSet::new(),
            is_lost: false,
        }
    }

    /// How the kernel calls the features.
    pub(super) fn names(&self) -> &FeatureNames {
        &self.names
    }

    /// Waits for the next notification and counts it. Nothing is lost if the
    /// wait is given up.
    pub(super) async fn follow(&mut self, table: &mut Table) {
        let changed = match &mut self.kernel {
            Fact::Known(kernel) => kernel.monitor.next().await,
            Fact::Unavailable(_) => pending().await,
        };
        self.take(changed, table);
    }

    /// Counts what has been notified and was not waited for.
    pub(super) fn catch_up(&mut self, table: &mut Table) {
        while let Fact::Known(kernel) = &mut self.kernel
            && let Some(changed) = kernel.monitor.waiting()
        {
            self.take(changed, table);
        }
    }

    fn take(&mut self, changed: Result<u32, Lost>, table: &mut Table) {
        match changed {
            Ok(ifindex) => {
                // A notification about an interface that is not known yet is
                // older than what will be read of it.
                if let Some(known) = table.get_mut(&ifindex) {
                    if let Fact::Known(changes) = &mut known.offloads_mut().features_changed {
                        *changes += 1;
                    }
                    self.stale.insert(ifindex);
                }
            }
            Err(Lost) => self.lost(table),
        }
    }

    /// Notifications were lost: how many changes they told of nobody knows.
    fn lost(&mut self, table: &mut Table) {
        // Subscribed anew before anything is read.
        let (kernel, names) = Kernel::open();
        self.is_lost = kernel.known().is_none();
        self.kernel = kernel;
        if !self.is_lost {
            self.names = names;
        }
        for (ifindex, known) in table {
            known.offloads_mut().features_changed =
                Fact::unavailable("the kernel dropped notifications: too many at once");
            self.stale.insert(*ifindex);
        }
    }

    /// An interface is new or changed.
    pub(super) fn changed(&mut self, ifindex: u32) {
        self.stale.insert(ifindex);
    }

    /// An interface is gone.
    pub(super) fn gone(&mut self, ifindex: u32) {
        self.stale.remove(&ifindex);
    }

    /// Reads what may have changed.
    pub(super) fn refresh(&mut self, table: &mut Table) {
        if self.is_lost {
            self.lost(table);
        }
        let kernel = match &mut self.kernel {
            Fact::Known(kernel) => kernel,
            Fact::Unavailable(reason) => {
                for ifindex in std::mem::take(&mut self.stale) {
                    if let Some(known) = table.get_mut(&ifindex) {
                        let known = known.offloads_mut();
                        known.features = Fact::Unavailable(reason.clone());
                        known.features_changed = Fact::Unavailable(reason.clone());
                    }
                }
                return;
            }
        };
        let mut read = |ifindex, features: Fact<Features>| {
            if let Some(known) = table.get_mut(&ifindex)
                && known.offloads.features != features
            {
                known.offloads_mut().features = features;
            }
        };
        // First: parts of the sweep may be older than a notification. What
        // fails here, the next round reads.
        let _ = kernel.sweep.advance(|ifindex, features| {
            read(ifindex, Fact::Known(features));
        });
        if self.stale.len() > SINGLE_READINGS {
            for (ifindex, features) in kernel.reader.list().unwrap_or_default() {
                self.stale.remove(&ifindex);
                read(ifindex, Fact::Known(features));
            }
        }
        for ifindex in std::mem::take(&mut self.stale) {
            let features = match kernel.reader.of(ifindex) {
                Ok(features) => Fact::Known(features),
                Err(error) => Fact::unavailable(reason(&error)),
            };
            read(ifindex, features);
        }
    }
}

fn reason(error: &io::Error) -> String {
    format!("its features cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::known;
    use super::*;

    const LOOPBACK: u32 = 1;

    /// By this host's loopback device.
    #[tokio::test]
    async fn a_kernel_that_could_not_be_asked_for_a_while_is_asked_again() {
        let mut table = Table::from([(LOOPBACK, known("lo", LOOPBACK))]);
        let mut follower = FeatureFollower::open();
        let names = follower.names().clone();
        assert!(!names.0.is_empty());
        follower.kernel = Fact::unavailable("no descriptors");
        follower.is_lost = true;
        follower.refresh(&mut table);
        let features = &table[&LOOPBACK].offloads.features;
        assert!(features.known().is_some(), "{features:?}");
        assert_eq!((follower.is_lost, follower.names()), (false, &names));
    }
}
