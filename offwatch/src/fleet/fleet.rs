//! The hosts that an answer is about, and how far it can be relied on.

use std::fmt::Write as _;

use serde::Serialize;

use super::hosts::{self, Host, Stale};
use crate::{
    output::table::utc_time,
    text::{paragraph, plain},
};

/// Lines of one kind for people; the JSON has all.
pub(super) const MOST_LINES: usize = 20;

/// Hosts, and what Prometheus says of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fleet {
    /// When Prometheus was asked, by its clock: milliseconds since the epoch.
    pub time_unix_ms: u64,
    /// Its address.
    pub prometheus: String,
    /// Something may be missing.
    pub is_partial: bool,
    /// Why, beside the hosts that are stale: a line each.
    pub partial_because: Vec<String>,
    /// Hosts that are heard of.
    pub hosts: Vec<Host>,
    /// Hosts that are not: nothing of them is shown.
    pub stale_hosts: Vec<Stale>,
    /// Names of the former, for people.
    #[serde(skip)]
    pub names: Vec<String>,
}

impl Fleet {
    /// From hosts, and what Prometheus warns of.
    pub fn new(
        (time_unix_ms, prometheus): (u64, &str),
        (hosts, stale_hosts): (Vec<Host>, Vec<Stale>),
        warnings: &[String],
    ) -> Self {
        let mut fleet = Self {
            time_unix_ms,
            prometheus: prometheus.to_owned(),
            names: hosts::names(&hosts),
            is_partial: !stale_hosts.is_empty(),
            hosts,
            stale_hosts,
            ..Self::default()
        };
        let left_out = fleet.hosts.iter().zip(&fleet.names);
        let left_out = left_out.filter_map(|(host, name)| {
            let count = host.left_out.filter(|count| *count > 0)?;
            Some(format!(
                "{name} leaves {count} interfaces out, for the --top of its export"
            ))
        });
        let left_out: Vec<String> = left_out.collect();
        left_out.into_iter().for_each(|line| fleet.lacks(line));
        fleet.warn(warnings);
        fleet
    }

    /// Adds what Prometheus warns of.
    pub fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            self.lacks(format!("Prometheus warns: {}", plain(warning)));
        }
    }

    /// Adds what is missing.
    pub(super) fn lacks(&mut self, line: String) {
        self.is_partial = true;
        if !self.partial_because.contains(&line) {
            self.partial_because.push(line);
        }
    }

    /// What is told of it in the first line.
    pub(super) fn head(&self, what: &str) -> String {
        let mut head = format!(
            "offwatch fleet {what} - {} - hosts: {}",
            utc_time(self.time_unix_ms),
            self.hosts.len()
        );
        if !self.stale_hosts.is_empty() {
            let _ = write!(head, ", {} stale", self.stale_hosts.len());
        }
        if self.is_partial {
            head.push_str(" - PARTIAL");
        }
        head
    }

    /// What is missing, for people.
    pub(super) fn tell(&self, text: &mut String) {
        let mut lines: Vec<String> = self
            .stale_hosts
            .iter()
            .map(|stale| self.stale(stale))
            .collect();
        lines.extend(
            self.partial_because
                .iter()
                .map(|line| format!("PARTIAL: {line}")),
        );
        lines.extend(self.versions());
        list(text, &lines);
    }

    fn stale(&self, stale: &Stale) -> String {
        let target = &stale.target;
        let name = match &stale.host {
            Some(host) => format!("{host} ({})", target.instance()),
            None => target.instance().to_owned(),
        };
        let seen = match stale.last_seen_unix_ms {
            Some(seen) => {
                let ago_s = self.time_unix_ms.saturating_sub(seen) as f64 / 1000.0;
                format!("last seen {} ago, {}", hosts::span(ago_s), utc_time(seen))
            }
            None if stale.host.is_none() => "never seen".into(),
            None => {
                let within = hosts::span(stale.last_seen_within_seconds as f64);
                format!("last seen within {within}")
            }
        };
        format!("STALE {name}: {}; {seen}", stale.reason)
    }

    /// Hosts with another version of offwatch.
    fn versions(&self) -> Option<String> {
        const OURS: &str = env!("CARGO_PKG_VERSION");
        let others = self
            .hosts
            .iter()
            .zip(&self.names)
            .filter_map(|(host, name)| {
                let version = host.offwatch_version.as_deref()?;
                (version != OURS).then(|| format!("{name} ({version})"))
            });
        let others: Vec<String> = others.collect();
        let rest = others.len().saturating_sub(MOST_LINES);
        let shown = others[..others.len() - rest].join(", ");
        let more = match rest {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!others.is_empty())
            .then(|| format!("note: this is offwatch {OURS}; another one is on {shown}{more}"))
    }
}

/// Adds lines, as many as are read.
pub(super) fn list(text: &mut String, lines: &[String]) {
    for line in lines.iter().take(MOST_LINES) {
        paragraph(text, "", line);
    }
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        let _ = writeln!(text, "... and {more} more; --json has all");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::hosts::Target;

    fn host(name: &str, version: &str) -> Host {
        Host {
            host: name.into(),
            target: Target::new("o", &format!("{name}:1")),
            offwatch_version: Some(version.into()),
            ..Host::default()
        }
    }

    #[test]
    fn a_whole_answer_is_not_partial() {
        let hosts = vec![host("alpha", env!("CARGO_PKG_VERSION"))];
        let fleet = Fleet::new((3_600_000, "http://p"), (hosts, vec![]), &[]);
        let mut text = String::new();
        fleet.tell(&mut text);
        assert_eq!(text, "");
        assert_eq!(
            fleet.head("top"),
            "offwatch fleet top - 01:00:00 UTC - hosts: 1"
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut limited = host("beta", "9.9");
        limited.left_out = Some(12);
        let stale = |host: Option<&str>, seen| Stale {
            target: Target::new("o", "x:1"),
            host: host.map(Into::into),
            last_seen_unix_ms: seen,
            last_seen_within_seconds: 3600,
            reason: "it cannot be scraped (up is 0)".into(),
        };
        let stale = vec![
            stale(Some("gamma"), Some(3_300_000)),
            stale(Some("delta"), None),
            stale(None, None),
        ];
        let warnings = ["a store is gone".to_owned(), "a store is gone".to_owned()];
        let fleet = Fleet::new((3_600_000, "http://p"), (vec![limited], stale), &warnings);
        assert!(fleet.is_partial);
        assert_eq!(
            fleet.head("top"),
            "offwatch fleet top - 01:00:00 UTC - hosts: 1, 3 stale - PARTIAL"
        );
        let mut text = String::new();
        fleet.tell(&mut text);
        let text = text.replace("\n        ", " ");
        let expected = format!(
            "STALE gamma (x:1): it cannot be scraped (up is 0); last seen 5 min ago, 00:55:00 UTC\n\
             STALE delta (x:1): it cannot be scraped (up is 0); last seen within 1 h\n\
             STALE x:1: it cannot be scraped (up is 0); never seen\n\
             PARTIAL: beta leaves 12 interfaces out, for the --top of its export\n\
             PARTIAL: Prometheus warns: a store is gone\n\
             note: this is offwatch {}; another one is on beta (9.9)\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>(),
            expected.split_whitespace().collect::<Vec<_>>()
        );
    }
}
