//! How real QEMU guests were set up, by a real libvirtd and without it.

use std::{process::Stdio, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use offwatch::{
    facts::{
        Facts,
        domain::{Agent, Domain},
        nic::NicSetup,
    },
    inventory::qemu_args,
    sample::{Sample, Source, offloads::Fact},
};
use offwatch_e2e::{GuestSpec, Host, Options, skip_unless_vms, unless_stuck};
use offwatch_tests::observer;

const HOST: [(&str, bool); 3] = [("csum", true), ("gso", true), ("tso4", false)];
const GUEST: [(&str, bool); 2] = [("csum", true), ("tso6", false)];
const MTU_BYTES: u32 = 1400;

#[test]
#[ignore = "real VMs: run by cargo xtask e2e"]
fn cards_are_as_they_were_set_up() -> Result<()> {
    skip_unless_vms!();
    unless_stuck(|| {
        let host = Host::start(Options::default())?;
        let attributes = |list: &[(&str, bool)]| {
            let list = list.iter();
            let on = |on: bool| if on { "on" } else { "off" };
            list.map(|(name, is_on)| format!(" {name}='{}'", on(*is_on)))
                .collect::<String>()
        };
        host.define_and_start(&GuestSpec {
            queues: 2,
            driver_xml: format!("<host{}/><guest{}/>", attributes(&HOST), attributes(&GUEST)),
            interface_xml: format!("<mtu size='{MTU_BYTES}'/>"),
            devices_xml: "<channel type='unix'>\
                          <target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
                .to_owned(),
            ..GuestSpec::new("alpha", 11)
        })?;

        let taps = host.taps("alpha")?;
        let tap = taps.first().context("a tap")?;
        let facts = facts(&host)?;
        let alpha = alpha(&facts)?;
        is_as_set_up(alpha, tap)?;
        assert_eq!(alpha.source, Source::Libvirt);
        // No agent runs in the guest.
        assert_eq!(alpha.agent, Fact::Known(Agent::Disconnected));
        let dump = host.virsh(&["dumpxml", "alpha"])?;
        let machine = alpha.machine.known().context("a machine type")?;
        ensure!(dump.contains(&format!("machine='{machine}'")), "{machine}");
        let version = host.virsh(&["version"])?;
        for (what, fact) in [("libvirt", &facts.host.libvirt), ("QEMU", &facts.host.qemu)] {
            let fact = fact.known().with_context(|| format!("{what}'s version"))?;
            ensure!(version.contains(&format!("{what} {fact}\n")), "{version}");
        }

        // Of QEMU's command line alone.
        let pid = host.qemu_pid("alpha")?;
        let cmdline = std::fs::read(host.path(format!("/proc/{pid}/cmdline")))?;
        let arguments = qemu_args::parse(&qemu_args::split(&cmdline));
        let [card] = arguments.cards.as_slice() else {
            anyhow::bail!("one card: {:?}", arguments.cards);
        };
        driver_is_as_set_up(card)?;
        assert!(arguments.has_agent_channel);
        assert_eq!(arguments.machine.as_ref(), alpha.machine.known());

        host.stop_libvirtd()?;
        let without = self::facts(&host)?;
        let alpha = self::alpha(&without)?;
        assert_eq!(alpha.source, Source::Status);
        is_as_set_up(alpha, tap)?;
        let reason = without.host.qemu.reason().context("libvirt is gone")?;
        ensure!(reason.contains("libvirt"), "{reason}");
        Ok(())
    })
}

/// What offwatch records inside the host.
fn facts(host: &Host) -> Result<Arc<Facts>> {
    let program = observer::binary()?;
    let mut command = host.command(program.to_str().context("a path of plain text")?);
    command
        .args(["top", "--once", "--record", "-"])
        .stdin(Stdio::null());
    let output = command.output()?;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = String::from_utf8(output.stdout)?;
    let first = lines
        .lines()
        .nth(1)
        .with_context(|| format!("a sample: {says}"))?;
    let sample: Sample = serde_json::from_str(first)?;
    sample.facts.context("facts of the first sample")
}

fn alpha(facts: &Facts) -> Result<&Domain> {
    let mut domains = facts.domains.known().into_iter().flatten();
    let found = domains.find(|domain| domain.name == "alpha");
    found.with_context(|| format!("alpha in {:?}", facts.domains))
}

fn is_as_set_up(alpha: &Domain, tap: &str) -> Result<()> {
    let [card] = alpha.nics.as_slice() else {
        anyhow::bail!("one card: {:?}", alpha.nics);
    };
    assert_eq!(card.dev.as_deref(), Some(tap));
    assert_eq!(card.connected_to.as_deref(), Some(offwatch_e2e::BRIDGE));
    driver_is_as_set_up(card)
}

fn driver_is_as_set_up(card: &NicSetup) -> Result<()> {
    assert_eq!(card.model, Fact::Known("virtio".into()));
    assert_eq!(card.mtu_bytes, Fact::Known(Some(MTU_BYTES)));
    let driver = card.driver.known().context("a driver")?;
    assert_eq!(driver.queues, Some(2));
    for (name, on) in HOST {
        // What is as QEMU has it anyway need not be on its command line.
        assert!(
            driver.host.get(name).is_none_or(|is| *is == on),
            "host {name}"
        );
    }
    for (name, on) in GUEST {
        assert!(
            driver.guest.get(name).is_none_or(|is| *is == on),
            "guest {name}"
        );
    }
    assert_eq!(driver.host.get("tso4"), Some(&false));
    assert_eq!(driver.guest.get("tso6"), Some(&false));
    Ok(())
}
