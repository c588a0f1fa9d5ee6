//! What the kernel answers to requests for features, by each way to ask it.

use std::io;

use anyhow::{Context, Result, bail, ensure};
use offwatch::{
    enforce::{
        kernel::{Kernel, Refusal, Reply, Request, ioctl::Ioctl, netlink::Netlink, open},
        names,
        target::Id,
    },
    inventory::features::{Family, FeatureSocket},
    sample::offloads::{FeatureNames, FeatureSet, Features},
};
use offwatch_tests::{
    Netns, Offloads, caps, command::run, ethtool, link, skip_unless_lab, tap::Tap,
};

type Ask = Box<dyn Kernel + Send>;
type Open = fn() -> io::Result<Ask>;

const WAYS: [(&str, Open); 3] = [
    ("netlink", || Ok(Box::new(Netlink::open()?))),
    ("ioctl", || Ok(Box::new(Ioctl::open()?))),
    ("the way that is chosen", open),
];

/// A pair of veths, and the kernel.
struct Bench {
    ns: Netns,
    kernel: Ask,
    names: FeatureNames,
}

impl Bench {
    fn new(open: Open) -> Result<Self> {
        let ns = Netns::new()?;
        let pair = "ip link add veth0 type veth peer name veth1";
        run(&ns, &pair.split(' ').collect::<Vec<_>>())?;
        let mut kernel = ns.try_run(|| Ok(open()?))?;
        let names = kernel.names()?;
        Ok(Self { ns, kernel, names })
    }

    fn id(&self, dev: &str) -> Result<Id> {
        Ok(Id {
            netns: self.ns.inum(),
            ifindex: link::ifindex(&self.ns, dev)?,
            dev: dev.into(),
        })
    }

    fn set_of(&self, names: &[&str]) -> Result<FeatureSet> {
        let sets = names.iter().map(|name| names::resolve(&self.names, name));
        let none = Ok(FeatureSet::default());
        Ok(
            sets.fold(none, |all: Result<_, names::UnknownFeature>, set| {
                Ok(all? | set?)
            })?,
        )
    }

    /// Features, after ethtool has printed the same.
    fn features(&mut self, dev: &str) -> Result<Features> {
        let id = self.id(dev)?;
        let features = self.kernel.of(&id)?;
        for (name, printed) in ethtool::features(&self.ns, dev)? {
            let bit = self.names.bit(&name).context("a name")?;
            ensure!(features.active.contains(bit) == printed.on, "{name}");
            ensure!(features.is_fixed(bit) == printed.fixed, "{name}");
            let wanted = printed.requested.unwrap_or(printed.on);
            ensure!(
                printed.fixed || features.wanted.contains(bit) == wanted,
                "{name}"
            );
        }
        Ok(features)
    }

    fn switch(&mut self, dev: &str, features: &[&str], on: bool) -> Result<Reply> {
        let mask = self.set_of(features)?;
        let on = if on { mask } else { FeatureSet::default() };
        let id = self.id(dev)?;
        Ok(self.kernel.set(&id, &Request { mask, on })?)
    }
}

/// Runs a test once for each way, from the same beginning.
fn each_way(test: impl Fn(&mut Bench) -> Result<()>) -> Result<()> {
    for (way, open) in WAYS {
        test(&mut Bench::new(open)?).with_context(|| format!("by {way}"))?;
    }
    Ok(())
}

const CHECKSUM: &str = "tx-checksum-ip-generic";
const TSO: [&str; 4] = [
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
];
const GSO: &str = "tx-generic-segmentation";

#[test]
fn what_changes_with_it_is_told() -> Result<()> {
    skip_unless_lab!();
    each_way(|bench| {
        let tso = bench.set_of(&TSO)?;
        for (feature, lost) in [(CHECKSUM, tso), ("sg", tso | bench.set_of(&[GSO])?)] {
            let before = bench.features("veth0")?;
            let reply = bench.switch("veth0", &[feature], false)?;
            let after = bench.features("veth0")?;
            assert!(reply.unmet.is_empty(), "{reply:?}");
            assert_eq!(reply.changed, before.active ^ after.active);
            // Some kernels take more with it.
            let asked = bench.set_of(&[feature])? & before.active;
            assert!(((asked | lost) - reply.changed).is_empty(), "{reply:?}");
            assert_eq!(after.wanted, before.wanted - asked);
            let back = bench.switch("veth0", &[feature], true)?;
            assert_eq!(back.changed, reply.changed);
            assert_eq!(bench.features("veth0")?, before);
        }
        Ok(())
    })
}

#[test]
fn what_is_not_possible_is_unmet_and_remembered() -> Result<()> {
    skip_unless_lab!();
    each_way(|bench| {
        bench.switch("veth0", &["tso", CHECKSUM], false)?;
        let tso = bench.set_of(&["tx-tcp-segmentation"])?;
        let before = bench.features("veth0")?;
        let reply = bench.switch("veth0", &["tx-tcp-segmentation"], true)?;
        assert_eq!(reply.unmet, tso);
        assert!(reply.changed.is_empty(), "{reply:?}");
        let after = bench.features("veth0")?;
        assert_eq!(after.active, before.active);
        assert_eq!(after.wanted, before.wanted | tso);
        let reply = bench.switch("veth0", &[CHECKSUM], true)?;
        assert!((tso - reply.changed).is_empty(), "{reply:?}");
        Ok(())
    })
}

#[test]
fn what_is_fixed_is_unmet() -> Result<()> {
    skip_unless_lab!();
    each_way(|bench| {
        let before = bench.features("veth0")?;
        let fixed = bench.set_of(&["loopback"])?;
        assert!(before.is_fixed(fixed.iter().next().context("a bit")?));
        let reply = bench.switch("veth0", &["loopback"], true)?;
        assert_eq!(reply.unmet, fixed);
        assert!(reply.changed.is_empty(), "{reply:?}");
        // Another one beside it is switched.
        let reply = bench.switch("veth0", &["loopback", GSO], false)?;
        assert!(reply.unmet.is_empty(), "{reply:?}");
        assert_eq!(reply.changed, bench.set_of(&[GSO])?);
        let gso = bench.switch("veth0", &[GSO], true)?.changed;
        assert_eq!(gso, reply.changed);
        assert_eq!(bench.features("veth0")?, before);
        Ok(())
    })
}

#[test]
fn what_is_so_already_changes_nothing() -> Result<()> {
    skip_unless_lab!();
    each_way(|bench| {
        let before = bench.features("veth0")?;
        let reply = bench.switch("veth0", &["tso", GSO], true)?;
        assert_eq!(reply, Reply::default());
        assert_eq!(bench.features("veth0")?, before);
        Ok(())
    })
}

/// The whole request is refused, also what is possible of it.
#[test]
fn what_no_interface_lets_be_switched_is_refused() -> Result<()> {
    skip_unless_lab!();
    each_way(|bench| {
        let before = bench.features("veth0")?;
        let refused = bench.switch("veth0", &[GSO, "vlan-challenged"], false);
        match refused.expect_err("refused").downcast()? {
            Refusal::Other { source, .. } => {
                assert_eq!(source.raw_os_error(), Some(libc::EINVAL));
            }
            other => bail!("{other}"),
        }
        assert_eq!(bench.features("veth0")?, before);
        Ok(())
    })
}

#[test]
fn an_unknown_name_is_refused_with_the_kernels_words() -> Result<()> {
    skip_unless_lab!();
    let mut bench = Bench::new(WAYS[0].1)?;
    let before = bench.features("veth0")?;
    let id = bench.id("veth0")?;
    let refused = bench.ns.try_run(|| {
        let mut socket = FeatureSocket::open(Family::resolve()?)?;
        let features = [(GSO, false), ("tx-perpetual-motion", true)];
        let result = socket.set(id.ifindex, "veth0", features.into_iter());
        Ok((result.map(drop), socket.told().map(str::to_owned)))
    })?;
    let error = refused.0.expect_err("refused");
    assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    assert_eq!(refused.1.as_deref(), Some("bit name not found"));
    assert_eq!(bench.features("veth0")?, before);
    Ok(())
}

#[test]
fn another_interface_is_never_taken_for_it() -> Result<()> {
    skip_unless_lab!();
    each_way(|bench| {
        let (veth0, veth1) = (bench.id("veth0")?, bench.id("veth1")?);
        let swapped = Id {
            dev: "veth1".into(),
            ..veth0.clone()
        };
        let absent = Id {
            ifindex: 4_000_000,
            ..veth0.clone()
        };
        let before = [bench.features("veth0")?, bench.features("veth1")?];
        let request = Request {
            mask: bench.set_of(&["tso"])?,
            on: FeatureSet::default(),
        };
        let gone = |bench: &mut Bench, id: &Id| {
            let set = bench.kernel.set(id, &request).map(drop);
            let read = bench.kernel.of(id).map(drop);
            for result in [set, read] {
                let is_gone = matches!(&result, Err(Refusal::Gone(of)) if of == id);
                assert!(is_gone, "{id:?}: {result:?}");
            }
        };
        gone(bench, &swapped);
        gone(bench, &absent);
        assert_eq!(before, [bench.features("veth0")?, bench.features("veth1")?]);
        // Its name was given to another one.
        for renamed in ["veth0 name old", "veth1 name veth0"] {
            let argv = format!("ip link set {renamed}");
            run(&bench.ns, &argv.split(' ').collect::<Vec<_>>())?;
        }
        gone(bench, &veth0);
        assert_eq!(bench.features("veth0")?, before[1]);
        run(&bench.ns, &["ip", "link", "del", "old"])?;
        gone(bench, &veth0);
        gone(bench, &veth1);
        let told = Refusal::Gone(veth1).to_string();
        assert!(told.starts_with("veth1 with ifindex"), "{told}");
        Ok(())
    })
}

#[test]
fn without_the_capability_it_reads_and_switches_nothing() -> Result<()> {
    skip_unless_lab!();
    for (way, open) in WAYS {
        let mut bench = Bench::new(open)?;
        let before = bench.features("veth0")?;
        let id = bench.id("veth0")?;
        let request = Request {
            mask: bench.set_of(&["tso"])?,
            on: FeatureSet::default(),
        };
        let (read, set) = bench.ns.try_run(|| {
            // Of this thread alone.
            caps::drop_net_admin()?;
            let mut kernel = open()?;
            Ok((kernel.of(&id)?, kernel.set(&id, &request)))
        })?;
        assert_eq!(read, before, "{way}");
        let refused = matches!(set, Err(Refusal::NotPermitted));
        assert!(refused, "{way}: {set:?}");
        assert_eq!(bench.features("veth0")?, before, "{way}");
    }
    Ok(())
}

#[test]
fn a_guests_driver_has_the_last_word() -> Result<()> {
    skip_unless_lab!();
    each_way(|bench| {
        let tap = Tap::create(&bench.ns, "tap0", 1)?;
        tap.set_offloads(Offloads::ALL)?;
        let tso4 = ["tx-tcp-segmentation"];
        let bit = bench.set_of(&tso4)?;
        assert_eq!(bench.switch("tap0", &tso4, false)?.changed, bit);
        // What it negotiates is wanted.
        tap.set_offloads(Offloads::CSUM_ONLY)?;
        tap.set_offloads(Offloads::ALL)?;
        assert!((bit - bench.features("tap0")?.active).is_empty());
        bench.switch("tap0", &["gso"], false)?;
        tap.set_offloads(Offloads::CSUM_ONLY)?;
        let features = bench.features("tap0")?;
        assert!((bit & features.wanted).is_empty(), "{features:?}");
        assert!((bench.set_of(&["gso"])? & features.wanted).is_empty());
        assert_eq!(bench.switch("tap0", &tso4, true)?.unmet, bit);
        Ok(())
    })
}

#[test]
fn all_interfaces_are_listed() -> Result<()> {
    skip_unless_lab!();
    let mut listings = Vec::new();
    let bench = Bench::new(WAYS[0].1)?;
    let _tap = Tap::create(&bench.ns, "tap0", 1)?;
    link::add_bridge(&bench.ns, "br0")?;
    for (_, open) in WAYS {
        listings.push(bench.ns.try_run(|| {
            let mut kernel = open()?;
            let mut all = kernel.list()?;
            all.sort_by_key(|(ifindex, _)| *ifindex);
            Ok((kernel.names()?, all))
        })?);
    }
    for dev in ["lo", "veth0", "veth1", "tap0", "br0"] {
        let ifindex = link::ifindex(&bench.ns, dev)?;
        let mut listed = listings[0].1.iter();
        assert!(listed.any(|(found, _)| *found == ifindex), "{dev}");
    }
    assert_eq!(listings[0], listings[1]);
    assert_eq!(listings[0], listings[2]);
    Ok(())
}
