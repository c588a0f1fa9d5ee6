//! Facts that no hook counts: offload features, limits, the kernel's own
//! counters, and what it says about the whole host.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    counters::{Comparable, CounterFollower},
    features::FeatureFollower,
};
use crate::{
    inventory::{kernel_log::KernelLogReader, link::Link, protocols, sysfs::Sysfs},
    probe::{Probe, Reading},
    sample::{
        self, Interface, Kind,
        offloads::{Fact, FeatureNames, Offloads},
    },
};

/// Records of the kernel's log read in each sample.
const LOG_RECORDS: usize = 1_000;
/// More than any log that is kept has.
const LOG_RECORDS_AT_START: usize = 1 << 20;
/// Devices named in a note.
const NAMED: usize = 3;

/// Follows all of it.
pub(super) struct Evidence {
    features: FeatureFollower,
    counters: CounterFollower,
    sysfs: Fact<Sysfs>,
    log: Fact<KernelLogReader>,
    /// Of each tap: whether GRO works on it.
    napi: BTreeMap<u32, Fact<bool>>,
    /// Of each physical interface.
    tx_timeouts: BTreeMap<u32, Fact<u64>>,
    /// Interfaces of which these are to be read.
    stale: BTreeSet<u32>,
    /// The physical interface read last.
    turn: u32,
}

impl Evidence {
    /// Never fails: what cannot be read is told where it would be shown. Must
    /// run on a tokio runtime.
    pub(super) fn open(online_cpus: u32) -> Self {
        Self {
            features: FeatureFollower::open(),
            counters: CounterFollower::open(online_cpus),
            sysfs: fact(Sysfs::open().map_err(|error| Sysfs::reason(&error))),
            log: fact(open_log().map_err(|error| KernelLogReader::reason(&error))),
            napi: BTreeMap::new(),
            tx_timeouts: BTreeMap::new(),
            stale: BTreeSet::new(),
            turn: 0,
        }
    }

    /// Waits for the next notification and takes it to heart. Nothing is lost
    /// if the wait is given up.
    pub(super) async fn follow(&mut self) {
        self.features.follow().await;
    }

    /// An interface is new or changed.
    pub(super) fn changed(&mut self, link: &Link) {
        self.features.changed(link.ifindex);
        self.stale.insert(link.ifindex);
    }

    /// An interface is gone.
    pub(super) fn gone(&mut self, ifindex: u32) {
        self.features.gone(ifindex);
        self.counters.gone(ifindex);
        self.stale.remove(&ifindex);
        self.napi.remove(&ifindex);
        self.tx_timeouts.remove(&ifindex);
    }

    /// Reads what may have changed. `counted` is what `probe`, if there is one,
    /// has just read, in the order of `links`.
    pub(super) fn refresh(
        &mut self,
        links: &BTreeMap<u32, Link>,
        counted: &[Interface],
        probe: Option<&Probe>,
    ) {
        self.read_sysfs(links);
        for (ifindex, counters, made) in self.counters.refresh() {
            let place = counted.binary_search_by_key(&ifindex, |interface| interface.ifindex);
            let (Ok(place), Some(link), Some(probe)) = (place, links.get(&ifindex), probe) else {
                continue;
            };
            let after = link.tap.and_then(|_| match probe.read(ifindex) {
                (_, Reading::Counted(slot)) => Some(slot),
                (_, Reading::Unavailable(_)) => None,
            });
            let napi = self.napi.get(&ifindex).and_then(Fact::known).copied();
            self.counters.compare(
                (counters, made),
                probe.hook(),
                &Comparable { link, napi },
                &counted[place],
                after.as_deref(),
            );
        }
        self.features.refresh();
        if let Fact::Known(log) = &mut self.log
            && let Err(error) = log.read(LOG_RECORDS)
        {
            self.log = Fact::unavailable(KernelLogReader::reason(&error));
        }
    }

    /// Reads what is new, and of one physical interface in turn whether a queue
    /// was stuck: that takes some system calls a queue.
    fn read_sysfs(&mut self, links: &BTreeMap<u32, Link>) {
        let mut later = self.tx_timeouts.range(self.turn + 1..);
        if let Some((next, _)) = later.next().or_else(|| self.tx_timeouts.iter().next()) {
            self.turn = *next;
            self.stale.insert(*next);
        }
        for ifindex in std::mem::take(&mut self.stale) {
            let Some(link) = links.get(&ifindex) else {
                continue;
            };
            match link.kind {
                Kind::Tap => {
                    let napi = self.sysfs(|sysfs| sysfs.tap_has_napi(&link.dev));
                    self.napi.insert(ifindex, napi);
                }
                Kind::Physical => {
                    let timeouts = self.sysfs(|sysfs| sysfs.tx_timeouts(&link.dev));
                    self.tx_timeouts.insert(ifindex, timeouts);
                }
                _ => {}
            }
        }
    }

    /// Adds what is known of an interface.
    pub(super) fn describe(&self, link: &Link, interface: &mut Interface) {
        let (features, features_changed) = self.features.of(link.ifindex);
        let tx_timeouts = self.tx_timeouts.get(&link.ifindex).cloned();
        interface.offloads = Offloads {
            features,
            features_changed,
            tap: link.tap,
            napi: self.napi.get(&link.ifindex).cloned(),
            tx_timeouts: tx_timeouts
                .unwrap_or_else(|| Fact::unavailable("only hardware has a transmit watchdog")),
        };
        interface.limits = Fact::Known(link.limits.clone());
        interface.kernel = self.counters.of(link.ifindex);
    }

    /// How the kernel calls offload features.
    pub(super) fn feature_names(&self) -> &FeatureNames {
        self.features.names()
    }

    /// What the kernel says about the host.
    pub(super) fn host(&self) -> sample::evidence::Evidence {
        let protocols = protocols::read();
        sample::evidence::Evidence {
            protocols: fact(
                protocols.map_err(|error| format!("/proc/net cannot be read: {error}")),
            ),
            kernel_log: match &self.log {
                Fact::Known(log) => Fact::Known(log.log().clone()),
                Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
            },
        }
    }

    /// A note if frames of taps passed the hooks unseen.
    pub(super) fn note(&self, links: &BTreeMap<u32, Link>) -> Option<String> {
        let mut taps: Vec<(u64, &str)> = links
            .values()
            .map(|link| {
                let (from_vm, to_vm) = self.counters.shortfall(link.ifindex);
                (from_vm + to_vm, link.dev.as_str())
            })
            .filter(|(frames, _)| *frames > 0)
            .collect();
        taps.sort_unstable_by(|one, other| other.cmp(one));
        let frames: u64 = taps.iter().map(|(frames, _)| frames).sum();
        let named: Vec<&str> = taps.iter().take(NAMED).map(|(_, dev)| *dev).collect();
        let more = match taps.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (frames > 0).then(|| {
            format!(
                "at least {frames} frames that the kernel counted passed unseen ({}{more}): sent \
                 past the queueing layer (PACKET_QDISC_BYPASS, XDP), or while another tracing \
                 tool kept the programs from running",
                named.join(", ")
            )
        })
    }

    fn sysfs<T>(&self, read: impl Fn(&Sysfs) -> io::Result<T>) -> Fact<T> {
        match &self.sysfs {
            Fact::Known(sysfs) => fact(read(sysfs).map_err(|error| Sysfs::reason(&error))),
            Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
        }
    }
}

fn fact<T>(result: Result<T, String>) -> Fact<T> {
    match result {
        Ok(known) => Fact::Known(known),
        Err(reason) => Fact::unavailable(reason),
    }
}

fn open_log() -> io::Result<KernelLogReader> {
    let mut log = KernelLogReader::open()?;
    log.read(LOG_RECORDS_AT_START)?;
    Ok(log)
}
