use std::{collections::HashSet, sync::Arc};

use super::*;
use crate::{
    advise::{
        Report, Verdict, Window,
        advice::Action,
        docs, evaluate,
        rule::Check,
        testing::{Frames, Made, Scene},
        text,
    },
    sample::{
        ExactCounters, Hook, Interface, Reads,
        evidence::{Evidence, Sign},
        offloads::Fact,
    },
};

#[test]
fn every_rule_is_complete() {
    let mut ids = HashSet::new();
    for rule in rules() {
        let id = rule.id;
        assert!(ids.insert(id), "{id} is there twice");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(id.chars().all(is_plain), "{id}");
        let parts = [
            ("title", rule.title),
            ("mechanism", rule.mechanism),
            ("trigger", rule.trigger),
            ("remedy", rule.remedy),
            ("cost", rule.cost),
            ("wrong_when", rule.wrong_when),
        ];
        for (name, part) in parts {
            assert!(!part.is_empty(), "{id} has no {name}");
            assert!(!part.contains("  "), "{id}: {name} has a gap");
        }
        assert!(!rule.sources.is_empty(), "{id} has no source");
        assert!(rule.sources.iter().all(|source| !source.is_empty()), "{id}");
        assert!(
            rule.thresholds
                .iter()
                .all(|threshold| !threshold.why.is_empty()),
            "{id}"
        );
        if let Check::Unseen(because) = rule.check {
            assert!(
                !because.is_empty(),
                "{id} does not say why it cannot be seen"
            );
        }
        assert!(docs::explain(rule).starts_with(id));
        assert_eq!(find(id).map(|found| found.id), Some(id));
    }
    assert!(docs::markdown().contains("### keep-on\n"));
}

/// Four guests of which each sends to and receives from others, whole.
fn healthy() -> Scene {
    let uplink = Made::uplink("eth0", 2, "ixgbe").master(3);
    let uplink = uplink
        .from(Frames::tcp(5_000, 30))
        .to(Frames::tcp(5_000, 40));
    let mut scene = Scene::default().with(Made::bridge("br0", 3)).with(uplink);
    for index in 0..4 {
        let tap = Made::tap(&format!("vnet{index}"), 10 + index).vm(&format!("vm{index}"));
        scene = scene.with(
            tap.master(3)
                .from(Frames::tcp(20_000, 40))
                .from(Frames::plain(10_000, 66))
                .to(Frames::tcp(20_000, 40))
                .to(Frames::plain(10_000, 66)),
        );
    }
    scene
}

#[test]
fn on_a_healthy_host_all_is_kept() {
    let report = healthy().report();
    let kept = |advice: &&crate::advise::Advice| advice.verdict == Verdict::Keep;
    let other: Vec<_> = report
        .advice
        .iter()
        .filter(|advice| !kept(advice))
        .collect();
    assert!(other.is_empty(), "{other:?}");
    let on = report
        .advice
        .iter()
        .filter(|advice| advice.rule == "keep-on");
    assert_eq!(on.count(), 4, "said aloud for each VM");
    assert!(!report.has_findings());
}

#[test]
fn keep_is_not_said_of_a_vm_whose_offloads_are_to_go() {
    let odd = Frames::tcp(50, 2).class(offwatch_common::class::OTHER);
    let broken = Made::tap("vnet9", 99).vm("broken").master(3);
    let broken = broken.from(odd).from(Frames::tcp(1_000, 40));
    let report = healthy().with(broken).sign(Sign::BadOffload, 1).report();
    let says = |rule: &str, vm: &str| {
        let mut advice = report.advice.iter();
        advice.any(|advice| advice.rule == rule && advice.subject.name() == vm)
    };
    assert!(says("warn-flood", "broken"));
    assert!(!says("keep-on", "broken"));
    assert!(says("keep-on", "vm0"));
}

#[test]
fn what_costs_most_comes_first() {
    let off = [crate::advise::window::Feature::Tso];
    let legacy = |name: &str, ifindex, cut| {
        let tap = Made::tap(&format!("tap-{name}"), ifindex)
            .vm(name)
            .off(&off);
        tap.to(Frames::plain(cut, 1_514)).cut(cut)
    };
    let scene = Scene::default()
        .with(legacy("small", 7, 60_000))
        .with(legacy("large", 8, 90_000));
    let report = scene.report();
    let names: Vec<&str> = report
        .advice
        .iter()
        .map(|advice| advice.subject.name())
        .collect();
    assert_eq!(names, ["large", "small"]);
}

#[test]
fn without_traffic_there_is_no_verdict() {
    let report = Scene::default()
        .with(Made::tap("vnet0", 7).vm("web"))
        .report();
    assert!(!report.window.has_traffic);
    assert_eq!(report.advice, []);
    assert!(text::of(&report).contains("no traffic on any interface"));
    // One that is silent among others has none either, and is named.
    let report = healthy().with(Made::tap("vnet9", 99).vm("idle")).report();
    assert_eq!(report.silent.len(), 1);
    assert!(
        report
            .advice
            .iter()
            .all(|advice| advice.subject.name() != "idle")
    );
    assert!(text::of(&report).contains("no traffic, no verdict: idle (vnet9)"));
}

#[test]
fn a_window_that_is_too_short_for_a_rule_is_told() {
    let short = |seconds| -> Vec<String> {
        let tap = Made::tap("vnet0", 7).vm("web").from(Frames::plain(10, 100));
        let report = Scene::lasting(seconds).with(tap).report();
        report
            .too_short
            .iter()
            .map(|rule| rule.rule.to_string())
            .collect()
    };
    assert_eq!(short(9), ["suspect-tx-checksum"]);
    assert_eq!(short(10), [""; 0]);
}

/// Whatever could be missing is.
fn blind(hook: Hook, reads: Reads) -> Report {
    let scene = healthy().change(|before, after, facts| {
        for sample in [before, after] {
            sample.host.hook = hook;
            sample.host.reads = reads;
            sample.host.evidence = Evidence::default();
            for interface in &mut sample.interfaces {
                *interface = Arc::new(Interface {
                    offloads: Arc::default(),
                    limits: Fact::default(),
                    kernel: Fact::default(),
                    exact: ExactCounters::default(),
                    ..Interface::clone(interface)
                });
            }
        }
        facts.devices = Fact::unavailable("nobody looked");
        facts.domains = Fact::unavailable("nobody looked");
    });
    scene.report()
}

#[test]
fn what_cannot_be_seen_is_told_and_is_no_verdict() {
    for (hook, reads) in [(Hook::Tc, Reads::All), (Hook::Tp, Reads::FieldsOnly)] {
        let report = blind(hook, reads);
        assert!(!report.has_findings(), "{:?}", report.advice);
        let told: HashSet<&str> = report
            .cannot_see
            .iter()
            .map(|unseen| &*unseen.rule)
            .collect();
        // Rules about what this host has none of have nothing to tell.
        for rule in [
            "tap-no-tso",
            "one-weak-port",
            "uplink-no-tso",
            "warn-flood",
            "policer-burst",
        ] {
            assert!(told.contains(rule), "{rule} is silent with hook {hook:?}");
        }
        assert!(
            report
                .cannot_see
                .iter()
                .all(|unseen| !unseen.because.is_empty())
        );
        assert!(text::of(&report).contains("cannot see, because"));
    }
}

#[test]
fn a_report_is_short_and_fits_the_screen() {
    let legacy = Made::tap("vnet9", 99).vm("legacy").master(3);
    let off = [crate::advise::window::Feature::Tso];
    let legacy = legacy
        .off(&off)
        .to(Frames::plain(80_000, 1_514))
        .cut(80_000);
    let report = healthy().with(legacy).report();
    let text = text::of(&report);
    assert!(
        text.starts_with("host, Linux 6.12.30, 10.0 s, hook tp: 1 finding\n"),
        "{text}"
    );
    let found = text
        .find("VM legacy: CHANGE  [tap-no-tso]")
        .expect("the finding");
    let kept = text.find("KEEP, leave as it is:").expect("what is kept");
    assert!(found < kept, "findings first");
    assert!(text.contains("measured here in part"), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(text.lines().count() < 60, "{text}");
}

#[test]
fn programs_read_what_was_written() {
    let off = [crate::advise::window::Feature::Tso];
    let legacy = Made::tap("vnet9", 99).vm("legacy").off(&off);
    let legacy = legacy.to(Frames::plain(80_000, 1_514)).cut(80_000);
    let report = healthy().with(legacy).report();
    let text = serde_json::to_string(&report).expect("JSON");
    let read: Report = serde_json::from_str(&text).expect("the same form");
    let fixes = |report: &Report| {
        let advice = report.advice.iter();
        let fixes = advice.map(|advice| (advice.rule.clone(), advice.fixes.clone()));
        fixes.collect::<Vec<_>>()
    };
    assert_eq!(fixes(&read), fixes(&report));
    let Action::SetFeatures {
        dev,
        ifindex,
        netns,
        features,
        ..
    } = &read.advice[0].fixes[0].action
    else {
        panic!("{:?}", read.advice[0]);
    };
    assert_eq!(
        (dev.as_str(), *ifindex, *netns),
        ("vnet9", 99, 4_026_531_840)
    );
    assert_eq!(features.get("tx-tcp-segmentation"), Some(&true));
}

#[test]
fn a_large_host_is_evaluated() {
    let mut scene = Scene::default().with(Made::bridge("br0", 3));
    for index in 0..1_000 {
        let tap = Made::tap(&format!("vnet{index}"), 10 + index).vm(&format!("vm{index}"));
        let tap = tap
            .master(3)
            .from(Frames::tcp(2_000, 40))
            .to(Frames::tcp(1_000, 40));
        scene = scene.with(match index % 2 {
            0 => tap.caused(80_000),
            _ => tap.off(&[crate::advise::window::Feature::Tso]).cut(80_000),
        });
    }
    let (before, after) = scene.samples();
    let window = Window::new(&before, &after);
    let report = evaluate(&window, &rules());
    let found = report
        .advice
        .iter()
        .filter(|advice| advice.rule == "tap-no-tso");
    assert_eq!(found.count(), 500);
    let kept = report
        .advice
        .iter()
        .filter(|advice| advice.rule == "keep-on");
    assert_eq!(kept.count(), 1_000);
    let text = text::of(&report);
    assert!(text.contains("more (--json has all)"));
    assert!(text.lines().count() < 300, "{} lines", text.lines().count());
}

/// What a shell makes of the line that a command begins: it takes out a
/// backslash together with the line's end.
fn copied(text: &str, command: &str) -> Vec<String> {
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    let whole = text.replace("\\\n", "");
    let start = whole.find(command).expect("it is told");
    let line = whole[start..].lines().next().expect("a line");
    shlex::split(line).expect("words")
}

#[test]
fn a_command_can_be_copied_as_it_is_printed() {
    use crate::advise::window::Feature;
    let tso = [Feature::Tso, Feature::TsoEcn, Feature::Tso6];
    let tap = Made::tap("vnet1", 8).vm("db").off(&tso);
    let sg = Made::tap("vnet2", 9).vm("api");
    let sg = sg.off(&[Feature::ScatterGather]).off(&tso);
    let cut = |tap: Made| tap.to(Frames::plain(80_000, 1_514)).cut(80_000);
    let scene = Scene::default().with(cut(tap)).with(cut(sg));
    let report = scene.report();
    let text = text::of(&report);
    let fixes = report.advice.iter().flat_map(|advice| &advice.fixes);
    let mut told = 0;
    for fix in fixes {
        if let Action::SetFeatures { command, .. } = &fix.action {
            let words = shlex::split(command).expect("words");
            assert_eq!(copied(&text, &words[..4].join(" ")), words);
            told += 1;
        }
    }
    assert_eq!(told, 3, "one of them only if another does not help");
}
