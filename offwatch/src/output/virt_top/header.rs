//! The lines above every view.

use jiff::{Timestamp, tz::TimeZone};

use super::number::shown;
use crate::{model::overview::Overview, sample::Node};

/// %CPU of the whole host, remembered every so many seconds: the figures at the
/// top right.
#[derive(Clone, Debug)]
pub struct CpuHistory {
    period_ms: u64,
    /// When the last one was remembered; at first, when it all began.
    last_ms: Option<u64>,
    /// Newest first.
    percents: Vec<f64>,
}

/// How many figures are kept.
const LONGEST: usize = 11;

impl CpuHistory {
    /// Remembers one figure in so many seconds.
    pub fn new(period_seconds: u64) -> Self {
        Self {
            period_ms: period_seconds.saturating_mul(1000),
            last_ms: None,
            percents: Vec::new(),
        }
    }

    /// Goes on to the next moment.
    pub fn advance(&mut self, overview: &Overview<'_>) {
        let now = overview.time_unix_ms;
        let last = *self.last_ms.get_or_insert(now);
        if now < last.saturating_add(self.period_ms) || now == last {
            return;
        }
        self.last_ms = Some(now);
        self.percents.insert(0, overview.totals().cpu_percent);
        self.percents.truncate(LONGEST);
    }
}

/// The three lines: time and machine, VMs by state, CPU and memory.
pub fn header(overview: &Overview<'_>, history: &CpuHistory, zone: &TimeZone) -> Vec<String> {
    let totals = overview.totals();
    let percents = history
        .percents
        .iter()
        .map(|percent| format!("{percent:.1}%"));
    let percents: Vec<String> = percents.collect();
    let mebibytes = totals.memory_kib / 1024;
    vec![
        format!(
            "virt-top {} - {} {}",
            local_time(overview.time_unix_ms, zone),
            machine(&overview.node),
            percents.join(" ")
        ),
        format!(
            "{} domains, {} active, {} running, {} sleeping, {} paused, {} inactive D:{} O:{} X:{}",
            totals.count,
            totals.active,
            totals.running,
            totals.blocked,
            totals.paused,
            totals.inactive,
            totals.shutdown,
            totals.shutoff,
            totals.crashed,
        ),
        format!(
            "CPU: {:.1}%  Mem: {mebibytes} MB ({mebibytes} MB by guests)",
            totals.cpu_percent
        ),
    ]
}

/// The machine: architecture, CPUs, clock and memory.
pub(super) fn machine(node: &Node) -> String {
    let arch = match node.arch.as_str() {
        "" => "?".into(),
        arch => shown(arch),
    };
    let mhz = node.mhz.map_or_else(|| "?".into(), |mhz| mhz.to_string());
    let memory = match node.memory_kib {
        0 => "?".into(),
        kib => (kib / 1024).to_string(),
    };
    let Node {
        online_cpus, cpus, ..
    } = node;
    format!("{arch} {online_cpus}/{cpus}CPU {mhz}MHz {memory}MB")
}

/// The time of day.
pub(crate) fn local_time(unix_ms: u64, zone: &TimeZone) -> String {
    let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX);
    let time = zone.to_datetime(time);
    format!(
        "{:02}:{:02}:{:02}",
        time.hour(),
        time.minute(),
        time.second()
    )
}
