//! Hosts: which Prometheus hears of, and which it does no more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::answer::Series;

/// Where Prometheus scrapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Target {
    job: String,
    instance: String,
}

impl Target {
    /// By its labels.
    pub fn new(job: &str, instance: &str) -> Self {
        Self {
            job: job.to_owned(),
            instance: instance.to_owned(),
        }
    }

    /// That of a series.
    pub fn of(series: &Series) -> Self {
        Self::new(series.label("job"), series.label("instance"))
    }

    /// `job`.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// `instance`.
    pub fn instance(&self) -> &str {
        &self.instance
    }
}

/// A host that is heard of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    /// Where it is scraped.
    #[serde(flatten)]
    pub target: Target,
    /// Its name.
    pub host: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// How packets are counted there.
    pub hook: Option<String>,
    /// CPUs that are online.
    pub online_cpus: Option<u32>,
    /// Version of its offwatch.
    pub offwatch_version: Option<String>,
    /// When it was last scraped: seconds since the epoch.
    #[serde(skip)]
    pub last_seen_s: f64,
    /// The same, milliseconds.
    pub last_seen_unix_ms: u64,
    /// When its offwatch took the newest sample, by its own clock: milliseconds since
    /// the epoch.
    pub sample_time_unix_ms: Option<u64>,
    /// Interfaces that it has.
    pub interfaces: Option<u64>,
    /// Those that it does not tell of, for its --top.
    pub left_out: Option<u64>,
    /// What it cannot see, and why.
    pub cannot_see: BTreeMap<String, String>,
    /// What its user should know.
    pub notes: Vec<String>,
    /// What its advice is from.
    pub advice: Evaluation,
}

/// When a host's advice was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Seconds that were looked at.
    pub window_seconds: Option<f64>,
    /// When: milliseconds since the epoch.
    pub time_unix_ms: Option<u64>,
    /// How often it was; none where there is no advice.
    pub evaluations: Option<u64>,
}

/// A host that is not heard of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stale {
    /// Where it is, or was, scraped.
    #[serde(flatten)]
    pub target: Target,
    /// Its name, if it was ever heard of.
    pub host: Option<String>,
    /// When it was last seen: milliseconds since the epoch; null if it was not.
    pub last_seen_unix_ms: Option<u64>,
    /// It may have been seen so much later, too.
    pub last_seen_within_seconds: u64,
    /// Why it is stale.
    pub reason: String,
}

/// What Prometheus says of hosts.
#[derive(Debug)]
pub struct Heard<'a> {
    /// When it was asked, by its own clock: seconds since the epoch.
    pub now_s: f64,
    /// [`super::query::HOSTS`].
    pub hosts: &'a [Series],
    /// [`super::query::down`].
    pub down: &'a [Series],
    /// [`super::query::remembered`].
    pub remembered: &'a [Series],
    /// [`super::query::seen`].
    pub seen: &'a [Series],
    /// Steps of the former.
    pub step_s: u64,
    /// Age from which a host is stale.
    pub stale_after_s: f64,
    /// How far it was looked back.
    pub remember_s: u64,
}

/// Scrapes may be stamped so far ahead of Prometheus' clock, by the clocks of others.
const MOST_AHEAD_S: f64 = 60.0;

/// Metrics with what there is to know of a host as a whole.
pub const METRICS: [&str; 9] = [
    "offwatch_build_info",
    "offwatch_unavailable",
    "offwatch_interfaces",
    "offwatch_interfaces_left_out",
    "offwatch_host_online_cpus",
    "offwatch_sample_timestamp_seconds",
    "offwatch_advice_window_seconds",
    "offwatch_advice_last_evaluation_timestamp_seconds",
    "offwatch_advice_evaluations_total",
];

impl Heard<'_> {
    /// Hosts by name, and those that are stale.
    pub fn sorted(&self) -> (Vec<Host>, Vec<Stale>) {
        let down: BTreeSet<Target> = self.down.iter().map(Target::of).collect();
        let mut stale = BTreeMap::new();
        let mut shared: BTreeMap<Target, BTreeSet<&str>> = BTreeMap::new();
        let is_fresh = |series: &&Series| {
            self.now_s - series.value().unwrap_or_default() <= self.stale_after_s
        };
        let mut fresh_counts: BTreeMap<Target, usize> = BTreeMap::new();
        for series in self.hosts.iter().filter(is_fresh) {
            let target = Target::of(series);
            *fresh_counts.entry(target.clone()).or_default() += 1;
            shared
                .entry(target)
                .or_default()
                .insert(series.label("host"));
        }
        shared.retain(|target, _| fresh_counts[target] > 1);
        let mut fresh: BTreeMap<Target, Host> = BTreeMap::new();
        for series in self.hosts {
            let target = Target::of(series);
            let seen_s = series.value().unwrap_or_default();
            let age_s = self.now_s - seen_s;
            if let Some(names) = shared.get(&target) {
                let names = names.iter().copied().collect::<Vec<_>>().join(", ");
                let reason = format!(
                    "Prometheus has several series of hosts with this job and instance ({names}), \
                     which cannot be told apart: give them different ones"
                );
                self.add(&mut stale, series, Some(seen_s), 0, &reason);
            } else if seen_s > self.now_s + MOST_AHEAD_S {
                let reason = "its newest sample is of a time to come";
                self.add(&mut stale, series, Some(seen_s), 0, reason);
            } else if down.contains(&target) {
                self.add(
                    &mut stale,
                    series,
                    Some(seen_s),
                    0,
                    "it cannot be scraped (up is 0)",
                );
            } else if age_s > self.stale_after_s {
                let reason = format!("its newest sample is {} old", span(age_s));
                self.add(&mut stale, series, Some(seen_s), 0, &reason);
            } else if fresh
                .get(&target)
                .is_none_or(|host| host.last_seen_s < seen_s)
            {
                fresh.insert(target, host(series, seen_s));
            }
        }
        for (of, have_times) in [(self.remembered, true), (self.seen, false)] {
            for series in of {
                let target = Target::of(series);
                if fresh.contains_key(&target) {
                    continue;
                }
                let reason = match down.contains(&target) {
                    true => "it cannot be scraped (up is 0)",
                    false => "Prometheus scrapes it no more",
                };
                let seen_s = series.value().filter(|_| have_times);
                self.add(&mut stale, series, seen_s, self.step_s, reason);
            }
        }
        for series in self.down {
            let reason = "it cannot be scraped (up is 0), and was never seen as a host; its job \
                has hosts";
            self.add(&mut stale, series, None, 0, reason);
        }
        let mut hosts: Vec<Host> = fresh.into_values().collect();
        hosts.sort_by(|one, other| (&one.host, &one.target).cmp(&(&other.host, &other.target)));
        (hosts, stale.into_values().collect())
    }

    /// Of what is told twice the newest counts.
    fn add(
        &self,
        stale: &mut BTreeMap<Target, Stale>,
        series: &Series,
        seen_s: Option<f64>,
        within_s: u64,
        reason: &str,
    ) {
        let target = Target::of(series);
        let last_seen_unix_ms = seen_s.map(unix_ms);
        let known = stale.get(&target);
        if known.is_some_and(|known| known.last_seen_unix_ms >= last_seen_unix_ms) {
            return;
        }
        let last_seen_within_seconds = match seen_s {
            Some(_) => within_s,
            None => self.remember_s,
        };
        let host = series.known("host").map(ToOwned::to_owned);
        let found = Stale {
            host,
            last_seen_unix_ms,
            last_seen_within_seconds,
            reason: reason.to_owned(),
            target: target.clone(),
        };
        stale.insert(target, found);
    }
}

fn host(series: &Series, last_seen_s: f64) -> Host {
    let known = |label| series.known(label).map(ToOwned::to_owned);
    let target = Target::of(series);
    Host {
        host: known("host").unwrap_or_else(|| target.instance.clone()),
        target,
        kernel: known("kernel"),
        hook: known("hook"),
        last_seen_s,
        last_seen_unix_ms: unix_ms(last_seen_s),
        ..Host::default()
    }
}

impl Host {
    /// What of [`METRICS`] is told of it.
    pub fn learn(&mut self, series: &Series) {
        let value = series.value();
        let count = || value.map(|value| value as u64);
        let known = |label| series.known(label).map(ToOwned::to_owned);
        match series.label("__name__") {
            "offwatch_build_info" => self.offwatch_version = known("version"),
            "offwatch_unavailable" => {
                let reason = known("reason").unwrap_or_else(|| "not told".into());
                match series.label("what") {
                    "note" => self.notes.push(reason),
                    what => drop(self.cannot_see.insert(what.to_owned(), reason)),
                }
            }
            "offwatch_interfaces" => self.interfaces = count(),
            "offwatch_interfaces_left_out" => self.left_out = count(),
            "offwatch_host_online_cpus" => {
                self.online_cpus = count().and_then(|cpus| u32::try_from(cpus).ok());
            }
            "offwatch_sample_timestamp_seconds" => {
                self.sample_time_unix_ms = value.map(unix_ms);
            }
            "offwatch_advice_window_seconds" => self.advice.window_seconds = value,
            "offwatch_advice_last_evaluation_timestamp_seconds" => {
                self.advice.time_unix_ms = value.map(unix_ms);
            }
            "offwatch_advice_evaluations_total" => self.advice.evaluations = count(),
            _ => {}
        }
    }

    /// So many interfaces may be in an answer about it.
    pub fn weight(&self) -> u64 {
        /// As many as a host has that does not tell.
        const UNKNOWN: u64 = 1_000;
        let all = self.interfaces.unwrap_or(UNKNOWN);
        all.saturating_sub(self.left_out.unwrap_or(0))
    }

    /// The same host as one that is not heard of: its offwatch takes no more samples.
    /// A file that is scraped in its place does not grow older by itself.
    pub fn stuck(&self, now_s: f64, stale_after_s: f64) -> Option<Stale> {
        let sample_unix_ms = self.sample_time_unix_ms?;
        let age_s = now_s - sample_unix_ms as f64 / 1000.0;
        let reason = match age_s {
            old if old > stale_after_s => format!(
                "it is scraped, but its offwatch took no sample for {}, if its clock is right",
                span(old)
            ),
            ahead if ahead < -stale_after_s => format!(
                "its clock is {} ahead of that of Prometheus: how old its samples are cannot be \
                 told",
                span(-ahead)
            ),
            _ => return None,
        };
        Some(Stale {
            target: self.target.clone(),
            host: Some(self.host.clone()),
            last_seen_unix_ms: Some(sample_unix_ms),
            last_seen_within_seconds: 0,
            reason,
        })
    }
}

/// Names of hosts for people: where several have one, with the instance.
pub fn names(hosts: &[Host]) -> Vec<String> {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for host in hosts {
        *counts.entry(&host.host).or_default() += 1;
    }
    let mut instances: HashMap<(&str, &str), u32> = HashMap::new();
    for host in hosts {
        let name = (&*host.host, host.target.instance());
        *instances.entry(name).or_default() += 1;
    }
    let name = |host: &Host| {
        let (name, target) = (&host.host, &host.target);
        let (job, instance) = (target.job(), target.instance());
        match (counts[&**name], instances[&(&**name, instance)]) {
            (1, _) => name.clone(),
            (_, 1) => format!("{name} ({instance})"),
            _ => format!("{name} ({job}, {instance})"),
        }
    };
    hosts.iter().map(name).collect()
}

/// Seconds as milliseconds.
pub fn unix_ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// A length of time, roughly.
pub fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        short if short < 120.0 => format!("{short:.0} s"),
        hours if hours % 3600.0 == 0.0 => format!("{:.0} h", hours / 3600.0),
        minutes if minutes < 7200.0 => format!("{:.0} min", minutes / 60.0),
        hours => format!("{:.0} h", hours / 3600.0),
    }
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
