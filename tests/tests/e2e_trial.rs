//! `offwatch trial` with a real QEMU guest under libvirt: what articles say about KVM
//! hosts, tried. With `OFFWATCH_WRITE_DOCS` set it is tried at length, and
//! docs/turn-it-off.md is written.

use std::{
    env, fs,
    path::Path,
    process::{Child, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use offwatch::trial::{
    Comparison, Conclusion, Effect, Measure, Trial, Verdict,
    recipe::{TURN_IT_OFF, Trials},
    report,
};
use offwatch_e2e::{BRIDGE, Endpoint, GuestSpec, Host, Options, skip_unless_vms, unless_stuck};
use offwatch_tests::{observer, quiet::wait_until};

const BOOT: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(60);
const GUEST: &str = "web";
const STATE: &str = "/var/lib/offwatch-e2e";
/// Longer than any of it.
const TRAFFIC_SECONDS: &str = "3000";
/// An emulated guest that loses TSO loses more than a trial usually allows.
const LOSS: [&str; 2] = ["--max-loss", "99.9%"];
/// As docs/turn-it-off.md has it.
const LONG: [&str; 6] = ["--rounds", "10", "--seconds", "3", "--settle", "0.5"];
const SHORT: [&str; 6] = ["--rounds", "6", "--seconds", "2", "--settle", "0.5"];

#[test]
#[ignore = "real VMs: run by cargo xtask e2e"]
fn what_articles_say_is_tried_on_a_real_guest() -> Result<()> {
    skip_unless_vms!();
    unless_stuck(|| {
        let host = Host::start(Options::default())?;
        add_uplink(&host)?;
        let mut guest = GuestSpec::new(GUEST, 11);
        // iperf3 runs for long.
        guest.memory_mib = 512;
        host.define_and_start(&guest)?;
        host.wait_ready(GUEST, BOOT)?;
        let [tap] = &host.taps(GUEST)?[..] else {
            anyhow::bail!("{GUEST} has one card");
        };
        let before = features(&host, tap)?;
        let mut traffic = Traffic::start(&host, tap)?;

        let is_for_docs = env::var_os("OFFWATCH_WRITE_DOCS").is_some();
        let length = if is_for_docs { LONG } else { SHORT };
        let passed = received(&host, tap)?;
        let output = recipe(&host, &[&LOSS[..], &length, &["--json"]].concat())?;
        let passed = received(&host, tap)? - passed;
        traffic.is_running()?;
        ensure!(features(&host, tap)? == before, "the features are others");
        let told = succeeded(&output)?;
        let trials: Trials = serde_json::from_str(&told).context("trials as JSON")?;
        let trials = labelled(trials.trials)?;
        eprintln!("{}", report::recipe_text(&trials));
        for (set, trial) in &trials {
            complete(trial).with_context(|| set.clone())?;
            if let Some(comparison) = Comparison::of(trial) {
                eprintln!("{set}: {comparison}");
            }
        }
        let measured = trials.iter().flat_map(|(_, trial)| &trial.periods);
        let measured: u64 = measured.map(|period| period.received.bytes).sum();
        ensure!(measured <= passed, "{measured} bytes of {passed}");
        ensure!(measured > passed / 2, "{measured} bytes of {passed}");
        costs(&trials)?;
        if is_for_docs {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/turn-it-off.md");
            fs::write(path, document(&host, &trials)?)?;
        }
        Ok(())
    })
}

/// A bridge loses what none of its ports has; on most hosts one is an uplink.
fn add_uplink(host: &Host) -> Result<()> {
    let veth = [
        "ip", "link", "add", "uplink", "type", "veth", "peer", "outside",
    ];
    printed(host, &veth)?;
    printed(host, &["ip", "link", "set", "uplink", "master", BRIDGE])?;
    printed(host, &["ip", "link", "set", "uplink", "up"]).map(drop)
}

/// The price of the article's advice, where nobody doubts it.
fn costs(trials: &[(String, Trial)]) -> Result<()> {
    for (set, trial) in trials {
        let cut = |with: Option<bool>| {
            let periods = trial.periods.iter();
            let side = periods.filter(|period| {
                with.is_none_or(|with| with == (period.side == offwatch::trial::Side::With))
            });
            side.filter_map(|period| period.software_segments.known().copied())
                .sum::<u64>()
        };
        // GSO of the tap does not matter to what comes over its bridge.
        let is_cut = set != "gso=off";
        ensure!(cut(Some(false)) == 0, "{set}: cut without the change");
        ensure!((cut(Some(true)) > 0) == is_cut, "{set}: cut with it");
    }
    let (_, tso) = &trials[0];
    let goodput = effect(tso, Measure::Goodput)?;
    let cost = effect(tso, Measure::VmCost)?;
    ensure!(
        [goodput, cost]
            .iter()
            .any(|it| it.verdict == Verdict::Worse),
        "TSO off costs nothing: {goodput:?}, {cost:?}"
    );
    Ok(())
}

fn effect(trial: &Trial, measure: Measure) -> Result<&Effect> {
    let mut effects = trial.effects.iter();
    let found = effects.find(|effect| effect.measure == measure);
    found.with_context(|| format!("nothing is told of {measure:?}"))
}

/// It ran to its end, and something is told of what matters.
fn complete(trial: &Trial) -> Result<()> {
    ensure!(
        trial.conclusion == Conclusion::Complete,
        "{:?}",
        trial.conclusion
    );
    ensure!(
        trial.periods.len() == 2 * trial.settings.rounds as usize,
        "periods are missing"
    );
    for measure in [Measure::Goodput, Measure::VmCost, Measure::HostCost] {
        let effect = effect(trial, measure)?;
        ensure!(effect.difference_percent.is_some(), "{effect:?}");
    }
    Ok(())
}

/// Each with what it was called.
fn labelled(trials: Vec<Trial>) -> Result<Vec<(String, Trial)>> {
    let sets: Vec<_> = trials
        .iter()
        .map(|trial| trial.change.as_ref().map(|change| change.set.as_str()))
        .collect();
    ensure!(
        sets == TURN_IT_OFF.map(|step| Some(step.set)),
        "other changes were tried: {sets:?}"
    );
    let labels = TURN_IT_OFF.map(|step| step.set.to_owned());
    Ok(labels.into_iter().zip(trials).collect())
}

fn recipe(host: &Host, arguments: &[&str]) -> Result<Output> {
    let program = observer::binary()?;
    let program = program.to_str().context("a path of plain text")?;
    let command = ["trial", "--recipe", "turn-it-off", "--vm", GUEST];
    let mut trial = host.command(program);
    trial.args(command).args(arguments);
    trial.args(["--state-dir", STATE]);
    Ok(trial.stdin(Stdio::null()).output()?)
}

fn succeeded(output: &Output) -> Result<String> {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {told}{complaint}",
        output.status
    );
    Ok(told)
}

/// TCP from the host to the guest, as fast as it goes.
struct Traffic(Child);

impl Traffic {
    fn start(host: &Host, tap: &str) -> Result<Self> {
        let to = host.address(Endpoint::Guest(GUEST))?.to_string();
        let before = received(host, tap)?;
        let mut client = host.command("iperf3");
        client.args(["--client", &to, "--time", TRAFFIC_SECONDS]);
        let client = client.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut traffic = Self(client);
        // Past the handshake and the first growth of the window.
        wait_until("traffic", PATIENCE, || {
            traffic.is_running()?;
            Ok(received(host, tap)? > before + 20_000_000)
        })?;
        Ok(traffic)
    }

    fn is_running(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("iperf3 ended: {status}"),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // If it has ended there is nobody to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes to the guest, as the kernel has them.
fn received(host: &Host, tap: &str) -> Result<u64> {
    let file = format!("/sys/class/net/{tap}/statistics/tx_bytes");
    let text = printed(host, &["cat", &file])?;
    text.trim().parse().context("a count of bytes")
}

fn features(host: &Host, tap: &str) -> Result<String> {
    printed(host, &["ethtool", "-k", tap])
}

fn printed(host: &Host, command: &[&str]) -> Result<String> {
    let output = host.command(command[0]).args(&command[1..]).output()?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// docs/turn-it-off.md of these trials.
fn document(host: &Host, trials: &[(String, Trial)]) -> Result<String> {
    let of_host = &trials[0].1.host;
    let settings = &trials[0].1.settings;
    let qemu = printed(host, &["qemu-system-x86_64", "--version"])?;
    let guest = host.exec(GUEST, "uname -r")?.success()?;
    let steps: String = TURN_IT_OFF
        .iter()
        .map(|step| format!("- `{}`: {}.\n", step.set, step.means))
        .collect();
    Ok(format!(
        "<!-- Made by `cargo xtask e2e --write-docs`: edit tests/tests/e2e_trial.rs instead. -->
# What articles say, tried

Articles say \"turn TSO and GSO off on KVM hosts\". This is what it does to one guest, tried
on the host-side tap one change after the other:

```console
$ sudo offwatch trial --recipe turn-it-off --vm {GUEST} \\
    {loss} {length}
```

{steps}
{table}
Each row is a trial of {rounds} rounds of {seconds} s without and {seconds} s with the change, in turn
(ABBA). A difference is told if its 95 % interval lies wholly beyond {threshold} %;
[trial.md](trial.md) has what the measures are.

| what | it was |
| --- | --- |
| host | Linux {kernel}, {cpus} CPUs: {model} |
| guest | QEMU {qemu}, TCG (no KVM), one vCPU, virtio-net without vhost, Linux {guest} |
| network | the guest's tap and another port on a bridge of the host |
| traffic | one TCP connection of iperf3 from the host to the guest, as fast as it goes |
| offwatch | {version}, {build} build |

An emulated guest pays for each frame in emulated instructions, so much may be lost here:
the trial was allowed to lose more than its usual 20 %. How it is elsewhere is to be tried
there: on your host, with your traffic.
",
        loss = LOSS.join(" "),
        length = LONG.join(" "),
        table = report::recipe_markdown(trials),
        rounds = settings.rounds,
        seconds = settings.seconds,
        threshold = settings.threshold_percent,
        kernel = of_host.kernel,
        cpus = of_host.online_cpus,
        model = cpu_model()?,
        qemu = qemu.split_whitespace().nth(3).context("QEMU's version")?,
        guest = guest.trim(),
        version = env!("CARGO_PKG_VERSION"),
        build = build()?,
    ))
}

fn cpu_model() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let mut lines = cpus.lines().filter_map(|line| line.split_once(": "));
    let model = lines.find(|(key, _)| key.trim() == "model name");
    Ok(model.context("the CPU's model")?.1.to_owned())
}

/// How offwatch was built, by the directory that cargo put it into.
fn build() -> Result<String> {
    let program = observer::binary()?;
    let directory = program.parent().and_then(Path::file_name);
    let directory = directory.context("the build's directory")?;
    Ok(directory.to_string_lossy().into_owned())
}
