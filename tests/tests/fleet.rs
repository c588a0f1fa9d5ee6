//! `offwatch fleet` with a real Prometheus, which scrapes three hosts: the same
//! figures as on each of them, to the frame and the byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use offwatch_tests::{
    Netns,
    exported::{COUNTERS, Card, Gained, Host, LEGACY, OURS, gained},
    observer::{Observer, offwatch},
    prometheus::{self, Prometheus, number},
    quiet::wait_until,
    skip::skipped,
    skip_unless_lab,
};
use serde_json::Value;

/// How long there is traffic at least, in seconds.
const SECONDS_VARIABLE: &str = "OFFWATCH_FLEET_SECONDS";
const SECONDS: u64 = 45;
/// Of `advise`, as `export` has it.
const WINDOW: &str = "30s";
/// Between exchanges. It keeps all rates far below what rules ask for, however fast
/// the machine is: two windows are judged alike. Shares of frames are what decides.
const PAUSE: Duration = Duration::from_secs(1);
/// On an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a host calls itself that does not have the name of this machine.
const OTHER_NAME: &str = "offwatch-other-host";

/// Three hosts: two of one name, all with some of the same VMs and taps.
fn hosts(prometheus: &Netns) -> Result<[Host; 3]> {
    Ok([
        Host::start(prometheus, 1, &["lab-web", "lab-db", LEGACY])?,
        Host::start(prometheus, 2, &["lab-web", "lab-db"])?,
        Host::start(prometheus, 3, &["lab-web", LEGACY])?,
    ])
}

/// `offwatch fleet`; its exit code, and what it prints.
fn fleet(prometheus: &Prometheus, args: &[&str]) -> Result<(i32, String)> {
    let (what, args) = args.split_first().context("a subcommand")?;
    let mut command = offwatch(prometheus.ns(), &["fleet", what])?;
    command.args(["--prometheus", &prometheus.url()]).args(args);
    let output = command.output()?;
    let said = String::from_utf8(output.stderr)?;
    let code = output.status.code().context("it was killed")?;
    ensure!(code == 0 || code == 3, "{args:?}: {code}: {said}");
    Ok((code, String::from_utf8(output.stdout)?))
}

fn fleet_json(prometheus: &Prometheus, args: &[&str]) -> Result<Value> {
    let (_, text) = fleet(prometheus, &[args, &["--json"]].concat())?;
    serde_json::from_str(&text).context("JSON")
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    value[field]
        .as_array()
        .with_context(|| format!("no {field}: {value}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Samples of a counter in the window that ends then: how much it grew, and how long
/// it took from the first to the last.
fn scraped(
    prometheus: &Prometheus,
    metric: &str,
    window_s: u64,
    at_s: f64,
) -> Result<BTreeMap<Card, (u64, f64)>> {
    let query = format!("offwatch_vm_{metric}_total[{window_s}s]");
    let series = prometheus.query_at(&query, at_s)?;
    let ends = series.iter().map(|series| {
        let values = list(series, "values")?;
        let end = |sample: Option<&Value>| {
            let sample = sample.context("a sample")?;
            let value: f64 = text(&sample[1]).parse()?;
            anyhow::Ok((sample[0].as_f64().context("a time")?, value as u64))
        };
        let ((began, first), (ended, last)) = (end(values.first())?, end(values.last())?);
        let labels = &series["metric"];
        let card = (
            text(&labels["instance"]),
            text(&labels["vm"]),
            text(&labels["dev"]),
        );
        Ok((card, (last - first, ended - began)))
    });
    ends.collect()
}

/// How long it took from the first to the last sample that was scraped of each host.
fn sampled(prometheus: &Prometheus, window_s: u64, at_s: f64) -> Result<BTreeMap<String, f64>> {
    let query = format!("offwatch_sample_timestamp_seconds[{window_s}s]");
    let series = prometheus.query_at(&query, at_s)?;
    let spans = series.iter().map(|series| {
        let values = list(series, "values")?;
        let time = |sample: Option<&Value>| -> Result<f64> {
            Ok(text(&sample.context("a sample")?[1]).parse()?)
        };
        let span = time(values.last())? - time(values.first())?;
        anyhow::Ok((text(&series["metric"]["instance"]), span))
    });
    spans.collect()
}

/// What Prometheus holds is what crossed the taps, and so is what `fleet` makes of it,
/// times the time that it covers: that between the samples, not between their scrapes.
fn top_agrees(prometheus: &Prometheus, window_s: u64, gained: &Gained) -> Result<()> {
    let window = format!("{window_s}s");
    let told = fleet_json(prometheus, &["top", "--window", &window, "--limit", "0"])?;
    assert_eq!(told["schema"], "offwatch.fleet.top");
    assert_eq!(
        (&told["is_partial"], list(&told, "stale_hosts")?.len()),
        (&false.into(), 0)
    );
    let at_s = told["time_unix_ms"].as_f64().context("a time")? / 1000.0;
    let mut cards: BTreeMap<Card, &Value> = BTreeMap::new();
    for vm in list(&told, "vms")? {
        for interface in list(vm, "interfaces")? {
            let card = (
                text(&vm["instance"]),
                text(&vm["vm"]),
                text(&interface["dev"]),
            );
            cards.insert(card, interface);
        }
    }
    let known: BTreeSet<&Card> = gained.keys().map(|(card, _)| card).collect();
    assert_eq!(cards.keys().collect::<BTreeSet<_>>(), known);
    let sampled = sampled(prometheus, window_s, at_s)?;
    for (metric, part, figure) in COUNTERS {
        let scraped = scraped(prometheus, metric, window_s, at_s)?;
        assert_eq!(scraped.keys().collect::<BTreeSet<_>>(), known, "{metric}");
        for (card, (grown, _)) in scraped {
            let sent = gained[&(card.clone(), metric)];
            assert_eq!(
                grown, sent,
                "{metric} of {card:?} in Prometheus, and in top"
            );
            let rate = &cards[&card][part][format!("{figure}_per_s")];
            let rate = rate
                .as_f64()
                .with_context(|| format!("{metric} of {card:?}: {rate}"))?;
            let seconds = cards[&card]["rates_cover_seconds"].as_f64();
            let seconds = seconds.with_context(|| format!("{card:?}: no time"))?;
            // Milliseconds, of times of which each is rounded.
            assert!(
                (seconds - sampled[&card.0]).abs() < 0.01,
                "{card:?}: {seconds} {sampled:?}"
            );
            // `rate()` may take the range for a millisecond longer than what was scraped.
            let (covered, sent) = (rate * seconds, sent as f64);
            assert!(
                (covered - sent).abs() <= sent * 1e-3,
                "{metric} of {card:?}: {rate}/s for {seconds} s, {sent}"
            );
        }
    }
    Ok(())
}

/// VMs of all hosts come in the order of what they gained; where they differ by less
/// than the times that rates of their hosts cover may, either order is right.
fn ranks_agree(prometheus: &Prometheus, window_s: u64, gained: &Gained) -> Result<()> {
    const AT_MOST: f64 = 1.25;
    let window = format!("{window_s}s");
    let keys: [(&str, &[&str]); 4] = [
        ("netrx", &["receive_bytes"]),
        ("nettx", &["transmit_bytes"]),
        ("pps", &["receive_packets", "transmit_packets"]),
        ("swseg", &["software_segments"]),
    ];
    for (key, metrics) in keys {
        let args = ["top", "--window", &window, "-o", key, "--limit"];
        let ranked = |limit| -> Result<Vec<(String, String)>> {
            let told = fleet_json(prometheus, &[&args[..], &[limit]].concat())?;
            assert_eq!(told["vms_total"], 7);
            let vms = list(&told, "vms")?.iter();
            Ok(vms
                .map(|vm| (text(&vm["instance"]), text(&vm["vm"])))
                .collect())
        };
        let all = ranked("0")?;
        let value = |(instance, vm): &(String, String)| -> u64 {
            let of_vm = gained.iter().filter(|(((host, name, _), metric), _)| {
                (host, name) == (instance, vm) && metrics.contains(metric)
            });
            of_vm.map(|(_, grown)| grown).sum()
        };
        let values: Vec<u64> = all.iter().map(value).collect();
        for pair in values.windows(2) {
            assert!(
                pair[1] as f64 <= pair[0] as f64 * AT_MOST,
                "{key}: {all:?} {values:?}"
            );
        }
        assert!(values[0] > 0, "{key}");
        assert!(values.first() > values.last(), "{key}: {values:?}");
        assert_eq!(ranked("3")?.len(), 3, "{key}");
    }
    Ok(())
}

/// Waits until it holds, of each host, a sample that was taken after this call.
fn wait_sampled(prometheus: &Prometheus, hosts: usize) -> Result<()> {
    let now_s = prometheus.value("vector(time())")?;
    let query = format!("offwatch_sample_timestamp_seconds > {now_s:.3}");
    let sampled = wait_until("hosts are sampled", PATIENCE, || {
        Ok(prometheus.query(&query)?.len() == hosts)
    });
    sampled.with_context(|| format!("{:?}", prometheus.query("up")))
}

/// Instance, rule, VM, interface and verdict.
type Said = BTreeSet<(String, String, String, String, String)>;

/// How large TCP makes its frames on a busy machine differs from one window to the next,
/// and of this size there are few: about as many as the rule asks for.
const BY_CHANCE: &str = "coalesced-frames";

/// What each host's own `advise` says.
fn advised(hosts: &[Host]) -> Result<Said> {
    let spawned = hosts.iter().map(|host| {
        let mut command: Command = offwatch(host.lab.host(), &["advise", "--window", WINDOW])?;
        command.args(["--json", "--vm", OURS, "--connect", &host.uri()]);
        let child = command.stdout(Stdio::piped()).spawn()?;
        Ok((host.address.to_string(), child))
    });
    let mut said = Said::new();
    for (instance, child) in spawned.collect::<Result<Vec<_>>>()? {
        let output = child.wait_with_output()?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let advice = list(&report, "advice")?.iter();
        for advice in advice.filter(|advice| advice["rule"] != BY_CHANCE) {
            let subject = &advice["subject"];
            let of = |value: &Value| text(value);
            said.insert((
                instance.clone(),
                of(&advice["rule"]),
                of(&subject["vm"]),
                of(&subject["dev"]),
                of(&advice["verdict"]),
            ));
        }
    }
    Ok(said)
}

fn fleet_advised(prometheus: &Prometheus) -> Result<Said> {
    let told = fleet_json(prometheus, &["advise", "--vm", OURS])?;
    assert_eq!(told["schema"], "offwatch.fleet.advise");
    let advice = list(&told, "advice")?.iter();
    let advice = advice.filter(|advice| advice["rule"] != BY_CHANCE);
    let advice = advice.map(|advice| {
        let of = |field: &str| text(&advice[field]);
        (
            of("instance"),
            of("rule"),
            of("vm"),
            of("dev"),
            of("verdict"),
        )
    });
    Ok(advice.collect())
}

/// Runs `during` while there is traffic on all hosts, for a time at least.
fn with_traffic<T>(hosts: &[Host], during: impl FnOnce() -> Result<T>) -> Result<T> {
    let seconds = std::env::var(SECONDS_VARIABLE).ok();
    let seconds = seconds.map_or(Ok(SECONDS), |seconds| seconds.parse());
    let least = Duration::from_secs(seconds.context(SECONDS_VARIABLE)?);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders = hosts.iter().map(|host| {
            scope.spawn(|| -> Result<()> {
                let began = Instant::now();
                while began.elapsed() < least || !enough.load(Ordering::Relaxed) {
                    host.exchange()?;
                    thread::sleep(PAUSE);
                }
                Ok(())
            })
        });
        let senders: Vec<_> = senders.collect();
        let result = during();
        enough.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().expect("a sender")?;
        }
        result
    })
}

#[test]
fn three_hosts_are_shown_as_each_shows_itself() -> Result<()> {
    skip_unless_lab!();
    if let Some(reason) = prometheus::lacking() {
        skipped(&reason);
        return Ok(());
    }
    let ns = Netns::new()?;
    let hosts = hosts(&ns)?;
    let names = [None, None, Some(OTHER_NAME)];
    let exporters = hosts
        .iter()
        .zip(names)
        .map(|(host, name)| host.export(name));
    let mut exporters = exporters.collect::<Result<Vec<_>>>()?;
    let targets = hosts.each_ref().map(|host| host.address);
    let observers = hosts
        .iter()
        .map(Host::observe)
        .collect::<Result<Vec<_>>>()?;
    let models = || -> Result<Vec<Value>> {
        hosts.iter().try_for_each(|host| host.lab.wait_quiet())?;
        observers.iter().map(Observer::now).collect()
    };
    let before = models()?;
    let started = Instant::now();
    let prometheus = Prometheus::start(&ns, &prometheus::config("1s", &targets, &[]), &[])?;
    wait_sampled(&prometheus, targets.len())?;

    let (said, fleet_said) = with_traffic(&hosts, || {
        let began_s = prometheus.value("vector(time())")?;
        let said = advised(&hosts)?;
        // A window of `export` that began after the traffic did.
        let query = format!(
            "offwatch_advice_last_evaluation_timestamp_seconds - offwatch_advice_window_seconds \
             > {began_s:.3}"
        );
        wait_until("advice of the traffic", PATIENCE, || {
            Ok(prometheus.query(&query)?.len() == targets.len())
        })?;
        Ok((said, fleet_advised(&prometheus)?))
    })?;
    assert_eq!(fleet_said, said, "advice of all hosts, and of each");
    let changes = said.iter().filter(|(.., verdict)| verdict == "change");
    assert!(changes.count() >= 2, "{said:?}");

    let after = models()?;
    wait_sampled(&prometheus, targets.len())?;
    let gained = gained(&hosts, &before, &after)?;
    for host in &hosts {
        for guest in host.lab.guests() {
            let card = (
                host.address.to_string(),
                guest.name().into(),
                guest.tap().into(),
            );
            assert!(
                gained[&(card, "receive_bytes")] > host.stream_bytes / 10,
                "{}",
                guest.name()
            );
        }
    }
    // Everything that was scraped, and more: so it stays while more is.
    let window_s = started.elapsed().as_secs() + 20;
    top_agrees(&prometheus, window_s, &gained)?;
    ranks_agree(&prometheus, window_s, &gained)?;
    names_are_told_apart(&prometheus, &targets)?;

    exporters.pop().context("an exporter")?.kill()?;
    a_host_that_is_gone_is_told(&prometheus, targets[2])
}

/// Two of the hosts have the name of this machine.
fn names_are_told_apart(prometheus: &Prometheus, targets: &[SocketAddr; 3]) -> Result<()> {
    let (code, table) = fleet(prometheus, &["top", "--exit-code", "-o", "name"])?;
    assert_eq!(code, 0, "{table}");
    for (target, cards) in targets.iter().zip([3, 2]) {
        let shown = table
            .lines()
            .filter(|line| line.contains(&format!("({target})")));
        assert_eq!(shown.count(), cards, "{table}");
    }
    let other = table
        .lines()
        .filter(|line| line.split_whitespace().next() == Some(OTHER_NAME));
    assert_eq!(other.count(), 2, "{table}");
    let one = fleet_json(
        prometheus,
        &[
            "top", "--host", "*:9953", "--host", OTHER_NAME, "--vm", "lab-db",
        ],
    )?;
    assert_eq!(list(&one, "vms")?.len(), 2);
    let one = fleet_json(prometheus, &["top", "--host", OTHER_NAME])?;
    assert_eq!(list(&one, "vms")?.len(), 2);
    Ok(())
}

fn a_host_that_is_gone_is_told(prometheus: &Prometheus, gone: SocketAddr) -> Result<()> {
    wait_until("a scrape fails", PATIENCE, || {
        Ok(prometheus.query("up == 0")?.len() == 1)
    })?;
    let told = fleet_json(prometheus, &["top"])?;
    assert_eq!(told["is_partial"], true);
    let [stale] = &list(&told, "stale_hosts")?[..] else {
        panic!("{told}");
    };
    assert_eq!(stale["instance"], gone.to_string());
    assert_eq!(stale["host"], OTHER_NAME);
    assert_eq!(stale["reason"], "it cannot be scraped (up is 0)");
    // When it was seen is the time of one of its last scrapes.
    let seen_s = stale["last_seen_unix_ms"].as_f64().context("a time")? / 1000.0;
    let query = format!("timestamp(offwatch_host_info{{instance=\"{gone}\"}})");
    let scraped = prometheus.query_at(&query, seen_s)?;
    assert_eq!(scraped.len(), 1);
    assert!((number(&scraped[0])? - seen_s).abs() < 0.002, "{stale}");
    let of_gone = |vm: &&Value| vm["instance"] == gone.to_string();
    assert_eq!(list(&told, "vms")?.len(), 5);
    assert_eq!(list(&told, "vms")?.iter().filter(of_gone).count(), 0);
    for command in ["top", "advise"] {
        let (code, text) = fleet(prometheus, &[command, "--exit-code"])?;
        assert_eq!(code, 3);
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        assert!(head.contains("hosts: 2, 1 stale - PARTIAL"), "{text}");
        let stale = lines.find(|line| line.starts_with("STALE"));
        assert!(
            stale.is_some_and(|line| line.contains(OTHER_NAME)),
            "{text}"
        );
    }
    Ok(())
}
