//! Which time rates cover.
//!
//! PromQL's `rate()` guesses what was before the first sample of its window and behind
//! the last, and near the beginning of a series it guesses too little. So each host is
//! asked for the time from its first scrape in the window to its last, and what came
//! later, for the time since it came: nothing is left to guess. How long that was is the
//! time between the samples that were scraped, by the clock of their host: a file that
//! is scraped may be older than its scrape.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    answer::Series,
    hosts::Target,
    query::{self, Term},
};

/// When hosts took the sample that was scraped.
pub const SAMPLED: &str = "offwatch_sample_timestamp_seconds";
/// When libvirt told of VMs.
pub const TOLD: &str = "offwatch_vm_statistics_timestamp_seconds";

/// Samples further apart than their scrapes, by more than any file is old: no clock
/// that was only corrected.
const LARGEST_SHIFT_S: f64 = 600.0;

/// What has counters: a VM or, with `dev`, one of its cards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    target: Target,
    vm: String,
    dev: String,
}

/// From one scrape to another, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scrapes {
    from_ms: u64,
    to_ms: u64,
    count: usize,
}

/// The time that rates cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Between samples.
    pub seconds: f64,
    /// Between their scrapes.
    scrape_seconds: f64,
}

impl Span {
    /// A rate between scrapes as one between samples.
    pub fn rate(self, per_s: f64) -> f64 {
        per_s * self.scrape_seconds / self.seconds
    }
}

/// The scrapes of hosts in a window, and of what was not there in all of them.
#[derive(Debug, Default)]
pub struct Spans {
    /// By their time, milliseconds: the time of what was scraped, seconds.
    hosts: BTreeMap<Target, BTreeMap<u64, f64>>,
    late: BTreeMap<Counted, Scrapes>,
}

impl Spans {
    /// From the samples of the first of these clocks that a host has.
    pub fn new(clocks: &[&str], series: &[Series]) -> Self {
        let mut spans = Self::default();
        for clock in clocks.iter().rev() {
            for series in series.iter().filter(|one| one.label("__name__") == *clock) {
                let stamps = series.samples().collect::<BTreeMap<_, _>>();
                if stamps.len() > 1 {
                    spans.hosts.insert(Target::of(series), stamps);
                }
            }
        }
        spans
    }

    /// Names of VMs that lack samples, by how many there are of something of them.
    pub fn lacking(&self, counts: &[Series]) -> BTreeSet<String> {
        let lacks = counts.iter().filter(|series| {
            let scrapes = self.hosts.get(&Target::of(series));
            let count = series.value().unwrap_or_default() as usize;
            scrapes.is_some_and(|scrapes| count < scrapes.len())
        });
        lacks.map(|series| series.label("vm").to_owned()).collect()
    }

    /// Takes the samples of what lacks some.
    pub fn learn(&mut self, series: &[Series]) {
        for series in series {
            let times: BTreeSet<u64> = series.samples().map(|(ms, _)| ms).collect();
            let counted = counted(series);
            let (Some(&from_ms), Some(&to_ms)) = (times.first(), times.last()) else {
                continue;
            };
            let of_host = self.hosts.get(&counted.target).map_or(0, BTreeMap::len);
            if times.len() < of_host {
                let count = times.len();
                let scrapes = Scrapes {
                    from_ms,
                    to_ms,
                    count,
                };
                self.late.insert(counted, scrapes);
            }
        }
    }

    /// What to ask for a rate of all of them.
    pub fn terms(&self) -> Vec<Term> {
        let of_host = self.hosts.iter().filter_map(|(target, stamps)| {
            let matchers = query::of_host(target);
            Some(term(matchers, &whole(stamps)?))
        });
        let mut groups: BTreeMap<(&Target, Scrapes), Vec<&Counted>> = BTreeMap::new();
        for (counted, scrapes) in &self.late {
            if scrapes.count > 1 {
                let group = groups.entry((&counted.target, *scrapes)).or_default();
                group.push(counted);
            }
        }
        let late = groups.into_iter().map(|((target, scrapes), counted)| {
            let mut matchers = query::of_host(target);
            // Of one host no two VMs have an interface of one name.
            for (label, of) in [
                ("vm", (|one| &*one.vm) as fn(&Counted) -> &str),
                ("dev", |one| &*one.dev),
            ] {
                let values = counted.iter().map(|one| of(one));
                let values: BTreeSet<&str> = values.filter(|value| !value.is_empty()).collect();
                if !values.is_empty() {
                    matchers.push(',');
                    matchers.push_str(&query::any_of(label, values));
                }
            }
            term(matchers, &scrapes)
        });
        of_host.chain(late).collect()
    }

    /// The span of the rates of a series; or why there is none.
    pub fn of(&self, series: &Series) -> Result<Span, &'static str> {
        let Counted { target, vm, dev } = counted(series);
        self.span(&target, &vm, &dev)
    }

    /// The same, by names.
    pub fn span(&self, target: &Target, vm: &str, dev: &str) -> Result<Span, &'static str> {
        const FEW: &str = "fewer than two scrapes of it";
        let stamps = self.hosts.get(target).ok_or(FEW)?;
        let counted = Counted {
            target: target.clone(),
            vm: vm.to_owned(),
            dev: dev.to_owned(),
        };
        let late = self.late.get(&counted).copied();
        let scrapes = late.or_else(|| whole(stamps)).ok_or(FEW)?;
        if scrapes.count < 2 {
            return Err(FEW);
        }
        let taken = stamps.range(scrapes.from_ms..=scrapes.to_ms);
        let taken: Vec<f64> = taken.map(|(_, taken)| *taken).collect();
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else {
            return Err(FEW);
        };
        let span = Span {
            seconds: last - first,
            scrape_seconds: (scrapes.to_ms - scrapes.from_ms) as f64 / 1000.0,
        };
        let is_set_back = taken.windows(2).any(|pair| pair[1] < pair[0]);
        match span.seconds {
            _ if is_set_back => Err("the clock of its host was set"),
            none if none <= 0.0 => Err("its host told nothing new"),
            seconds if seconds > span.scrape_seconds + LARGEST_SHIFT_S => {
                Err("the clock of its host was set")
            }
            _ => Ok(span),
        }
    }
}

fn counted(series: &Series) -> Counted {
    Counted {
        target: Target::of(series),
        vm: series.label("vm").to_owned(),
        dev: series.label("dev").to_owned(),
    }
}

fn whole(stamps: &BTreeMap<u64, f64>) -> Option<Scrapes> {
    Some(Scrapes {
        from_ms: *stamps.first_key_value()?.0,
        to_ms: *stamps.last_key_value()?.0,
        count: stamps.len(),
    })
}

fn term(matchers: String, scrapes: &Scrapes) -> Term {
    Term {
        matchers,
        from_ms: scrapes.from_ms,
        to_ms: scrapes.to_ms,
        count: scrapes.count,
    }
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
