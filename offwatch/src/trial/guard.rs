//! When a change does harm: goodput falls, or the kernel warns.

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

/// Ends a trial whose goodput falls.
#[derive(Clone, Debug)]
pub struct LossGuard {
    max_loss_percent: f64,
    /// Below it, nothing is told.
    floor_bytes_per_s: f64,
    without: Vec<Rate>,
}

impl LossGuard {
    /// A fall by more than `max_loss_percent` ends it, if there is traffic to lose.
    pub fn new(max_loss_percent: f64, floor_bytes_per_s: f64) -> Self {
        Self {
            max_loss_percent,
            floor_bytes_per_s,
            without: Vec::new(),
        }
    }

    /// A period without the change.
    pub fn without(&mut self, rate: Rate) {
        self.without.push(rate);
    }

    /// What is lost in a period with the change, so far; `None` if it is not more than
    /// may be. Less than in half of the periods without it is not enough: it is less
    /// than in each of them.
    pub fn loss(&self, with: Rate) -> Option<String> {
        let goodput: Option<Vec<f64>> = self.without.iter().map(|it| it.goodput_per_s).collect();
        let (mut without, with, what) = match (goodput, with.goodput_per_s) {
            (Some(without), Some(with)) => (without, with, "goodput"),
            _ => {
                let bytes = self.without.iter().map(|it| it.bytes_per_s);
                (bytes.collect(), with.bytes_per_s, "throughput")
            }
        };
        without.sort_by(f64::total_cmp);
        let least = *without.first()?;
        let median = median(&without);
        let allowed = median * (1.0 - self.max_loss_percent / 100.0);
        if median < self.floor_bytes_per_s || with >= allowed || with >= least {
            return None;
        }
        let bits = |bytes: f64| units::rate(Some(bytes * 8.0));
        Some(format!(
            "{what} fell by {:.0} %, to {}bit/s from {}bit/s without the change: more than \
             --max-loss {}%",
            (1.0 - with / median) * 100.0,
            bits(with),
            bits(median),
            self.max_loss_percent
        ))
    }
}

/// Of sorted values, not none.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
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
        assert_eq!(guard.loss(rate(0.0, Some(0.0))), None, "nothing to compare");
        for goodput in [100_000.0, 70_000.0, 90_000.0] {
            guard.without(rate(200_000.0, Some(goodput)));
        }
        let loss = |goodput| guard.loss(rate(200_000.0, Some(goodput)));
        assert_eq!(loss(73_000.0), None, "20 % below the median is allowed");
        assert_eq!(loss(71_000.0), None, "so it was without the change, too");
        let told = loss(45_000.0).expect("harm");
        assert!(told.starts_with("goodput fell by 50 %"), "{told}");
        // Where it is not known, all bytes stand for it.
        assert_eq!(guard.loss(rate(190_000.0, None)), None);
        assert!(guard.loss(rate(90_000.0, None)).is_some());
    }

    #[test]
    fn without_traffic_there_is_nothing_to_lose() {
        let mut guard = LossGuard::new(20.0, 1000.0);
        guard.without(rate(900.0, Some(800.0)));
        assert_eq!(guard.loss(rate(0.0, Some(0.0))), None);
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
