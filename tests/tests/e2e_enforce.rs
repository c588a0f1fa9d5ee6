//! `offwatch enforce` with real QEMU guests under libvirt: a policy holds through
//! boots and reboots of a guest, and what only a definition decides is changed there.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch_e2e::{GuestSpec, Host, Options, skip_unless_vms, unless_stuck};
use offwatch_tests::{observer, quiet::wait_until};

const BOOT: Duration = Duration::from_secs(180);
/// Passing this, the enforcer has not done it.
const PATIENCE: Duration = Duration::from_secs(30);

const POLICY: &str = "/etc/offwatch-policy.toml";
const STATE: &str = "/var/lib/offwatch-e2e";

/// What is kept off for alpha: TSO goes with each negotiation of the guest.
const OFF: [&str; 4] = [
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp6-segmentation",
    "tx-generic-segmentation",
];

#[test]
#[ignore = "real VMs: run by cargo xtask e2e"]
fn a_policy_holds_through_boots() -> Result<()> {
    skip_unless_vms!();
    unless_stuck(|| {
        let host = Host::start(Options::default())?;
        write_policy(
            &host,
            "version = 1\n[[rule]]\nmatch = { vm = \"alpha\" }\n\
             features = { tso = false, gso = false }\nreason = \"a test\"\n",
        )?;
        let mut watch = start_watch(&host)?;

        // Hot-plugged, booted: the guest's driver negotiates with the watch there.
        for (number, name) in (11..).zip(["alpha", "beta"]) {
            host.define_and_start(&GuestSpec::new(name, number))?;
        }
        for name in ["alpha", "beta"] {
            host.wait_ready(name, BOOT)?;
        }
        holds(&host).context("after the guests' boot")?;
        host.reboot("alpha", BOOT)?;
        holds(&host).context("after a reboot")?;

        // Stopped, it leaves things as they are; undone, they are the guest's again.
        kill(Pid::from_raw(watch.id().cast_signed()), Signal::SIGTERM)?;
        ensure!(watch.wait()?.success(), "the watch ends well");
        holds(&host).context("after the watch's end")?;
        succeeded(enforce(&host, &["undo", "--all"])?)?;
        for name in ["alpha", "beta"] {
            ensure!(
                on(&host, name)? == OFF.map(|_| true),
                "{name} is as the guest negotiated"
            );
        }
        Ok(())
    })
}

#[test]
#[ignore = "real VMs: run by cargo xtask e2e"]
fn a_definition_takes_effect_at_the_next_cold_start() -> Result<()> {
    skip_unless_vms!();
    unless_stuck(|| {
        let host = Host::start(Options::default())?;
        let spec = GuestSpec::new("gamma", 13);
        host.define_and_start(&spec)?;
        host.wait_ready("gamma", BOOT)?;
        let before = host.virsh(&["dumpxml", "--inactive", "gamma"])?;
        write_policy(
            &host,
            "version = 1\n[[rule]]\nmatch = { vm = \"gamma\" }\n\
             definition = { guest = { tso4 = false, tso6 = false, ecn = false } }\n",
        )?;

        // Without being told to, it is only told.
        let told = succeeded(enforce(&host, &["--apply", "--policy", POLICY])?)?;
        ensure!(told.contains("cold start"), "{told}");
        ensure!(host.virsh(&["dumpxml", "--inactive", "gamma"])? == before);

        succeeded(enforce(
            &host,
            &["--apply", "--policy", POLICY, "--write-xml"],
        )?)?;
        let defined = host.virsh(&["dumpxml", "--inactive", "gamma"])?;
        for attribute in ["tso4='off'", "tso6='off'", "ecn='off'"] {
            ensure!(defined.contains(attribute), "{defined}");
        }
        let tso = || Ok::<_, anyhow::Error>(on(&host, "gamma")?[..3].to_vec());
        ensure!(tso()? == [true; 3], "the running VM is as it was");

        host.destroy("gamma")?;
        host.start_domain("gamma")?;
        host.wait_ready("gamma", BOOT)?;
        ensure!(tso()? == [false; 3], "the card offers the guest no TSO");

        succeeded(enforce(&host, &["undo", "--all"])?)?;
        ensure!(host.virsh(&["dumpxml", "--inactive", "gamma"])? == before);
        Ok(())
    })
}

fn write_policy(host: &Host, policy: &str) -> Result<()> {
    let path = host.path(POLICY);
    fs::write(&path, policy)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

fn command(host: &Host, arguments: &[&str]) -> Result<std::process::Command> {
    let program = observer::binary()?;
    let program = program.to_str().context("a path of plain text")?;
    let mut command = host.command(program);
    command
        .arg("enforce")
        .args(arguments)
        .args(["--state-dir", STATE])
        .stdin(Stdio::null());
    Ok(command)
}

fn enforce(host: &Host, arguments: &[&str]) -> Result<Output> {
    Ok(command(host, arguments)?.output()?)
}

fn succeeded(output: Output) -> Result<String> {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{told}{complaint}");
    Ok(told)
}

/// Started; it says so when it has seen everything once.
fn start_watch(host: &Host) -> Result<Child> {
    let log = host.path(Path::new("/run/offwatch-e2e/watch.log"));
    let mut command = command(host, &["--watch", "--policy", POLICY])?;
    let mut child = command.stderr(fs::File::create(&log)?).spawn()?;
    wait_until("the watch", PATIENCE, || {
        if let Some(status) = child.try_wait()? {
            anyhow::bail!("it ended: {status}: {}", fs::read_to_string(&log)?);
        }
        Ok(!fs::read_to_string(&log)?.is_empty())
    })?;
    Ok(child)
}

/// alpha is as the policy has it, beta as its guest negotiated.
fn holds(host: &Host) -> Result<()> {
    wait_until("the policy", PATIENCE, || {
        Ok(on(host, "alpha")? == OFF.map(|_| false))
    })?;
    ensure!(
        on(host, "beta")? == OFF.map(|_| true),
        "beta is no business of the policy"
    );
    Ok(())
}

/// Which of [`OFF`] are on, as ethtool prints them.
fn on(host: &Host, name: &str) -> Result<[bool; OFF.len()]> {
    let [tap] = &host.taps(name)?[..] else {
        anyhow::bail!("{name} has one card");
    };
    let output = host.command("ethtool").args(["-k", tap]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut states = [false; OFF.len()];
    for (state, feature) in states.iter_mut().zip(OFF) {
        // ethtool prints GSO by its old name.
        let name = match feature {
            "tx-generic-segmentation" => "generic-segmentation-offload",
            other => other,
        };
        let mut lines = text.lines().map(str::trim);
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        *state = line
            .with_context(|| format!("ethtool prints no {name}"))?
            .starts_with("on");
    }
    Ok(states)
}
