//! What a trial is about, and what it works with.

use std::collections::BTreeMap;

use super::told;
use crate::{
    cli::{
        HookChoice,
        trial::{Features, TrialArgs},
    },
    collector::{Options, Packets},
    enforce::{
        apply::{Enforcer, Settings},
        error::EnforceError,
        gather::{Gatherer, Needs},
        kernel::{self, Kernel},
        target::{Id, Targets},
    },
    error::Error,
    measure::{Meter, Reading},
    probe::ExactChoice,
    sample::Kind,
    trial::{
        error::TrialError,
        gauge::Gauge,
        guard::LogGuard,
        load::Load,
        login,
        outcome::{Subject, TrialHost},
        plan::{self, Planned},
        run::Signals,
    },
};

/// What may change interfaces, and which they are.
pub(super) struct Hands {
    /// None where nothing is to be changed.
    pub(super) enforcer: Option<Enforcer>,
    pub(super) targets: Targets,
    pub(super) subject: Subject,
    pub(super) ids: Vec<Id>,
}

impl Hands {
    /// Chooses the interfaces, and takes the lock if they are to be changed.
    pub(super) fn open(args: &TrialArgs) -> Result<Self, Error> {
        let mut enforcer = None;
        let targets = match args.no_change {
            true => gathered(args, &mut *kernel()?)?,
            false => {
                let settings = Settings::new(&args.state_dir);
                let (mut opened, recovered) = Enforcer::open(kernel()?, settings)?;
                for before in &recovered.taken_back {
                    told::aside(&before.line());
                }
                opened.prepare_watchdog();
                let targets = gathered(args, opened.kernel())?;
                enforcer = Some(opened);
                targets
            }
        };
        let (subject, ids) = plan::subject(&targets, args.vm.as_deref(), args.dev.as_deref())?;
        if !args.own_session && !args.no_change {
            let ifindexes: Vec<u32> = subject.devs.values().copied().collect();
            login::check(&ifindexes)?;
        }
        Ok(Self {
            enforcer,
            targets,
            subject,
            ids,
        })
    }

    /// Plans a change, if there is to be one.
    pub(super) fn plan(&mut self, set: Option<&Features>) -> Result<Option<Planned>, Error> {
        let planned = set.map(|set| plan::plan(&self.targets, &self.ids, set));
        Ok(planned.transpose()?)
    }
}

fn gathered(args: &TrialArgs, kernel: &mut dyn Kernel) -> Result<Targets, Error> {
    let mut gatherer = Gatherer::new(args.connect.clone());
    let needs = |_: &Targets| Needs {
        drivers: false,
        owners: true,
    };
    let targets = gatherer.targets(kernel, needs);
    targets.map_err(|error| Error::Gather(Box::new(error)))
}

/// The way to this kernel's features.
pub(super) fn kernel() -> Result<Box<dyn Kernel>, Error> {
    let opened = kernel::open().map_err(EnforceError::Features)?;
    Ok(opened)
}

/// What measures, and what ends a trial.
pub(super) struct Bench {
    pub(super) gauge: Gauge,
    pub(super) signals: Signals,
    pub(super) load: Option<Load>,
    pub(super) log: Option<LogGuard>,
    pub(super) host: TrialHost,
    pub(super) notes: Vec<String>,
}

impl Bench {
    /// Begins to observe.
    pub(super) async fn start(args: &TrialArgs, hands: &Hands) -> Result<Self, Error> {
        let cannot = |error: std::io::Error| TrialError::Start(error.to_string());
        let signals = Signals::catch().map_err(cannot)?;
        let subject = &hands.subject;
        let load = match (args.load, subject.devs.values().next()) {
            (Some(to), Some(ifindex)) => {
                let vm = subject.vm.as_deref();
                Some(Load::start(to, args.load_rate, *ifindex, vm)?)
            }
            _ => None,
        };
        let options = Options {
            hooks: HookChoice::Auto.hooks(),
            // The kernel's own counters are enough.
            packets: Packets::Wanted,
            exact: ExactChoice::Auto,
            connect: args.connect.clone(),
            bpf_log: false,
        };
        let mut meter = Meter::start(&options).await?;
        let ifindexes: Vec<u32> = subject.devs.values().copied().collect();
        meter.capture(&ifindexes)?;
        let mut gauge = Gauge::new(meter, ifindexes)?;
        let first = gauge.read().await?.reading;
        let mut notes = noted(&first, &subject.devs);
        let log = match LogGuard::open(subject.devs.keys().cloned().collect()) {
            Ok(log) => Some(log),
            Err(because) => {
                notes.push(format!(
                    "a warning of the kernel would not end the trial: {because}"
                ));
                None
            }
        };
        if let Some(pid) = pid(&first, subject) {
            gauge.of_vm(pid);
        }
        if load.is_some() {
            gauge.with_load();
        }
        let host = &first.sample.host;
        Ok(Self {
            gauge,
            signals,
            load,
            log,
            host: TrialHost {
                name: host.name.clone(),
                kernel: host.kernel.clone(),
                online_cpus: host.online_cpus,
                netns: host.netns,
            },
            notes,
        })
    }
}

fn pid(reading: &Reading, subject: &Subject) -> Option<u32> {
    let mut vms = reading.sample.vms.iter();
    let found = vms.find(|vm| match &subject.vm_uuid {
        Some(uuid) => vm.uuid.as_deref() == Some(uuid),
        None => Some(&*vm.name) == subject.vm.as_deref(),
    })?;
    found.pid
}

/// What the user should know about what is measured.
fn noted(reading: &Reading, devs: &BTreeMap<String, u32>) -> Vec<String> {
    let mut notes = reading.sample.host.notes.clone();
    for found in &reading.sample.interfaces {
        let is_measured = devs.values().any(|ifindex| *ifindex == found.ifindex);
        if is_measured && found.kind != Kind::Tap {
            notes.push(format!(
                "{} is no tap: to the guest is what the host sends by it, from the guest what \
                 it receives",
                found.dev
            ));
        }
    }
    notes
}
