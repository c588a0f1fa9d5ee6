//! Facts that no hook counts: offload features, limits, the kernel's own
//! counters, and what it says about the whole host.

use std::{collections::BTreeSet, io, sync::Arc};

use super::{
    counters::CounterFollower,
    features::FeatureFollower,
    table::{Known, Table},
};
use crate::{
    inventory::{kernel_log::KernelLogReader, limits::LimitSweep, protocols, sysfs::Sysfs},
    probe::Probe,
    sample::{
        self, Kind,
        offloads::{Fact, FeatureNames, KernelCounters},
    },
};

/// Datagrams with limits read in each sample: about 50 interfaces, 0.5 ms.
const LIMIT_DATAGRAMS: usize = 2;
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
    limits: Option<LimitSweep>,
    sysfs: Fact<Sysfs>,
    log: Fact<KernelLogReader>,
    /// Interfaces of which sysfs is to be read.
    stale: BTreeSet<u32>,
    /// Those with hardware below, and the one whose turn it was last.
    physical: BTreeSet<u32>,
    turn: u32,
}

impl Evidence {
    /// Never fails: what cannot be read is told where it would be shown. Must
    /// run on a tokio runtime.
    pub(super) fn open(online_cpus: u32) -> Self {
        Self {
            features: FeatureFollower::open(),
            counters: CounterFollower::open(online_cpus),
            // Without it, limits are those that the kernel notified of last.
            limits: LimitSweep::open(LIMIT_DATAGRAMS).ok(),
            sysfs: fact(Sysfs::open(), Sysfs::reason),
            log: fact(open_log(), KernelLogReader::reason),
            stale: BTreeSet::new(),
            physical: BTreeSet::new(),
            turn: 0,
        }
    }

    /// Waits for the next notification and counts it. Nothing is lost if the
    /// wait is given up.
    pub(super) async fn follow(&mut self, table: &mut Table) {
        self.features.follow(table).await;
    }

    /// Counts what has been notified by now.
    pub(super) fn catch_up(&mut self, table: &mut Table) {
        self.features.catch_up(table);
    }

    /// An interface is new or changed.
    pub(super) fn changed(&mut self, known: &Known) {
        self.features.changed(known.ifindex);
        self.stale.insert(known.ifindex);
        if known.kind == Kind::Physical {
            self.physical.insert(known.ifindex);
        }
    }

    /// An interface is gone.
    pub(super) fn gone(&mut self, ifindex: u32) {
        self.features.gone(ifindex);
        self.stale.remove(&ifindex);
        self.physical.remove(&ifindex);
    }

    /// Reads what may have changed. What `probe`, if there is one, has counted
    /// was read just before.
    pub(super) fn refresh(&mut self, table: &mut Table, probe: Option<&Probe>) {
        self.read_sysfs(table);
        for (ifindex, counters, made) in self.counters.refresh() {
            if let Some(known) = table.get_mut(&ifindex) {
                self.counters.compare(known, (counters, made), probe);
            }
        }
        self.features.refresh(table);
        if let Some(sweep) = &mut self.limits {
            // What fails here, the next round reads.
            let _ = sweep.advance(|ifindex, limits, made| {
                if let Some(known) = table.get_mut(&ifindex) {
                    known.set_limits(limits, made.not_before_ns);
                }
            });
        }
        if let Fact::Known(log) = &mut self.log
            && let Err(error) = log.read(LOG_RECORDS)
        {
            self.log = Fact::unavailable(KernelLogReader::reason(&error));
        }
    }

    /// Reads what is new, and of one physical interface in turn whether a queue
    /// was stuck: that takes some system calls a queue.
    fn read_sysfs(&mut self, table: &mut Table) {
        let mut later = self.physical.range(self.turn + 1..);
        if let Some(next) = later.next().or_else(|| self.physical.first()) {
            self.turn = *next;
            self.stale.insert(*next);
        }
        for ifindex in std::mem::take(&mut self.stale) {
            let Some(known) = table.get_mut(&ifindex) else {
                continue;
            };
            let dev = Arc::clone(&known.dev);
            match known.kind {
                Kind::Tap => {
                    let napi = ask(&self.sysfs, |sysfs| sysfs.tap_has_napi(&dev));
                    known.offloads_mut().napi = Some(napi);
                }
                Kind::Physical => {
                    let timeouts = Some(ask(&self.sysfs, |sysfs| sysfs.tx_timeouts(&dev)));
                    if known.offloads.tx_timeouts != timeouts {
                        known.offloads_mut().tx_timeouts = timeouts;
                    }
                }
                _ => {}
            }
        }
    }

    /// The kernel's counters of an interface that were not read yet.
    pub(super) fn unread_counters(&self) -> Fact<KernelCounters> {
        self.counters.unread()
    }

    /// How the kernel calls offload features.
    pub(super) fn feature_names(&self) -> &FeatureNames {
        self.features.names()
    }

    /// What the kernel says about the host.
    pub(super) fn host(&self) -> sample::evidence::Evidence {
        sample::evidence::Evidence {
            protocols: fact(protocols::read(), |error| {
                format!("/proc/net cannot be read: {error}")
            }),
            kernel_log: match &self.log {
                Fact::Known(log) => Fact::Known(log.log().clone()),
                Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
            },
        }
    }

    /// A note if frames of taps passed the hooks unseen.
    pub(super) fn note(table: &Table) -> Option<String> {
        let all = table
            .iter()
            .map(|(ifindex, known)| (*ifindex, known.compared.unseen()));
        let mut unseen: Vec<(u32, u64)> = all.filter(|(_, frames)| *frames > 0).collect();
        unseen.sort_unstable_by_key(|(ifindex, frames)| (std::cmp::Reverse(*frames), *ifindex));
        let frames: u64 = unseen.iter().map(|(_, frames)| frames).sum();
        // Those with the most, in an order that does not change as they grow.
        let mut named = unseen.iter().take(NAMED).collect::<Vec<_>>();
        named.sort_unstable();
        let named = named.into_iter();
        let named: Vec<&str> = named
            .filter_map(|(ifindex, _)| Some(&*table.get(ifindex)?.dev))
            .collect();
        let more = match unseen.len().saturating_sub(NAMED) {
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
}

fn ask<T>(sysfs: &Fact<Sysfs>, read: impl Fn(&Sysfs) -> io::Result<T>) -> Fact<T> {
    match sysfs {
        Fact::Known(sysfs) => fact(read(sysfs), Sysfs::reason),
        Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
    }
}

fn fact<T>(result: io::Result<T>, reason: impl FnOnce(&io::Error) -> String) -> Fact<T> {
    match result {
        Ok(known) => Fact::Known(known),
        Err(error) => Fact::unavailable(reason(&error)),
    }
}

fn open_log() -> io::Result<KernelLogReader> {
    let mut log = KernelLogReader::open()?;
    log.read(LOG_RECORDS_AT_START)?;
    Ok(log)
}
