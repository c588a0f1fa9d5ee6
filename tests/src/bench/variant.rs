//! What may sit at the hooks while frames are sent.

use std::path::Path;

use anyhow::{Context, Result};
use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, LinkOrder, Program, RawTracePoint, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{SchedClassifierLink, TcAttachOptions},
    },
};
use offwatch::{probe::Probe, sample::Hook};

/// Tracepoints, with the last part of the names of the empty programs.
const TRACEPOINTS: [(&str, &str); 4] = [
    ("netif_receive_skb", "receive"),
    ("net_dev_queue", "queue"),
    ("net_dev_start_xmit", "xmit"),
    ("kfree_skb", "drop"),
];

/// Where [`Counters`] are.
const COUNTED_AT: [&str; 2] = ["receive", "xmit"];

/// Whose counters a program adds to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counters {
    /// Those of all processors, atomically.
    Shared,
    /// Those of its processor.
    PerCpu,
}

impl Counters {
    /// How many.
    pub(super) const ADDITIONS: usize = 3;

    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::PerCpu => "own",
        }
    }
}

/// One contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// No program.
    Nothing,
    /// Programs that only return.
    Zero(Hook),
    /// Programs that add one to an array's value.
    Count(Hook),
    /// Those of offwatch.
    Offwatch(Hook),
}

impl Variant {
    /// In the order in which they take turns.
    pub(super) const ALL: [Self; 10] = [
        Self::Nothing,
        Self::Zero(Hook::Tp),
        Self::Count(Hook::Tp),
        Self::Offwatch(Hook::Tp),
        Self::Zero(Hook::Raw),
        Self::Count(Hook::Raw),
        Self::Offwatch(Hook::Raw),
        Self::Zero(Hook::Tc),
        Self::Count(Hook::Tc),
        Self::Offwatch(Hook::Tc),
    ];

    pub(super) fn title(self) -> String {
        match self {
            Self::Nothing => "nothing attached".into(),
            Self::Zero(hook) => format!("{}, empty (return)", hook.name()),
            Self::Count(hook) => format!("{}, empty (array + 1)", hook.name()),
            Self::Offwatch(hook) => format!("{}, offwatch", hook.name()),
        }
    }

    /// Attaches it for the devices of the calling thread's namespace, until
    /// what is returned is dropped.
    pub(super) fn attach(
        self,
        empty: &mut Empty,
        netns: u64,
        devices: &[(u32, String)],
    ) -> Result<Attached> {
        match self {
            Self::Nothing => Ok(Attached::Nothing),
            Self::Zero(hook) => empty.attach("zero", hook, devices),
            Self::Count(hook) => empty.attach("count", hook, devices),
            Self::Offwatch(hook) => {
                let mut probe = Probe::start(hook, netns)?;
                for (ifindex, _) in devices {
                    probe.observe(*ifindex);
                }
                Ok(Attached::Offwatch(Box::new(probe)))
            }
        }
    }
}

/// Keeps programs attached.
pub(super) enum Attached {
    Nothing,
    Links(#[expect(dead_code, reason = "detached by being dropped")] Vec<Link>),
    Offwatch(#[expect(dead_code, reason = "detached by being dropped")] Box<Probe>),
}

pub(super) enum Link {
    Tracepoint(#[expect(dead_code, reason = "detached by being dropped")] FdLink),
    Classifier(#[expect(dead_code, reason = "detached by being dropped")] SchedClassifierLink),
}

/// The empty programs, loaded.
pub(super) struct Empty {
    ebpf: Ebpf,
}

impl Empty {
    pub(super) fn load(object: &Path) -> Result<Self> {
        let mut ebpf =
            Ebpf::load_file(object).with_context(|| format!("loading {}", object.display()))?;
        let btf = Btf::from_sys_fs().context("the kernel's BTF")?;
        for baseline in ["zero", "count"] {
            for (tracepoint, part) in TRACEPOINTS {
                let program: &mut BtfTracePoint = program(&mut ebpf, &[baseline, part])?;
                program.load(tracepoint, &btf)?;
            }
            let raw: &mut RawTracePoint = program(&mut ebpf, &[baseline, "raw"])?;
            raw.load()?;
            let tc: &mut SchedClassifier = program(&mut ebpf, &[baseline, "tc"])?;
            tc.load()?;
        }
        for counters in [Counters::Shared, Counters::PerCpu] {
            for (tracepoint, part) in TRACEPOINTS {
                if COUNTED_AT.contains(&part) {
                    let program: &mut BtfTracePoint = program(&mut ebpf, &[counters.name(), part])?;
                    program.load(tracepoint, &btf)?;
                }
            }
        }
        Ok(Self { ebpf })
    }

    /// An empty classifier, for runs without packets.
    pub(super) fn classifier(&mut self, baseline: &str) -> Result<&mut SchedClassifier> {
        program(&mut self.ebpf, &[baseline, "tc"])
    }

    /// Programs that add to counters, at the hooks that a forwarded frame meets
    /// first and last.
    pub(super) fn attach_counters(&mut self, counters: Counters) -> Result<Attached> {
        let mut links = Vec::new();
        for part in COUNTED_AT {
            let program: &mut BtfTracePoint = program(&mut self.ebpf, &[counters.name(), part])?;
            let link = program.attach().and_then(|id| program.take_link(id))?;
            links.push(Link::Tracepoint(link.into()));
        }
        Ok(Attached::Links(links))
    }

    fn attach(
        &mut self,
        baseline: &str,
        hook: Hook,
        devices: &[(u32, String)],
    ) -> Result<Attached> {
        let mut links = Vec::new();
        match hook {
            Hook::Tp => {
                for (_, part) in TRACEPOINTS {
                    let program: &mut BtfTracePoint = program(&mut self.ebpf, &[baseline, part])?;
                    let link = program.attach().and_then(|id| program.take_link(id))?;
                    links.push(Link::Tracepoint(link.into()));
                }
            }
            Hook::Raw => {
                let program: &mut RawTracePoint = program(&mut self.ebpf, &[baseline, "raw"])?;
                for (tracepoint, _) in TRACEPOINTS {
                    let id = program.attach(tracepoint)?;
                    links.push(Link::Tracepoint(program.take_link(id)?.into()));
                }
            }
            Hook::Tc => {
                let program: &mut SchedClassifier = program(&mut self.ebpf, &[baseline, "tc"])?;
                for (_, dev) in devices {
                    for direction in [TcAttachType::Ingress, TcAttachType::Egress] {
                        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
                        let id = program.attach_with_options(dev, direction, options)?;
                        links.push(Link::Classifier(program.take_link(id)?));
                    }
                }
            }
        }
        Ok(Attached::Links(links))
    }
}

fn program<'ebpf, P>(ebpf: &'ebpf mut Ebpf, parts: &[&str]) -> Result<&'ebpf mut P>
where
    &'ebpf mut P: TryFrom<&'ebpf mut Program>,
{
    let name = parts.join("_");
    ebpf.program_mut(&name)
        .and_then(|program| program.try_into().ok())
        .with_context(|| format!("the object has no program {name}"))
}
