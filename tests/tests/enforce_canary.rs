//! `enforce --canary`: what does harm is taken back and told by its measure, what does
//! not goes on to all, and without traffic nothing passes.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, anyhow, ensure};
use offwatch_tests::{
    GuestConfig, Lab, Offloads,
    domains::{Domain, TestDriver},
    ethtool::{self, State},
    guest::Family,
    observer::{Observer, binary, interface, number},
    skip_unless_lab,
    traffic::{TcpFlow, TcpOptions},
};
use serde_json::Value;
use tempfile::TempDir;

/// Short windows and settings for a machine that is loaded: what is slowed down by
/// others is no harm, a fall to a quarter is.
const CANARY: &str = "[canary]
seconds = 2
windows = 2
throughput_fall_percent = 75
cost_rise_percent = 100000
retransmits_percent = 5
drops_percent = 1
";

/// A host whose guests talk in pairs, and an offwatch that is to change them.
struct Bench {
    lab: Lab,
    domains: TestDriver,
    directory: TempDir,
}

impl Bench {
    /// Guests with rings of so many frames. `vms` are the positions of the guests of
    /// each VM: a VM may have several cards.
    fn new(ring_frames: &[u32], vms: &[&[usize]]) -> Result<Self> {
        let mut lab = Lab::new()?;
        for (index, frames) in ring_frames.iter().enumerate() {
            let number = u16::try_from(index + 1)?;
            lab.add_guest(GuestConfig {
                ring_frames: *frames,
                ..GuestConfig::new(&format!("guest{number}"), number)
            })?;
        }
        let domains = vms.iter().enumerate().map(|(number, cards)| {
            let mut domain = Domain::of(lab.guest(cards[0]));
            domain.name = format!("vm{}", number + 1);
            let all = cards.iter().map(|card| lab.guest(*card));
            domain.interfaces = all
                .map(|guest| (guest.tap().to_owned(), guest.config().mac))
                .collect();
            domain
        });
        let domains = TestDriver::new(&domains.collect::<Vec<_>>())?;
        Ok(Self {
            lab,
            domains,
            directory: TempDir::new()?,
        })
    }

    /// TCP from one guest to another, far below what they can do.
    fn talk(&self, from: usize, to: usize) -> Result<TcpFlow> {
        let options = TcpOptions {
            bits_per_second: Some(20_000_000),
            ..TcpOptions::new(Family::V4, 0)
        };
        let [from, to] = [from, to].map(|guest| self.lab.guest(guest).endpoint());
        TcpFlow::start(&from, &to, options)
    }

    /// Runs a policy with these rules; its exit code and report.
    fn enforce(&self, rules: &str) -> Result<(i32, Value)> {
        self.enforce_by(&[], &["-c", &self.domains.uri()], rules)
    }

    /// The same, by a command that is given offwatch's.
    fn enforce_by(&self, by: &[&str], more: &[&str], rules: &str) -> Result<(i32, Value)> {
        let policy = self.directory.path().join("policy.toml");
        std::fs::write(&policy, format!("version = 1\n{CANARY}{rules}"))?;
        std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o600))?;
        let state = self.directory.path().join("state");
        let [policy, state] = [&policy, &state].map(|path| path.to_str().context("text"));
        let args = ["enforce", "--apply", "--canary", "--json"];
        let files = ["--policy", policy?, "--state-dir", state?];
        let program = binary()?;
        let program = program.to_str().context("a path of plain text")?;
        let line = [by, &[program], &args, &files, more].concat();
        let mut command = self.lab.host().command(line[0]);
        let output = command.args(&line[1..]).stdin(Stdio::null()).output()?;
        let says = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{}: no report: {says}", output.status))?;
        Ok((output.status.code().context("ended by itself")?, report))
    }

    fn features(&self, guest: usize) -> Result<BTreeMap<String, State>> {
        ethtool::features(self.lab.host(), self.lab.guest(guest).tap())
    }

    fn all_features(&self) -> Result<Vec<BTreeMap<String, State>>> {
        (0..self.lab.guests().len())
            .map(|guest| self.features(guest))
            .collect()
    }

    fn tap(&self, guest: usize) -> &str {
        self.lab.guest(guest).tap()
    }
}

/// Names of the interfaces of each stage.
fn stages(report: &Value) -> Result<Vec<Vec<&str>>> {
    let stages = report["canary"]["stages"].as_array().context("stages")?;
    let names = stages.iter().map(|stage| {
        let changed = stage["changed"].as_array().into_iter().flatten();
        changed.filter_map(Value::as_str).collect::<Vec<_>>()
    });
    Ok(names.collect())
}

/// How the canary ended, and what is told of it.
fn ending(report: &Value) -> (&str, &str) {
    let text = |field: &str| report["canary"][field].as_str().unwrap_or_default();
    (text("verdict"), text("because"))
}

fn is_on(features: &BTreeMap<String, State>, name: &str) -> bool {
    features.get(name).is_some_and(|state| state.on)
}

const TSO: &str = "tx-tcp-segmentation";
/// More than the flows ever have on their way.
const WIDE: u32 = 16_384;
/// So many of the frames that TSO makes, and a part of the segments of one of them.
const NARROW: u32 = 16;

/// A ring of 16 frames holds some that TSO makes, and loses much of the 45 segments
/// that each of them becomes without it.
#[test]
fn what_does_harm_is_taken_back_and_told_by_its_measure() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new(&[WIDE, NARROW, WIDE, WIDE], &[&[0], &[1], &[2], &[3]])?;
    let _flows = [bench.talk(0, 1)?, bench.talk(2, 3)?];
    let before = bench.all_features()?;
    let (code, report) =
        bench.enforce("[[rule]]\nmatch = { vm = \"vm2\" }\nfeatures = { tso = false }\n")?;
    let (verdict, because) = ending(&report);
    assert_eq!((code, verdict), (4, "harm"), "{report:#}");
    let measure = "drops on the way to the guest";
    ensure!(
        because.contains(measure) && because.contains(bench.tap(1)),
        "{because}"
    );
    let told = report["because"]
        .as_str()
        .context("why it was taken back")?;
    ensure!(told.contains(because), "{told}");
    let judgement = &report["canary"]["stages"][0]["judgement"];
    assert_eq!(judgement["interfaces"][0]["vm"], "vm2");
    let findings = judgement["interfaces"][0]["findings"].as_array();
    let drops = findings
        .into_iter()
        .flatten()
        .find(|it| it["measure"] == "receive_drops");
    let drops = drops.context("drops were judged")?;
    ensure!(
        drops["harm"] == true && drops["after"].as_f64() > Some(0.05),
        "{drops}"
    );
    // The sender of the flow suffers with it: no control. Those of the other flow are.
    let used = judgement["controls"]["used"]
        .as_array()
        .context("controls")?;
    let used: Vec<_> = used.iter().map(|control| &control[1]).collect();
    assert_eq!(used, [bench.tap(2), bench.tap(3)]);
    assert_eq!(bench.all_features()?, before, "all is as before");
    Ok(())
}

/// GRO works on nothing that a guest's tap receives.
#[test]
fn what_does_no_harm_goes_on_to_all() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new(&[WIDE; 4], &[&[0], &[1], &[2], &[3]])?;
    let _flows = [bench.talk(0, 1)?, bench.talk(2, 3)?];
    let before = bench.all_features()?;
    ensure!(before.iter().all(|features| is_on(features, "rx-gro")));
    let (code, report) = bench
        .enforce("few = 1\n[[rule]]\nmatch = { vm = \"vm*\" }\nfeatures = { gro = false }\n")?;
    assert_eq!((code, ending(&report).0), (0, "passed"), "{report:#}");
    assert_eq!(report["state"], "confirmed");
    let stages = stages(&report)?;
    let sizes: Vec<_> = stages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 2]);
    assert_eq!(
        report["canary"]["canary"]["dev"], stages[0][0],
        "told, and why"
    );
    let after = bench.all_features()?;
    for (before, mut after) in before.into_iter().zip(after) {
        ensure!(!is_on(&after, "rx-gro"), "it is changed on all");
        after.insert("rx-gro".into(), before["rx-gro"]);
        assert_eq!(after, before, "and nothing else is");
    }
    Ok(())
}

#[test]
fn without_traffic_nothing_passes_or_is_changed() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new(&[WIDE; 2], &[&[0], &[1]])?;
    let before = bench.all_features()?;
    let observer = Observer::start(bench.lab.host(), &[])?;
    let (code, report) =
        bench.enforce("[[rule]]\nmatch = { vm = \"vm*\" }\nfeatures = { gro = false }\n")?;
    let (verdict, because) = ending(&report);
    assert_eq!((code, verdict), (4, "no_verdict"), "{report:#}");
    ensure!(because.contains("none of 2 interfaces"), "{because}");
    assert_eq!(report["state"], "rolled_back");
    assert_eq!(stages(&report)?, Vec::<Vec<&str>>::new());
    assert_eq!(bench.all_features()?, before);
    for guest in [0, 1] {
        assert_eq!(
            changes(&observer, bench.tap(guest))?,
            0,
            "it was never changed"
        );
    }
    Ok(())
}

/// How often the kernel told that features of an interface changed.
fn changes(observer: &Observer, dev: &str) -> Result<u64> {
    number(interface(&observer.now()?, dev)?, "features_changed_total")
}

#[test]
fn two_cards_of_one_vm_are_never_tried_at_once() -> Result<()> {
    skip_unless_lab!();
    // Cards 0 and 1 are of one VM, 2 and 3 of another one.
    let bench = Bench::new(&[NARROW, NARROW, WIDE, WIDE], &[&[0, 1], &[2, 3]])?;
    let _flows = [bench.talk(2, 0)?, bench.talk(3, 1)?];
    let observer = Observer::start(bench.lab.host(), &[])?;
    let before = bench.all_features()?;
    let rule = |vm: &str, feature: &str| {
        format!("[[rule]]\nmatch = {{ vm = \"{vm}\" }}\nfeatures = {{ {feature} = false }}\n")
    };
    let (code, report) = bench.enforce(&rule("vm1", "tso"))?;
    assert_eq!((code, ending(&report).0), (4, "harm"), "{report:#}");
    let first = stages(&report)?.concat();
    assert_eq!(first.len(), 1, "the other card was not tried: {first:?}");
    let (tried, other) = match first[0] == bench.tap(0) {
        true => (bench.tap(0), bench.tap(1)),
        false => (bench.tap(1), bench.tap(0)),
    };
    assert_eq!(report["canary"]["not_changed"], serde_json::json!([other]));
    // There and back, as the kernel tells.
    assert_eq!(changes(&observer, tried)?, 2);
    assert_eq!(changes(&observer, other)?, 0);
    assert_eq!(bench.all_features()?, before);

    let (code, report) = bench.enforce(&rule("vm*", "gro"))?;
    assert_eq!((code, ending(&report).0), (0, "passed"), "{report:#}");
    let stages = stages(&report)?;
    let position = |guest: usize| {
        let tap = bench.tap(guest);
        stages.iter().position(|stage| stage.contains(&tap))
    };
    let positions: Vec<_> = (0..4).map(position).collect();
    ensure!(positions.iter().all(Option::is_some), "{stages:?}");
    ensure!(
        positions[0] != positions[1] && positions[2] != positions[3],
        "{stages:?}"
    );
    Ok(())
}

#[test]
fn a_guest_that_keeps_negotiating_does_not_pass() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new(&[WIDE; 2], &[&[0], &[1]])?;
    let _flow = bench.talk(0, 1)?;
    let before = bench.features(1)?;
    let is_over = AtomicBool::new(false);
    let (code, report) = std::thread::scope(|scope| {
        let guest = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Acquire) {
                if !is_on(&bench.features(1)?, TSO) {
                    bench.lab.guest(1).renegotiate(Offloads::ALL)?;
                }
            }
            Ok(())
        });
        let ended = bench.enforce(
            "restarts = 1\n[[rule]]\nmatch = { vm = \"vm2\" }\nfeatures = { tso = false }\n",
        );
        is_over.store(true, Ordering::Release);
        guest.join().map_err(|_| anyhow!("the guest panicked"))??;
        ended
    })?;
    let (verdict, because) = ending(&report);
    assert_eq!((code, verdict), (4, "failed"), "{report:#}");
    ensure!(because.contains("more than 1 windows"), "{because}");
    assert_eq!(report["canary"]["restarts"], 2);
    assert_eq!(bench.features(1)?, before);
    Ok(())
}

/// Where neither BPF nor a capture is permitted the kernel's own counters are judged,
/// and what cannot be told is said.
#[test]
fn cap_net_admin_is_enough() -> Result<()> {
    skip_unless_lab!();
    let bench = Bench::new(&[WIDE, NARROW], &[&[0], &[1]])?;
    let _flow = bench.talk(0, 1)?;
    let before = bench.all_features()?;
    let by = [
        "setpriv",
        "--bounding-set",
        "-all,+net_admin",
        "--inh-caps",
        "-all",
    ];
    // A libvirt of this test is a file of its process, which takes another capability.
    let (code, report) = bench.enforce_by(
        &by,
        &[],
        "[[rule]]\nmatch = { device = \"owtap2\" }\nfeatures = { tso = false }\n",
    )?;
    let (verdict, because) = ending(&report);
    assert_eq!((code, verdict), (4, "harm"), "{report:#}");
    ensure!(
        because.contains("drops on the way to the guest"),
        "{because}"
    );
    let judged = &report["canary"]["stages"][0]["judgement"]["interfaces"][0];
    let reason = &judged["not_judged"]["receive_retransmits"];
    assert_eq!(reason, "a capture takes CAP_NET_RAW", "{report:#}");
    assert_eq!(bench.all_features()?, before);
    Ok(())
}
