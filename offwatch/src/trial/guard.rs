//! When a change does harm: goodput falls, or the kernel warns.

use super::stats;
use crate::{
    inventory::kernel_log::{KernelLogReader, Record},
    output::units,
};

/// What the interfaces carry a second, both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Bytes of frames.
    pub bytes_per_s: f64,
    /// Goodput, if it is known.
    pub goodput_per_s: Option<f64>,
}

/// A fall by this part is a standstill, whatever the traffic is like.
const STANDSTILL: f64 = 0.9;
/// A fall for so long is none of bursts.
const LASTING_SECONDS: f64 = 10.0;
/// So are so many periods in a row.
const PERIODS: u32 = 2;

/// Ends a trial whose goodput falls, and stays low: traffic has bursts and pauses.
#[derive(Clone, Debug)]
pub struct LossGuard {
    max_loss_percent: f64,
    /// Below it, nothing is told.
    floor_bytes_per_s: f64,
    without: Vec<Rate>,
    /// Periods with the change in a row that lost too much.
    in_row: u32,
}

/// Why a trial was ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// In words.
    pub told: String,
    fall: f64,
    /// What would not have been too little.
    allowed: f64,
    is_goodput: bool,
}

impl Loss {
    /// Whether it is back, at this rate.
    pub fn is_back(&self, now: Rate) -> bool {
        let now = match self.is_goodput {
            true => now.goodput_per_s.unwrap_or(now.bytes_per_s),
            false => now.bytes_per_s,
        };
        now >= self.allowed
    }
}

impl LossGuard {
    /// A fall by more than `max_loss_percent` ends it, if there is traffic to lose.
    pub fn new(max_loss_percent: f64, floor_bytes_per_s: f64) -> Self {
        Self {
            max_loss_percent,
            floor_bytes_per_s,
            without: Vec::new(),
            in_row: 0,
        }
    }

    /// A period without the change.
    pub fn without(&mut self, rate: Rate) {
        self.without.push(rate);
    }

    /// A period with the change, so far: what ends it at once.
    pub fn so_far(&self, with: Rate, seconds: f64) -> Option<Loss> {
        let loss = self.loss(with)?;
        (loss.fall >= STANDSTILL || seconds >= LASTING_SECONDS).then_some(loss)
    }

    /// A whole period with the change.
    pub fn with(&mut self, with: Rate) -> Option<Loss> {
        let loss = self.loss(with);
        self.in_row = match loss {
            Some(_) => self.in_row + 1,
            None => 0,
        };
        loss.filter(|loss| loss.fall >= STANDSTILL || self.in_row >= PERIODS)
    }

    /// What is lost; `None` if it is not more than may be. Less than in half of the
    /// periods without the change is not enough: it is less than in each of them.
    fn loss(&self, with: Rate) -> Option<Loss> {
        let goodput: Option<Vec<f64>> = self.without.iter().map(|it| it.goodput_per_s).collect();
        let (without, with, is_goodput) = match (goodput, with.goodput_per_s) {
            (Some(without), Some(with)) => (without, with, true),
            _ => {
                let bytes = self.without.iter().map(|it| it.bytes_per_s);
                (bytes.collect(), with.bytes_per_s, false)
            }
        };
        let least = without.iter().copied().reduce(f64::min)?;
        let median = stats::median(&without)?;
        let allowed = median * (1.0 - self.max_loss_percent / 100.0);
        if median < self.floor_bytes_per_s || with >= allowed || with >= least {
            return None;
        }
        let bits = |bytes: f64| units::rate(Some(bytes * 8.0));
        let fall = 1.0 - with / median;
        Some(Loss {
            told: format!(
                "{} fell by {:.0} %, to {}bit/s from {}bit/s without the change: more than \
                 --max-loss {}%",
                if is_goodput { "goodput" } else { "throughput" },
                fall * 100.0,
                bits(with),
                bits(median),
                self.max_loss_percent
            ),
            fall,
            allowed,
            is_goodput,
        })
    }
}

/// Ends a trial when the kernel warns.
pub struct LogGuard {
    reader: KernelLogReader,
    devs: Vec<String>,
}

impl LogGuard {
    /// From now on; or why the log cannot be read. `devs` are interfaces whose warnings
    /// count.
    pub fn open(devs: Vec<String>) -> Result<Self, String> {
        let opened = KernelLogReader::open().and_then(|mut reader| {
            reader.read(usize::MAX)?;
            Ok(Self { reader, devs })
        });
        opened.map_err(|error| KernelLogReader::reason(&error))
    }

    /// What the kernel has warned of since.
    pub fn look(&mut self) -> Option<String> {
        /// More than it writes in a second.
        const RECORDS: usize = 10_000;
        let mut found: Option<String> = None;
        let devs = &self.devs;
        // What could be read before can be read.
        let _ = self.reader.read_each(RECORDS, |record| {
            let is_better = found.as_ref().is_none_or(|text| text.starts_with(CUT_HERE));
            if is_better && is_warning(record, devs) {
                found = Some(record.text.to_owned());
            }
        });
        found.map(|text| format!("the kernel warns: {text}"))
    }
}

/// Begins what the kernel tells of its own faults; what it is follows.
const CUT_HERE: &str = "------------[ cut here";

/// A fault of the kernel, whatever it is about, or a warning about one of these
/// interfaces or about frames. Others log warnings for every frame that they drop.
fn is_warning(record: &Record<'_>, devs: &[String]) -> bool {
    const WARNING: u32 = 4;
    const FAULTS: [&str; 4] = ["WARNING:", "BUG:", "Oops", CUT_HERE];
    let text = record.text;
    if !record.by_kernel {
        return false;
    }
    let is_fault = FAULTS.iter().any(|begin| text.starts_with(begin));
    // A firewall's, which has a line for each frame that it logs.
    let is_logged_frame = text.contains("IN=") && text.contains("OUT=");
    if is_logged_frame {
        return false;
    }
    let is_about = || text.starts_with("skb") || devs.iter().any(|dev| names(text, dev));
    is_fault || record.sign().is_some() || record.level <= WARNING && is_about()
}

/// Whether a text names an interface, as a word of its own.
fn names(text: &str, dev: &str) -> bool {
    let is_part =
        |side: Option<char>| side.is_some_and(|it| it.is_alphanumeric() || matches!(it, '_' | '-'));
    text.match_indices(dev).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + dev.len()..]);
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_s: f64, goodput_per_s: Option<f64>) -> Rate {
        Rate {
            bytes_per_s,
            goodput_per_s,
        }
    }

    #[test]
    fn a_fall_below_every_period_without_the_change_ends_it() {
        let mut guard = LossGuard::new(20.0, 1000.0);
        let with = |goodput| rate(200_000.0, Some(goodput));
        assert_eq!(guard.with(with(0.0)), None, "nothing to compare");
        for goodput in [100_000.0, 70_000.0, 90_000.0] {
            guard.without(rate(200_000.0, Some(goodput)));
        }
        assert_eq!(guard.loss(with(73_000.0)), None, "20 % less is allowed");
        assert_eq!(
            guard.loss(with(71_000.0)),
            None,
            "so it was without it, too"
        );
        assert_eq!(
            guard.with(with(45_000.0)),
            None,
            "one period may be a pause"
        );
        assert_eq!(guard.with(with(80_000.0)), None);
        assert_eq!(guard.with(with(45_000.0)), None, "not in a row");
        let loss = guard.with(with(45_000.0)).expect("harm");
        assert!(loss.told.starts_with("goodput fell by 50 %"), "{loss:?}");
        assert!(loss.is_back(with(72_000.0)) && !loss.is_back(with(71_000.0)));
        // Where it is not known, all bytes stand for it.
        assert_eq!(guard.loss(rate(190_000.0, None)), None);
        assert!(guard.loss(rate(90_000.0, None)).is_some());
    }

    #[test]
    fn a_standstill_ends_it_at_once_and_a_lasting_fall_within_a_period() {
        let mut guard = LossGuard::new(20.0, 1000.0);
        guard.without(rate(200_000.0, Some(100_000.0)));
        let so_far = |goodput, seconds| guard.so_far(rate(200_000.0, Some(goodput)), seconds);
        assert_eq!(so_far(45_000.0, 1.0), None);
        assert!(so_far(9_000.0, 1.0).is_some());
        assert!(so_far(45_000.0, 10.0).is_some());
        assert!(guard.with(rate(200_000.0, Some(0.0))).is_some());
        // Unless it may be lost.
        let mut careless = LossGuard::new(99.9, 1000.0);
        careless.without(rate(200_000.0, Some(100_000.0)));
        assert_eq!(careless.with(rate(200_000.0, Some(1_000.0))), None);
    }

    #[test]
    fn without_traffic_there_is_nothing_to_lose() {
        let mut guard = LossGuard::new(20.0, 1000.0);
        guard.without(rate(900.0, Some(800.0)));
        assert_eq!(guard.with(rate(0.0, Some(0.0))), None);
    }

    #[test]
    fn faults_and_warnings_about_the_interfaces_count() {
        let devs = ["tap1".to_owned()];
        let counts = |text: &str| {
            let record = Record::parse(text).expect("a record");
            is_warning(&record, &devs)
        };
        for warning in [
            "4,7,100,-;------------[ cut here ]------------",
            "4,7,100,-;WARNING: CPU: 1 PID: 9 at net/core/dev.c:3300 skb_warn_bad_offload+0x9/0xa",
            "1,7,100,-;BUG: kernel NULL pointer dereference",
            "4,7,100,-;tap1: caps=(0x0, 0x0) len=9",
            "3,7,100,-;br0: port 2(tap1) failed",
            "4,7,100,-;skb len=1514 headroom=2",
            "3,7,100,-;eth0: hw csum failure",
        ] {
            assert!(counts(warning), "{warning}");
        }
        for other in [
            "4,7,100,-;IN=eth0 OUT= DROP SRC=10.0.0.1",
            "6,7,100,-;br0: port 2(tap1) entered forwarding state",
            "4,7,100,-;tap10: something",
            "12,7,100,-;WARNING: said by a program",
        ] {
            assert!(!counts(other), "{other}");
        }
    }
}
