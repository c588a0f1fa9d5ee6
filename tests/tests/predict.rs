//! What is predicted of a change of features is what the kernel makes of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use nix::net::if_::if_nametoindex;
use offwatch::{
    enforce::{
        kernel::Request,
        names,
        plan::{Because, Unmet},
        predict::{Device, computed_anew, predict, unmet},
    },
    inventory::features::{Family, FeatureSocket},
    sample::offloads::{FeatureNames, FeatureSet, Features},
};
use offwatch_tests::{
    Netns, Offloads, command::run, link, scaled, skip::left_out, skip_unless_lab, tap::Tap,
};

/// Requests of two features each, per device: fewer on an emulated machine.
fn pairs() -> usize {
    scaled(60).max(10) as usize
}

struct Host {
    ns: Netns,
    names: FeatureNames,
    /// Ports of bridges.
    ports: BTreeMap<&'static str, Vec<&'static str>>,
    state: u64,
}

impl Host {
    fn new() -> Result<Self> {
        let ns = Netns::new()?;
        let names = ns.try_run(|| Ok(FeatureSocket::open(Family::resolve()?)?.names()?))?;
        Ok(Self {
            ns,
            names,
            ports: BTreeMap::new(),
            state: 1,
        })
    }

    fn features(&self, device: &str) -> Result<Features> {
        let read = || {
            let ifindex = if_nametoindex(device)?;
            Ok(FeatureSocket::open(Family::resolve()?)?.of(ifindex)?)
        };
        self.ns.try_run(read)
    }

    fn device(&self, device: &str) -> Result<Device> {
        if device.starts_with("tap") {
            return Ok(Device::Tap);
        }
        let Some(ports) = self.ports.get(device) else {
            return Ok(Device::Other);
        };
        let ports = ports.iter().map(|port| Ok(self.features(port)?.active));
        Ok(Device::Bridge(ports.collect::<Result<_>>()?))
    }

    /// A number below `below`.
    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % below as u64) as usize
    }

    /// What `ethtool -K` makes of a request is what was predicted.
    fn holds(&self, device: &str, request: &Request) -> Result<FeatureSet> {
        let mut argv = vec!["ethtool".to_owned(), "-K".into(), device.into()];
        for bit in request.mask.iter() {
            let name = self.names.name(bit).context("a name")?;
            let state = if request.on.contains(bit) {
                "on"
            } else {
                "off"
            };
            argv.extend([name.to_owned(), state.into()]);
        }
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let of = self.device(device)?;
        let before = self.features(device)?;
        let predicted = predict(&self.names, &of, &before, request);
        // It fails where nothing came of it.
        let _ = run(&self.ns, &argv);
        let after = self.features(device)?;
        let surprise = (after.active ^ predicted.active) - predicted.uncertain;
        let named = |set| self.names.of(set);
        ensure!(
            surprise.is_empty(),
            "{argv:?}, wanted {:?}, on {:?}: predicted {:?}, not so {:?}",
            named(before.wanted),
            named(before.active),
            named(predicted.active),
            named(surprise)
        );
        let achieved = |bit: usize| after.active.contains(bit) == request.on.contains(bit);
        let unmet_bits: FeatureSet = predicted.unmet.iter().map(|unmet| unmet.bit).collect();
        let missed = request.mask.iter().filter(|bit| !achieved(*bit));
        let missed = missed.collect::<FeatureSet>() - predicted.uncertain;
        ensure!(
            missed == unmet_bits,
            "{argv:?}: unmet {:?}, predicted {:?}",
            named(missed),
            named(unmet_bits)
        );
        self.has_reasons(device, &of, &predicted.unmet, after.active, argv.join(" "))?;
        let held_off = unmet(&self.names, &of, &after);
        let expected = (after.wanted ^ after.active) & after.changeable;
        let told: FeatureSet = held_off.iter().map(|unmet| unmet.bit).collect();
        ensure!(told == expected, "{argv:?}: {:?}", named(told ^ expected));
        self.has_reasons(device, &of, &held_off, after.active, argv.join(" "))?;
        Ok(predicted.uncertain)
    }

    fn has_reasons(
        &self,
        device: &str,
        of: &Device,
        unmet: &[Unmet],
        active: FeatureSet,
        argv: String,
    ) -> Result<()> {
        for Unmet { bit, because } in unmet {
            let is_so = match because {
                Because::Needs(other) => !active.contains(*other),
                Because::Excludes(other) => active.contains(*other),
                Because::NotNegotiated => *of == Device::Tap,
                Because::Ports => matches!(of, Device::Bridge(ports) if !ports.is_empty()),
                Because::Fixed => self.features(device)?.is_fixed(*bit),
                // None of these has a driver with a mind of its own.
                Because::Driver => false,
            };
            let name = self.names.name(*bit);
            ensure!(is_so, "{argv}: {name:?} {}", because.told(&self.names));
        }
        Ok(())
    }

    /// Each feature on and off, and pairs by chance. Returns what was uncertain.
    fn many(&mut self, device: &str) -> Result<FeatureSet> {
        let features = self.features(device)?;
        let named = |bit: &usize| self.names.name(*bit).is_some_and(|name| !name.is_empty());
        let all: Vec<usize> = (features.changeable - features.never_changed)
            .iter()
            .filter(named)
            .collect();
        let mut uncertain = FeatureSet::default();
        for bit in &all {
            for on in [false, true] {
                let mut request = Request::default();
                request.switch(*bit, on);
                uncertain = uncertain | self.holds(device, &request)?;
            }
        }
        // Fixed ones among them.
        let any: Vec<usize> = (0..self.names.0.len())
            .filter(named)
            .filter(|bit| !features.never_changed.contains(*bit))
            .collect();
        for _ in 0..pairs() {
            let mut request = Request::default();
            for from in [&all, if self.random(4) == 0 { &any } else { &all }] {
                let bit = from[self.random(from.len())];
                let on = self.random(2) == 1;
                request.switch(bit, on);
            }
            uncertain = uncertain | self.holds(device, &request)?;
        }
        let everything = Request {
            mask: all.iter().copied().collect(),
            on: features.wanted,
        };
        self.holds(device, &everything)?;
        Ok(uncertain)
    }

    /// What may be uncertain on a device without a guest: a rule that some
    /// kernels have.
    fn is_certain(&self, device: &str, uncertain: FeatureSet) -> Result<()> {
        let mut permitted = FeatureSet::default();
        if self.names.bit("tx-lockless").is_some() {
            permitted.insert(self.names.bit("tx-udp-segmentation").context("USO")?);
        }
        // Of bridges with ports: lists on the same kernels, and what goes with
        // partial GSO.
        let ports = self
            .ports
            .get(device)
            .is_some_and(|ports| !ports.is_empty());
        let of_bridges = [
            self.names
                .bit("tx-gso-list")
                .filter(|_| !permitted.is_empty()),
            self.names.bit("tx-esp-segmentation"),
        ];
        for bit in of_bridges.into_iter().flatten().filter(|_| ports) {
            permitted.insert(bit);
        }
        let rest = self.names.of(uncertain - permitted);
        ensure!(rest.is_empty(), "uncertain: {rest:?}");
        Ok(())
    }
}

fn veth(ns: &Netns, one: &str, other: &str) -> Result<()> {
    let argv = [
        "ip", "link", "add", one, "type", "veth", "peer", "name", other,
    ];
    run(ns, &argv).map(drop)
}

#[test]
fn veth_and_dummy() -> Result<()> {
    skip_unless_lab!();
    let mut host = Host::new()?;
    veth(&host.ns, "veth0", "veth1")?;
    run(&host.ns, &["ip", "link", "set", "veth0", "up"])?;
    let uncertain = host.many("veth0")?;
    host.is_certain("veth0", uncertain)?;
    if run(&host.ns, &["ip", "link", "add", "dummy0", "type", "dummy"]).is_ok() {
        let uncertain = host.many("dummy0")?;
        host.is_certain("veth0", uncertain)?;
    } else {
        left_out("dummy: this kernel has none");
    }
    Ok(())
}

#[test]
fn taps_of_all_kinds_of_guests() -> Result<()> {
    skip_unless_lab!();
    let mut host = Host::new()?;
    let tap = Tap::create(&host.ns, "tap0", 1)?;
    host.many("tap0").context("before a driver negotiates")?;
    let tso4 = Offloads {
        tso4: true,
        ..Offloads::CSUM_ONLY
    };
    for accepts in [Offloads::ALL, tso4, Offloads::CSUM_ONLY, Offloads::NONE] {
        tap.set_offloads(accepts)?;
        host.many("tap0").with_context(|| format!("{accepts:?}"))?;
    }
    // After a negotiation of everything nothing is uncertain.
    tap.set_offloads(Offloads::ALL)?;
    let tso = names::resolve(&host.names, "tso")?;
    let off = Request {
        mask: tso,
        on: FeatureSet::default(),
    };
    let uncertain = host.holds("tap0", &off)?;
    host.is_certain("tap0", uncertain)
}

#[test]
fn bridges_and_their_ports() -> Result<()> {
    skip_unless_lab!();
    let mut host = Host::new()?;
    let all = ["veth0", "veth2", "veth4"];
    for (one, other) in all.iter().zip(["veth1", "veth3", "veth5"]) {
        veth(&host.ns, one, other)?;
    }
    for (bridge, ports) in [("br0", &all[..0]), ("br1", &all[..1]), ("br2", &all[1..])] {
        link::add_bridge(&host.ns, bridge)?;
        for port in ports {
            link::enslave(&host.ns, port, bridge)?;
        }
        host.ports.insert(bridge, ports.to_vec());
        let uncertain = host.many(bridge).context(bridge)?;
        host.is_certain(bridge, uncertain)?;
    }
    // What becomes of a bridge when its ports are changed.
    let mut changed = FeatureSet::default();
    let switchable: Vec<usize> = host.features("veth2")?.changeable.iter().collect();
    for round in 0..2 * pairs() {
        let port = all[1 + host.random(2)];
        let mut request = Request::default();
        for _ in 0..4 {
            let bit = switchable[host.random(switchable.len())];
            request.switch(bit, round % 4 == 0);
        }
        let before = host.features("br2")?;
        host.holds(port, &request)?;
        let after = host.features("br2")?;
        let predicted = computed_anew(&host.names, &host.device("br2")?, &before);
        let surprise = (predicted.active ^ after.active) - predicted.uncertain;
        let surprise = host.names.of(surprise);
        assert!(surprise.is_empty(), "{port} {request:?}: {surprise:?}");
        changed = changed | (before.active ^ after.active);
    }
    let changed = host.names.of(changed);
    // Chance, where the pairs are few.
    let least = if pairs() == 60 { 5 } else { 1 };
    assert!(changed.len() >= least, "little has changed: {changed:?}");
    Ok(())
}

/// `ethtool -K` with the names of groups wants what the names stand for.
#[test]
fn names_stand_for_what_ethtool_makes_of_them() -> Result<()> {
    skip_unless_lab!();
    let host = Host::new()?;
    veth(&host.ns, "veth0", "veth1")?;
    let mut switched = 0;
    for group in names::GROUPS {
        for name in [group.short, group.long] {
            let Ok(set) = names::resolve(&host.names, name) else {
                let argv = ["ethtool", "-K", "veth0", name, "off"];
                ensure!(run(&host.ns, &argv).is_err(), "ethtool can switch {name}");
                continue;
            };
            for on in ["off", "on"] {
                let before = host.features("veth0")?;
                let argv = ["ethtool", "-K", "veth0", name, on];
                let succeeded = run(&host.ns, &argv).is_ok();
                let after = host.features("veth0")?;
                let all = set & after.changeable;
                let expected = match on {
                    "on" => before.wanted | all,
                    _ => before.wanted - all,
                };
                assert_eq!(after.wanted, expected, "{name} {on}");
                assert!(succeeded || all.is_empty(), "{name} {on}");
                switched += usize::from(!all.is_empty());
            }
        }
    }
    assert!(switched >= 24, "{switched}");
    Ok(())
}
