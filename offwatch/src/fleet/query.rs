//! What Prometheus is asked.

use std::fmt::Write as _;

use super::hosts::{Host, Target};

/// Cards and VMs that one answer may be about; more only if one host has more.
const MOST_CARDS: u64 = 5_000;
/// Hosts of one query, so that it does not grow too long.
const MOST_HOSTS: usize = 100;

/// Hosts in portions that each fit into an answer.
pub fn batches(hosts: &[Host]) -> Vec<&[Host]> {
    let mut batches = Vec::new();
    let mut rest = hosts;
    while !rest.is_empty() {
        let mut cards = 0;
        let fits = |host: &&Host| {
            cards += host.weight();
            cards <= MOST_CARDS
        };
        let count = rest.iter().take(MOST_HOSTS).take_while(fits).count();
        let (batch, further) = rest.split_at(count.max(1));
        batches.push(batch);
        rest = further;
    }
    batches
}

/// As [`batches`], where little is asked of each.
pub fn portions(hosts: &[Host]) -> impl Iterator<Item = &[Host]> {
    hosts.chunks(MOST_HOSTS)
}

/// Matchers, without braces, of what hosts tell. It may also match what another host
/// tells, if one has the job of one and the instance of another.
pub fn of_hosts<'a>(targets: impl Iterator<Item = &'a Target> + Clone) -> String {
    let mut text = String::new();
    for (label, of) in [
        ("job", Target::job as fn(&Target) -> &str),
        ("instance", Target::instance),
    ] {
        let mut values: Vec<&str> = targets.clone().map(of).collect();
        values.sort_unstable();
        values.dedup();
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{}", any_of(label, values));
    }
    text
}

/// A matcher of any of these values.
pub fn any_of<'a>(label: &str, values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.into_iter().map(literal).collect();
    format!("{label}=~{}", quoted(&values.join("|")))
}

/// Matchers, without braces, of what one host tells.
pub fn of_host(target: &Target) -> String {
    let (job, instance) = (quoted(target.job()), quoted(target.instance()));
    format!("job={job},instance={instance}")
}

/// Metrics by names, of some hosts.
pub fn metrics(names: &[&str], of_hosts: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!("{{__name__=~{},{of_hosts}}}", quoted(&names.join("|")))
}

/// The samples of metrics within `window_s` seconds.
pub fn samples(names: &[&str], window_s: u64, matchers: &str) -> String {
    format!("{}[{window_s}s]", metrics(names, matchers))
}

/// How many samples there are of a metric within `window_s` seconds.
pub fn counts(name: &str, window_s: u64, matchers: &str) -> String {
    format!("count_over_time({name}{{{matchers}}}[{window_s}s])")
}

/// Series of one host that were in the same scrapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Matchers, without braces.
    pub matchers: String,
    /// The first scrape, milliseconds since the epoch.
    pub from_ms: u64,
    /// The last one.
    pub to_ms: u64,
    /// How many there are.
    pub count: usize,
}

impl Term {
    /// The range begins just before the first sample, and ends with the last. What is
    /// not in all scrapes is left out.
    fn rate(&self, counter: &str) -> String {
        let (matchers, count) = (&self.matchers, self.count);
        let range_ms = self.to_ms - self.from_ms + 1;
        let (at_s, at_ms) = (self.to_ms / 1000, self.to_ms % 1000);
        let range = format!("{counter}{{{matchers}}}[{range_ms}ms] @ {at_s}.{at_ms:03}");
        format!("rate({range}) and count_over_time({range}) == {count}")
    }
}

/// The rate of a counter, by labels, in queries that are not too long.
pub fn rates(counter: &str, by: &str, terms: &[Term]) -> Vec<String> {
    let queries = terms.chunks(MOST_HOSTS).map(|terms| {
        let rates: Vec<String> = terms.iter().map(|term| term.rate(counter)).collect();
        format!("sum by (job,instance,{by}) ({})", rates.join(" or "))
    });
    queries.collect()
}

/// Hosts, by when Prometheus has last heard of them.
pub const HOSTS: &str = "timestamp(offwatch_host_info)";

/// Hosts of the last time, with what was the newest sample at steps of it: when they
/// were last seen, or up to a step later.
pub fn remembered(remember_s: u64) -> String {
    let step = step_s(remember_s);
    format!("max_over_time(timestamp(offwatch_host_info)[{remember_s}s:{step}s])")
}

/// The step of [`remembered`], seconds.
pub fn step_s(remember_s: u64) -> u64 {
    const SHORTEST: u64 = 5;
    const STEPS: u64 = 360;
    (remember_s / STEPS).max(SHORTEST)
}

/// Hosts of the last time, also those that were there only between two steps.
pub fn seen(remember_s: u64) -> String {
    format!("last_over_time(offwatch_host_info[{remember_s}s])")
}

/// Targets that cannot be scraped, of jobs that have hosts.
pub fn down(remember_s: u64) -> String {
    format!("up == 0 and on (job) last_over_time(offwatch_host_info[{remember_s}s])")
}

/// Text as a regular expression that matches nothing else.
fn literal(text: &str) -> String {
    let mut expression = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            expression.push('\\');
        }
        expression.push(c);
    }
    expression
}

/// Text as PromQL has it.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(cards: &[u64]) -> Vec<Host> {
        let host = |(number, cards): (usize, &u64)| Host {
            target: Target::new("offwatch", &format!("h{number}:9953")),
            interfaces: Some(*cards),
            ..Host::default()
        };
        cards.iter().enumerate().map(host).collect()
    }

    #[test]
    fn no_batch_is_larger_than_an_answer_may_be() {
        let sizes = |cards: &[u64]| {
            let hosts = hosts(cards);
            batches(&hosts)
                .iter()
                .map(|batch| batch.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [] as [usize; 0]);
        assert_eq!(sizes(&[4_000, 900, 90, 3, 20_000, 7]), [4, 1, 1]);
        assert_eq!(sizes(&[0; 250]), [100, 100, 50]);
        assert_eq!(sizes(&[20_000]), [1], "one host is never left out");
    }

    #[test]
    fn names_are_matched_as_they_are() {
        let targets = [
            Target::new("offwatch", "a.b:1"),
            Target::new("offwatch", "c\"\\\n|d"),
        ];
        assert_eq!(
            of_hosts(targets.iter()),
            r#"job=~"offwatch",instance=~"a\\.b:1|c\"\\\\\n\\|d""#
        );
        assert_eq!(
            of_host(&targets[1]),
            r#"job="offwatch",instance="c\"\\\n|d""#
        );
        assert_eq!(
            metrics(&["a", "b"], r#"job=~"j""#),
            r#"{__name__=~"a|b",job=~"j"}"#
        );
    }

    #[test]
    fn rates_are_of_just_the_scrapes_there_are() {
        let term = |host: &str| Term {
            matchers: format!("instance=\"{host}\""),
            from_ms: 1_000_004,
            to_ms: 1_060_009,
            count: 5,
        };
        assert_eq!(
            rates("x", "vm", &[term("a"), term("b")]),
            [
                r#"sum by (job,instance,vm) (rate(x{instance="a"}[60006ms] @ 1060.009) and "#
                    .to_owned()
                    + r#"count_over_time(x{instance="a"}[60006ms] @ 1060.009) == 5 or "#
                    + r#"rate(x{instance="b"}[60006ms] @ 1060.009) and "#
                    + r#"count_over_time(x{instance="b"}[60006ms] @ 1060.009) == 5)"#
            ]
        );
        assert_eq!(rates("x", "vm", &[]), [] as [String; 0]);
        assert_eq!(rates("x", "vm", &vec![term("a"); 250]).len(), 3);
    }
}
