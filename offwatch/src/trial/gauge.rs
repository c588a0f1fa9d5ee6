//! Reads what the periods of a trial are made of.

use std::{collections::BTreeMap, path::Path, time::Duration};

use tokio::time::Instant;

use super::{guard::Rate, measured};
use crate::{
    clock,
    error::Error,
    inventory::counters::CounterReader,
    measure::{
        CpuReading, Meter, Reading, VmCpu, VmThreads,
        capture::{Captured, SEEN_AFTER},
    },
    sample::offloads::{Fact, KernelCounters},
};

/// Reads what periods are made of.
pub struct Gauge {
    /// Everything.
    pub meter: Meter,
    counters: CounterReader,
    vm: Option<VmThreads>,
    /// This process sends, too: what it uses is part of what is measured.
    sends: bool,
    ifindexes: Vec<u32>,
}

/// Counts of the interfaces at one moment.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// The kernel's counters of each interface.
    pub counters: BTreeMap<u32, Fact<KernelCounters>>,
    /// TCP that was captured at each.
    pub captured: BTreeMap<u32, Fact<Captured>>,
}

/// Everything at one moment.
#[derive(Clone)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// What the host tells.
    pub reading: Reading,
    /// What the interfaces carried.
    pub counts: Counts,
    /// CPU time of the host.
    pub host: Fact<CpuReading>,
    /// CPU time of the VM.
    pub vm: Fact<VmCpu>,
    /// CPU time of offwatch's own process that is no part of what is measured.
    pub own: Duration,
}

impl Gauge {
    /// Of these interfaces.
    pub fn new(meter: Meter, ifindexes: Vec<u32>) -> Result<Self, Error> {
        let counters = CounterReader::open().map_err(|source| Error::Io {
            what: "cannot read counters".into(),
            source,
        })?;
        Ok(Self {
            meter,
            counters,
            vm: None,
            sends: false,
            ifindexes,
        })
    }

    /// The process of the VM whose interfaces they are.
    pub fn of_vm(&mut self, pid: u32) {
        self.vm = Some(VmThreads::new(Path::new("/proc"), pid));
    }

    /// This process sends the load: what that takes belongs to it.
    pub fn with_load(&mut self) {
        self.sends = true;
    }

    /// Reads everything.
    pub async fn read(&mut self) -> Result<Moment, Error> {
        let at = Instant::now();
        self.meter.mark();
        let mut counts = self.counts();
        let host = CpuReading::now(Path::new("/proc"));
        let vm = match &mut self.vm {
            Some(vm) => Fact::Known(vm.read()),
            None => Fact::unavailable("the process of a VM behind it is not known"),
        };
        let own = match self.sends {
            true => Duration::ZERO,
            false => clock::own_cpu(),
        };
        let reading = self.meter.read(Duration::ZERO).await?;
        counts.captured = self.captured().await?;
        Ok(Moment {
            at,
            reading,
            counts,
            host: fact(host),
            vm,
            own,
        })
    }

    /// Reads the counts alone, which is quick.
    pub async fn glance(&mut self) -> Result<Counts, Error> {
        self.meter.mark();
        let mut counts = self.counts();
        counts.captured = self.captured().await?;
        Ok(counts)
    }

    /// What the interfaces carry a second, in a time of this length after another one.
    pub async fn rate(&mut self, after: Duration, length: Duration) -> Option<Rate> {
        self.meter.follow(after).await.ok()?;
        let begin = self.glance().await.ok()?;
        self.meter.follow(length).await.ok()?;
        let end = self.glance().await.ok()?;
        measured::rate(&begin, &end)
    }

    fn counts(&mut self) -> Counts {
        let each = self.ifindexes.iter().map(|ifindex| {
            let read = self.counters.read(*ifindex);
            let read = read.map_err(|error| format!("its counters cannot be read: {error}"));
            (*ifindex, fact(read))
        });
        Counts {
            monotonic_ns: clock::monotonic_ns(),
            counters: each.collect(),
            captured: BTreeMap::new(),
        }
    }

    /// What was captured by the mark: waits until all of it has been seen.
    async fn captured(&mut self) -> Result<BTreeMap<u32, Fact<Captured>>, Error> {
        const STEP: Duration = Duration::from_millis(10);
        let until = Instant::now() + SEEN_AFTER;
        loop {
            let marked = self.meter.marked();
            let is_certain = marked.values().all(|captured| {
                captured
                    .as_ref()
                    .map_or(true, |(_, is_certain)| *is_certain)
            });
            if is_certain || Instant::now() >= until {
                let each = marked.into_iter();
                let each = each.map(|(ifindex, captured)| {
                    (ifindex, fact(captured.map(|(captured, _)| captured)))
                });
                return Ok(each.collect());
            }
            self.meter.follow(STEP).await?;
        }
    }
}

/// What could be read, or why it could not.
pub(super) fn fact<T>(of: Result<T, impl ToString>) -> Fact<T> {
    match of {
        Ok(value) => Fact::Known(value),
        Err(reason) => Fact::unavailable(reason.to_string()),
    }
}
