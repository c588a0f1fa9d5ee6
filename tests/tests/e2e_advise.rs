//! `offwatch advise` with real QEMU guests: what turning offloads off would cost,
//! and what it does cost.

use std::{process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use offwatch::advise::{
    Advice, Report, Verdict,
    advice::{Action, Unit},
};
use offwatch_e2e::{Endpoint, GuestSpec, Host, Options, skip_unless_vms, unless_stuck};
use offwatch_tests::{observer, quiet::wait_until};

const BOOT: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(60);
/// How long advise looks.
const WINDOW: &str = "4";
/// Traffic of a steady rate, for longer than that: the same with offloads and
/// without, so that forecast and fact can be compared.
const SECONDS: u32 = 20;
const RATE: &str = "20M";

#[test]
#[ignore = "real VMs: run by cargo xtask e2e"]
fn the_price_of_turning_tso_off_is_foretold() -> Result<()> {
    skip_unless_vms!();
    unless_stuck(|| {
        let host = Host::start(Options::default())?;
        for (number, name) in (11..).zip(["alpha", "beta"]) {
            host.define_and_start(&GuestSpec::new(name, number))?;
        }
        for name in ["alpha", "beta"] {
            host.wait_ready(name, BOOT)?;
        }
        let [tap] = &host.taps("beta")?[..] else {
            anyhow::bail!("beta has one card");
        };

        let healthy = advise(&host, tap)?;
        let found = healthy.advice.iter().find(|advice| is_finding(advice));
        assert_eq!(found, None, "nothing is wrong yet");
        let forecast = foretold(&healthy)?;
        let fast = full_speed(&host)?;

        // What the articles say.
        run(&host, &format!("ethtool -K {tap} tso off gso off"))?;
        let off = advise(&host, tap)?;
        let found = finding(&off)?;
        let cut = measured(found, Unit::SegmentsPerS)?;
        let price = found.price.as_ref().context("it has its price")?;
        assert!(price.cores.value > 0.0, "{price:?}");
        // The same load, give or take what an emulated guest can do at the moment.
        let load = traffic(&off)? / traffic(&healthy)?;
        let difference = forecast * load / cut - 1.0;
        eprintln!(
            "{forecast:.0} segments/s foretold, {cut:.0} cut at {:.0} % of the load: {:+.1} %",
            100.0 * load,
            100.0 * difference
        );
        assert!(difference.abs() < 0.15, "the forecast was off");
        let slow = full_speed(&host)?;

        let Action::SetFeatures { command, .. } = &found.fixes[0].action else {
            anyhow::bail!("the first fix is a command: {:?}", found.fixes);
        };
        run(&host, command)?;
        let on = advise(&host, tap)?;
        let found = on.advice.iter().find(|advice| is_finding(advice));
        assert_eq!(found, None, "the fix removes the evidence");
        foretold(&on)?;
        let again = full_speed(&host)?;
        eprintln!("{fast:.0} Mbit/s with TSO, {slow:.0} without, {again:.0} with it again");
        Ok(())
    })
}

fn is_finding(advice: &Advice) -> bool {
    advice.verdict.is_finding()
}

/// What advise says of a window in which alpha sends to beta at a steady rate.
fn advise(host: &Host, tap: &str) -> Result<Report> {
    let program = observer::binary()?;
    let program = program.to_str().context("a path of plain text")?;
    let received = || -> Result<u64> {
        let file = format!("/sys/class/net/{tap}/statistics/tx_bytes");
        let output = host.command("cat").arg(file).output()?;
        let text = String::from_utf8(output.stdout)?;
        text.trim().parse().context("a count of bytes")
    };
    thread::scope(|scope| {
        let before = received()?;
        let (from, to) = (Endpoint::Guest("alpha"), Endpoint::Guest("beta"));
        let rate = ["--bitrate", RATE];
        let sending = scope.spawn(move || host.iperf_with(from, to, SECONDS, &rate));
        // Past the handshake and the first growth of the window.
        let looked = wait_until("traffic", PATIENCE, || {
            Ok(sending.is_finished() || received()? > before + 2_000_000)
        })
        .and_then(|()| {
            let output = host
                .command(program)
                .args(["advise", "--window", WINDOW, "--json"])
                .stdin(Stdio::null())
                .output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "advise failed: {said}");
            ensure!(!sending.is_finished(), "the traffic ended too early");
            serde_json::from_slice::<Report>(&output.stdout).context("advice as JSON")
        });
        sending.join().expect("the thread that sends")?;
        looked
    })
}

/// As fast as it goes, Mbit/s. Told, not tested.
fn full_speed(host: &Host) -> Result<f64> {
    let (from, to) = (Endpoint::Guest("alpha"), Endpoint::Guest("beta"));
    let ran = host.iperf(from, to, 4)?;
    ensure!(ran.bytes > 0, "nothing arrived");
    Ok(ran.bits_per_second / 1e6)
}

fn about_beta(report: &Report, verdict: Verdict) -> Result<&Advice> {
    let mut of_beta = report.advice.iter();
    of_beta
        .find(|advice| advice.subject.vm.as_deref() == Some("beta") && advice.verdict == verdict)
        .with_context(|| format!("no {verdict:?} for beta: {:#?}", report.advice))
}

/// Segments a second that would have to be cut for beta.
fn foretold(report: &Report) -> Result<f64> {
    let kept = about_beta(report, Verdict::Keep)?;
    let price = kept.price.as_ref().context("off has its price")?;
    Ok(price.parts.first().context("segments")?.per_s)
}

/// The only thing that is wrong.
fn finding(report: &Report) -> Result<&Advice> {
    let found = about_beta(report, Verdict::Change)?;
    let others = report.advice.iter().filter(|advice| is_finding(advice));
    ensure!(others.count() == 1, "one finding: {:#?}", report.advice);
    Ok(found)
}

fn measured(advice: &Advice, unit: Unit) -> Result<f64> {
    let mut measured = advice.measured.iter();
    let found = measured.find(|evidence| evidence.unit == unit);
    Ok(found
        .with_context(|| format!("no {unit:?}: {advice:#?}"))?
        .value)
}

/// Bits a second of alpha: they are told wherever a VM has GSO frames.
fn traffic(report: &Report) -> Result<f64> {
    let of_alpha = report.advice.iter().filter(|advice| {
        advice.subject.vm.as_deref() == Some("alpha") && advice.verdict == Verdict::Keep
    });
    let mut rates = of_alpha.filter_map(|advice| measured(advice, Unit::BitsPerS).ok());
    rates.next().context("alpha's traffic is told")
}

fn run(host: &Host, command: &str) -> Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().context("a command")?;
    let output = host.command(program).args(words).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {said}");
    Ok(())
}
