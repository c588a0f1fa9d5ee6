use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr as _;

use super::{headline, progress, recipe_markdown, recipe_text, text};
use crate::{
    advise::price::{Effect, Price, Range},
    sample::offloads::Fact,
    trial::{
        judge,
        outcome::{self, Conclusion, Forecast, Subject, Trial, TrialHost, Tried},
        period::{Cpu, Period, Side, Way},
        schedule,
        settings::Settings,
    },
};

/// A round's noise: by what its figures are multiplied.
const NOISE: [f64; 10] = [1.0, 1.01, 0.98, 1.03, 0.99, 1.02, 0.97, 1.0, 1.01, 0.995];

/// A period of a host that carries 1 Gbit/s to the guest without the change, and less
/// than half of it with it, at a higher cost.
fn period((round, side): (u32, Side)) -> Period {
    let noise = NOISE[(round as usize - 1) % NOISE.len()];
    let is_with = side == Side::With;
    let noise = if is_with { noise } else { 2.0 - noise };
    let part = if is_with { 0.45 } else { 1.0 };
    let bytes = 625e6 * part * noise;
    let count = |value: f64| Fact::Known(value as u64);
    let time = |ns_per_byte: f64| {
        let more = if is_with { 1.8 } else { 1.0 };
        count(ns_per_byte * more * bytes)
    };
    let way = |bytes: f64, packets: f64| Way {
        packets: packets as u64,
        bytes: (bytes * 1.02) as u64,
        goodput_bytes: count(bytes),
        drops: count(if is_with { packets * 0.004 } else { 0.0 }),
        tcp_segments: count(packets * 2.0),
        retransmitted_segments: count(0.0),
    };
    Period {
        round,
        side,
        seconds: 5.0,
        received: way(bytes, if is_with { 200_000.0 } else { 12_000.0 } * noise),
        sent: way(0.0, 5_000.0 * noise),
        software_segments: count(if is_with { 190_000.0 * noise } else { 0.0 }),
        checksum_bytes: Fact::Known(0),
        checksum_drops: Fact::Known(0),
        cpu: Cpu {
            host_ns: time(4.31),
            softirq_ns: time(0.5 * (2.0 - noise)),
            vm_ns: time(2.2),
            vcpu_ns: time(1.9),
            vhost_ns: Fact::unavailable("QEMU carries its frames itself"),
        },
    }
}

fn trial(set: &str) -> Trial {
    let settings = Settings::default();
    let periods: Vec<Period> = schedule::order(settings.rounds).map(period).collect();
    Trial {
        schema: outcome::SCHEMA.into(),
        version: outcome::SCHEMA_VERSION,
        host: TrialHost {
            name: "host".into(),
            kernel: "6.18.0".into(),
            online_cpus: 2,
            netns: 1,
        },
        start_unix_ms: 0,
        end_unix_ms: 120_000,
        subject: Subject {
            vm: Some("web".into()),
            vm_uuid: None,
            devs: BTreeMap::from([("vnet3".to_owned(), 7)]),
        },
        change: Some(Tried {
            set: set.into(),
            ..Tried::default()
        }),
        effects: judge::effects(&periods, &settings),
        notes: judge::notes(&periods),
        periods,
        settings,
        conclusion: Conclusion::Complete,
        not_as_before: Vec::new(),
        forecast: None,
    }
}

/// The line that begins so.
fn line<'t>(text: &'t str, begin: &str) -> &'t str {
    let mut lines = text.lines();
    lines
        .find(|line| line.trim_start().starts_with(begin))
        .unwrap_or_else(|| panic!("{begin:?} in:\n{text}"))
}

#[test]
fn the_answer_comes_first_and_the_end_says_that_nothing_is_left() {
    let text = text(&trial("tso=off"));
    let answer = "tso=off on vnet3 (web): goodput -55 % (-57 to -53): worse; CPU of the VM per\n\
                  byte +80 % (+80 to +80): worse; dropped frames +0.40 points (+0.40 to +0.40):\n\
                  worse\n\n";
    assert!(text.starts_with(answer), "{text}");
    let end = "20 of 20 periods of 5 s, Linux 6.18.0, threshold 5 %. Everything is as it was\n\
               before.\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn the_table_has_a_line_for_each_measure() {
    let text = text(&trial("tso=off"));
    for expected in [
        "goodput, bit/s        1.00G   450M  -55 % (-57 to -53)          worse",
        "    its vCPUs          1.90   3.42  +80 % (+80 to +80)          worse",
        "retransmits, %            0      0  0 pt (0 to 0)               none seen",
        "drops, %                  0   0.40  +0.40 pt (+0.40 to +0.40)   worse",
        "frames/s              3.40k  41.0k  +1106 % (+1044 to +1171)    more",
        "cut segments/s            0  38.0k  -                           more",
        "not measured, because QEMU carries its frames itself: CPU of its vhost threads",
        "too little traffic, 0bit/s without the change, at least 80.0kbit/s are needed:",
    ] {
        assert!(
            text.lines().any(|line| line == expected),
            "{expected}\n{text}"
        );
    }
    for without_values in ["from the guest  ", "its vhost  "] {
        assert!(!text.contains(without_values), "{text}");
    }
    let unseen = "seen: retransmitted segments 1.00\n        points, frames dropped for";
    assert!(text.contains(unseen), "{text}");
}

#[test]
fn the_plot_shows_where_differences_lie() {
    let text = text(&trial("tso=off"));
    let (_, plot) = text.split_once("difference, %").expect("a plot");
    let column = |begin, mark| {
        let line = line(plot, begin);
        let at = line.chars().position(|character| character == mark);
        at.unwrap_or_else(|| panic!("{mark} in {line}"))
    };
    let (median, zero, threshold) = ('\u{25c6}', '\u{2502}', '\u{250a}');
    let goodput = column("goodput to", median);
    let cost = column("CPU/byte VM", median);
    let none = column("CPU/byte VM", zero);
    let below = column("CPU/byte VM", threshold);
    assert!(goodput < below && below < none && none < cost, "{plot}");
    // As far apart as the values are: -55, 0 and +80.
    let part = (none - goodput) as f64 / (cost - none) as f64;
    assert!((part - 55.0 / 80.0).abs() < 0.1, "{part}\n{plot}");
    assert_eq!(column("goodput to", zero), none, "one axis\n{plot}");
    assert!(line(plot, "frames").ends_with('>'), "{plot}");
    assert!(!plot.contains("retransmits"), "they do not differ\n{plot}");
    assert!(line(plot, "drops").ends_with(median), "{plot}");
    let rounds = line(plot, "CPU/byte softirq");
    assert!(rounds.matches('\u{2022}').count() >= 3, "{rounds}");
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let mut noisy = trial("tx-tcp-segmentation=off,tx-generic-segmentation=off");
    for (index, period) in noisy.periods.iter_mut().enumerate() {
        let bytes = 1_000_000_u64 << (index % 7);
        period.received.goodput_bytes = Fact::Known(bytes);
        period.received.retransmitted_segments = Fact::Known(index as u64 * 31);
    }
    noisy.effects = judge::effects(&noisy.periods, &noisy.settings);
    noisy.subject.vm = Some("a\u{1b}[2Jb".into());
    let texts = [
        text(&noisy),
        text(&trial("tso=off")),
        recipe_text(&[
            ("tso=off,gso=off".into(), noisy.clone()),
            ("sg=off".into(), trial("sg=off")),
        ]),
    ];
    for text in texts {
        assert!(!text.contains('\u{1b}'), "{text}");
        for line in text.lines() {
            assert!(line.width() <= 80, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }
    assert!(text(&noisy).contains("(--rounds, --seconds)"));
    assert!(!text(&trial("tso=off")).contains("--rounds"));
}

#[test]
fn a_trial_that_ended_early_says_why_and_what_it_had() {
    let mut early = trial("tso=off");
    early.periods.truncate(11);
    early.effects = judge::effects(&early.periods, &early.settings);
    early.conclusion = Conclusion::Aborted {
        because: "vnet3 vanished".into(),
    };
    let text = text(&early);
    let answer = "tso=off on vnet3 (web): ended early: vnet3 vanished; until then: goodput -55 %";
    assert!(text.starts_with(answer), "{text}");
    assert!(text.contains("11 of 20 periods"), "{text}");
    early.not_as_before = vec!["vnet3: the kernel kept tso".into()];
    let recipe = recipe_text(&[("tso=off".into(), early.clone())]);
    for text in [super::text(&early), recipe] {
        assert!(!text.contains("Everything"), "{text}");
        let told = "not as before: vnet3: the kernel kept tso";
        assert!(text.replace('\n', " ").contains(told), "{text}");
    }
    early.periods.truncate(3);
    early.effects = judge::effects(&early.periods, &early.settings);
    let text = super::text(&early);
    let answer = "tso=off on vnet3 (web): ended early: vnet3 vanished\n\n";
    assert!(text.starts_with(answer), "{text}");
    let goodput = "goodput, bit/s        1.00G   450M  -                           too few rounds";
    assert!(text.lines().any(|line| line == goodput), "{text}");
    let because = "too few rounds, 1 whole, at least 4 are needed: goodput, ";
    assert!(text.contains(because), "{text}");
    let mut first = early.clone();
    first.periods.truncate(1);
    first.effects = judge::effects(&first.periods, &first.settings);
    let expected = format!(
        "{answer}No measure was judged: too few rounds, 0 whole, at least 4 are needed.\n\n\
         1 of 20 periods of 5 s"
    );
    let text = super::text(&first);
    assert!(text.starts_with(&expected), "{text}");
    early.change = None;
    let text = super::text(&early);
    assert!(text.starts_with("no change on vnet3 (web): "), "{text}");
    assert!(text.ends_with("Nothing was changed.\n"), "{text}");
}

#[test]
fn the_forecast_stands_beside_what_was_measured() {
    let mut trial = trial("tso=off");
    let added_ns_per_byte = Range {
        value: 3.0,
        low: 1.0,
        high: 6.0,
    };
    trial.forecast = Some(Forecast {
        added_ns_per_byte,
        price: Price::new("cutting", Effect::Costs),
    });
    let measured = text(&trial).replace("\n        ", " ");
    let expected = "forecast: CPU time per byte 4.31 ns; with the change forecast 7.31 ns (5.31 \
                    to 10.31), measured 7.76 ns";
    assert!(measured.contains(expected), "{measured}");
    trial.effects.clear();
    let alone = text(&trial).replace("\n        ", " ");
    let expected = "+3.00 ns of the host's CPU per byte (+1.00 to +6.00); that was not measured";
    assert!(alone.contains(expected), "{alone}");
}

#[test]
fn the_headline_tells_what_could_not_be_told() {
    let one = period((1, Side::Without));
    let same = schedule::order(10).map(|(round, side)| Period {
        round,
        side,
        ..one.clone()
    });
    let mut same: Vec<Period> = same.collect();
    let settings = Settings::default();
    assert_eq!(
        headline(&judge::effects(&same, &settings)),
        "goodput: no difference seen (5.0 % would have been); CPU of the VM per byte: no \
         difference seen (5.0 % would have been)"
    );
    let silent = Settings {
        floor_bytes_per_s: 1e12,
        ..settings
    };
    assert_eq!(
        headline(&judge::effects(&same, &silent)),
        "goodput: too little traffic: 1.00Gbit/s without the change, at least 8.00Tbit/s are \
         needed"
    );
    for period in &mut same {
        period.cpu.vm_ns = Fact::unavailable("it is no VM");
    }
    let host = headline(&judge::effects(&same, &Settings::default()));
    assert!(host.contains("; CPU of the host per byte: no"), "{host}");
    assert_eq!(headline(&[]), "nothing was measured");
}

#[test]
fn a_recipe_is_a_table() {
    let mut early = trial("sg=off");
    early.conclusion = Conclusion::Aborted {
        because: "a | b".into(),
    };
    early.notes = vec!["once".into()];
    let mut first = trial("tso=off");
    first.notes = vec!["once".into()];
    let trials = [("tso=off".to_owned(), first), ("sg=off".to_owned(), early)];
    let text = recipe_text(&trials);
    assert!(
        text.starts_with("tso=off on vnet3 (web): goodput -55 %"),
        "{text}"
    );
    let row = "tso=off  -55 % worse  +80 % worse    +80 % worse  none seen";
    assert!(text.lines().any(|line| line == row), "{text}");
    assert_eq!(text.matches("once").count(), 1, "{text}");
    assert!(
        text.ends_with("\nEverything is as it was before.\n"),
        "{text}"
    );

    let markdown = recipe_markdown(&trials);
    let rows: Vec<&str> = markdown.lines().collect();
    assert_eq!(rows.len(), 4, "{markdown}");
    for row in &rows {
        let cells = row.replace("\\|", "").matches('|').count();
        assert_eq!(cells, 7, "{row}");
    }
    let begin =
        "| `tso=off` | 1.00G to 450Mbit/s: -55 % (-57 to -53), **worse** | 4.31 to 7.76 ns:";
    assert!(rows[2].starts_with(begin), "{markdown}");
    assert!(
        rows[3].starts_with("| `sg=off` (ended early: a \\| b) | "),
        "{markdown}"
    );
    let unseen = "0 points (0 to 0), no difference seen (one of 1.00 points would have been) |";
    assert!(rows[2].contains(unseen), "{markdown}");
}

#[test]
fn progress_is_one_short_line() {
    let effects = trial("tso=off").effects;
    assert_eq!(
        progress(3, 10, Side::With, 75.4, &effects),
        "3/10 rounds, now with, 1:15 left; goodput -55 % (-57 to -53); CPU/byte +80 %"
    );
    let periods: Vec<Period> = schedule::order(2).map(period).collect();
    let first = judge::effects(&periods, &Settings::default());
    assert_eq!(
        progress(2, 1000, Side::Without, 7_500.0, &first),
        "2/1000 rounds, now without, 2:05:00 left; goodput -55 %; CPU/byte +80 %"
    );
    assert_eq!(
        progress(0, 4, Side::Without, 9.0, &[]),
        "0/4 rounds, now without, 9 s left"
    );
}
