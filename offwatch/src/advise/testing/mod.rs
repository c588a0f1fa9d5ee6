//! Windows made by hand, for tests: two samples, the first of which has counted
//! nothing.

mod frames;
mod made;
mod trial;

use std::sync::Arc;

use offwatch_common::Work;

pub use self::{frames::Frames, made::Made, trial::trial};
use super::{Report, Rule, Window, advice::Advice, evaluate, window::Feature};
use crate::{
    facts::{Facts, domain::Domain},
    sample::{
        ExactHooks, Exactness, Method, Nic, Sample, Vm,
        evidence::{KernelLog, ProtocolCounters, Sign, SignCount},
        offloads::{Fact, FeatureNames},
    },
};

/// A host and what happened on it.
pub struct Scene {
    seconds: u64,
    before: Sample,
    after: Sample,
    facts: Facts,
}

impl Default for Scene {
    fn default() -> Self {
        Self::lasting(10)
    }
}

impl Scene {
    /// Of a window of so many seconds.
    pub fn lasting(seconds: u64) -> Self {
        let mut before = Sample::default();
        before.host.name = "host".into();
        before.host.kernel = "6.12.30".into();
        before.host.netns = 4_026_531_840;
        before.host.online_cpus = 8;
        let names = Feature::ALL.iter().map(|feature| feature.name().to_owned());
        before.host.feature_names = FeatureNames(names.collect());
        before.host.unattributed = Some(Work::default());
        let exact = || Exactness::Exact(Method::Fexit);
        before.host.exact = ExactHooks {
            segmentation: exact(),
            checksum: exact(),
            crc32c: exact(),
            ..ExactHooks::default()
        };
        before.host.evidence.kernel_log = Fact::Known(KernelLog {
            complete: true,
            signs: Vec::new(),
        });
        before.host.evidence.protocols = Fact::Known(ProtocolCounters {
            tcp_in_segs: Some(0),
            tcp_out_segs: Some(0),
            tcp_retrans_segs: Some(0),
            tcp_in_csum_errors: Some(0),
            udp4_in_csum_errors: Some(0),
            tcp_timeouts: Some(0),
            tcp_lost_retransmits: Some(0),
        });
        Self {
            seconds,
            after: before.clone(),
            before,
            facts: Facts {
                devices: Fact::Known(Vec::new()),
                domains: Fact::Known(Vec::new()),
                ..Facts::default()
            },
        }
    }

    /// With a guest whose driver declines TSO and which receives much, one that
    /// has all, and one without traffic: `legacy`, `web` and `idle`.
    pub fn of_three(seconds: u64) -> Self {
        let frames = seconds * 100_000;
        let legacy = Made::tap("vnet0", 10)
            .vm("legacy")
            .declined(&[Feature::Tso, Feature::TsoEcn, Feature::Tso6])
            .from(Frames::plain(frames / 10, 66))
            .to(Frames::plain(frames, 1514))
            .cut(frames);
        let web = Made::tap("vnet1", 11)
            .vm("web")
            .from(Frames::tcp(frames / 40, 40))
            .to(Frames::tcp(frames / 40, 40));
        let idle = Made::tap("vnet2", 12).vm("idle");
        Self::lasting(seconds).with(legacy).with(web).with(idle)
    }

    /// With an interface.
    #[must_use]
    pub fn with(mut self, made: Made) -> Self {
        let Made {
            before,
            after,
            vm,
            setup,
            device,
        } = made;
        if let Some(name) = vm {
            let nic = Nic {
                dev: Some(after.dev.to_string()),
                mac: after.mac.as_deref().map(str::to_owned),
                backend: "tap".into(),
                unobservable: None,
            };
            Arc::make_mut(&mut self.vm(&name).nics).push(nic);
            self.domain(&name).nics.push(setup);
        }
        if let Fact::Known(devices) = &mut self.facts.devices {
            devices.push(device);
        }
        self.before.interfaces.push(Arc::new(before));
        self.after.interfaces.push(Arc::new(after));
        self
    }

    /// With a guest's operating system.
    #[must_use]
    pub fn os(mut self, vm: &str, id: &str) -> Self {
        self.domain(vm).os_id = Fact::Known(id.into());
        self
    }

    /// With a card that cannot be observed.
    #[must_use]
    pub fn unseen(mut self, vm: &str, backend: &str) -> Self {
        let nic = Nic {
            backend: backend.into(),
            unobservable: Some(format!("{backend} moves frames past the kernel")),
            ..Nic::default()
        };
        Arc::make_mut(&mut self.vm(vm).nics).push(nic);
        self
    }

    /// On a kernel.
    #[must_use]
    pub fn kernel(mut self, release: &str) -> Self {
        self.after.host.kernel = release.into();
        self
    }

    /// The kernel's log got such a sign so often.
    #[must_use]
    pub fn sign(mut self, sign: Sign, count: u64) -> Self {
        if let Fact::Known(log) = &mut self.after.host.evidence.kernel_log {
            log.signs.push(SignCount {
                sign,
                count,
                last_us: 1,
            });
        }
        self
    }

    /// The host's own TCP and UDP counted.
    #[must_use]
    pub fn protocols(mut self, counters: ProtocolCounters) -> Self {
        self.after.host.evidence.protocols = Fact::Known(counters);
        self
    }

    /// Anything else.
    #[must_use]
    pub fn change(mut self, change: impl FnOnce(&mut Sample, &mut Sample, &mut Facts)) -> Self {
        change(&mut self.before, &mut self.after, &mut self.facts);
        self
    }

    /// The samples.
    pub fn samples(mut self) -> (Sample, Sample) {
        self.before.monotonic_ns = 1_000_000_000;
        self.after.monotonic_ns = self.before.monotonic_ns + self.seconds * 1_000_000_000;
        self.after.facts = Some(Arc::new(self.facts));
        (self.before, self.after)
    }

    /// What all rules say.
    pub fn report(self) -> Report {
        let (before, after) = self.samples();
        evaluate(&Window::new(&before, &after), &super::catalogue::rules())
    }

    /// What one rule says.
    pub fn advice(self, rule: &'static Rule) -> Vec<Advice> {
        let (before, after) = self.samples();
        evaluate(&Window::new(&before, &after), &[rule]).advice
    }

    fn vm(&mut self, name: &str) -> &mut Vm {
        let known = self.after.vms.iter().position(|vm| &*vm.name == name);
        let index = known.unwrap_or_else(|| {
            self.after.vms.push(Vm {
                name: name.into(),
                uuid: Some(format!("uuid of {name}").into()),
                ..Vm::default()
            });
            self.after.vms.len() - 1
        });
        &mut self.after.vms[index]
    }

    fn domain(&mut self, name: &str) -> &mut Domain {
        if let Fact::Unavailable(_) = self.facts.domains {
            self.facts.domains = Fact::Known(Vec::new());
        }
        let Fact::Known(domains) = &mut self.facts.domains else {
            unreachable!("it has just been set");
        };
        let known = domains.iter().position(|domain| domain.name == name);
        let index = known.unwrap_or_else(|| {
            domains.push(Domain {
                name: name.to_owned(),
                uuid: Some(format!("uuid of {name}")),
                ..Domain::default()
            });
            domains.len() - 1
        });
        &mut domains[index]
    }
}
