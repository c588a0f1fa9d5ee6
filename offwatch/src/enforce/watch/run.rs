//! The loop: the kernel's notifications, libvirt's and signals in, changes out.
//! It sleeps while nothing happens.

use std::{collections::HashMap, io, pin::Pin, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

use super::{
    bucket::Limit,
    contest::Evidence,
    reconciler::{Desired, Reconciler, Verdict},
    sources::{Event, Sources},
};
use crate::{
    enforce::{
        kernel::{Refusal, Request},
        target::Id,
    },
    error::Error,
    inventory::{features::Family, link::Link},
    sample::offloads::{FeatureSet, Features},
    service::Service,
};

/// Events that are taken up together, at most.
const TOGETHER: usize = 4096;
/// Features of more interfaces than that are listed rather than asked for.
const SINGLE_READINGS: usize = 16;

/// What a policy makes of the interfaces of this host.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Those that it speaks of.
    pub desired: Vec<Desired>,
    /// ifindex of each tap that nobody owns, as far as is known.
    pub unowned: Vec<u32>,
    /// Whether all VMs are known.
    pub vms_known: bool,
}

/// An interface that is to be changed.
#[derive(Clone, Debug)]
pub struct Drifted {
    /// Which one.
    pub id: Id,
    /// Its features now.
    pub before: Features,
    /// What is to be switched.
    pub request: Request,
}

/// What became of changes.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// Features of each interface then, by ifindex.
    pub now: Vec<(u32, Features)>,
    /// ifindex of those that must be let alone, as has been told.
    pub let_alone: Vec<u32>,
}

/// Policy, journal and kernel, as the loop needs them.
pub trait Keeper {
    /// Reads the policy again. The error is told, and the old one stays.
    fn reload(&mut self) -> Result<Limit, String>;

    /// Makes a plan. Taps are asked for by ifindex whether they became known after
    /// a time: what was told of VMs until then says nothing of them.
    fn plan(&mut self, is_younger: &dyn Fn(u32, Instant) -> bool) -> Result<Planned, Error>;

    /// Completes when something else is known of VMs than when the last plan was made.
    fn vms_changed(&self) -> Pin<Box<dyn Future<Output = ()>>>;

    /// Asks anew for VMs.
    fn refresh_vms(&mut self);

    /// Features of one interface.
    fn features(&mut self, id: &Id) -> Result<Features, Refusal>;

    /// Features of all interfaces.
    fn all_features(&mut self) -> io::Result<Vec<(u32, Features)>>;

    /// Changes interfaces, journalled, and tells of it. The error ends the loop.
    fn change(&mut self, drifted: Vec<Drifted>) -> Result<Changed, Error>;

    /// Tells that an interface is contested.
    fn contested(&mut self, id: &Id, evidence: &Evidence) -> Result<(), Error>;

    /// Tells an error that does not end the loop.
    fn complain(&self, problem: &str);
}

/// Keeps the policy applied until it is asked to end.
pub async fn run(
    keeper: &mut dyn Keeper,
    family: Option<Family>,
    negotiable: FeatureSet,
    limit: Limit,
    mut service: Service,
) -> Result<(), Error> {
    let caught = |kind| signal(kind).map_err(signals);
    let mut terminate = caught(SignalKind::terminate())?;
    let mut interrupt = caught(SignalKind::interrupt())?;
    let mut reload = caught(SignalKind::hangup())?;
    let mut watch = Watch {
        sources: Sources::open(family)?,
        reconciler: Reconciler::new(negotiable, limit, Duration::ZERO),
        started: Instant::now(),
        keeper,
    };
    watch.begin()?;
    service.ready();
    loop {
        let due = watch.started + watch.reconciler.next_due();
        let vms_changed = watch.keeper.vms_changed();
        tokio::select! {
            biased;
            () = asked_to_end(&mut terminate, &mut interrupt) => break,
            _ = reload.recv() => {
                service.reloading();
                watch.reload();
                service.ready();
            }
            // The plan takes it up.
            () = vms_changed, if !watch.reconciler.is_plan_due() => watch.reconciler.owners_changed(watch.now()),
            event = watch.sources.next() => {
                let event = event?;
                watch.take(event);
                watch.take_waiting()?;
            }
            () = sleep_until(due.min(service.next_ping())) => {}
        }
        watch.act()?;
        service.ping();
    }
    service.stopping();
    Ok(())
}

async fn asked_to_end(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn signals(source: io::Error) -> Error {
    Error::Io {
        what: "cannot catch signals".into(),
        source,
    }
}

struct Watch<'a> {
    sources: Sources,
    reconciler: Reconciler,
    started: Instant,
    keeper: &'a mut dyn Keeper,
}

impl Watch<'_> {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn take(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Features(ifindex, features) => {
                self.reconciler.notified(ifindex, features.as_ref(), now);
            }
            Event::Link(link) => {
                self.reconciler.link(&link, now);
                if self.sources.is_alone() {
                    self.reconciler.notified(link.ifindex, None, now);
                }
            }
            Event::Gone(ifindex) => self.reconciler.gone(ifindex),
            Event::Lost => self.reconciler.lost(now),
        }
    }

    /// Takes up what has happened already: what comes of it is done once.
    fn take_waiting(&mut self) -> Result<(), Error> {
        for _ in 0..TOGETHER {
            match self.sources.next().now_or_never() {
                Some(event) => self.take(event?),
                None => break,
            }
        }
        Ok(())
    }

    fn reload(&mut self) {
        match self.keeper.reload() {
            Ok(limit) => self.reconciler.policy_changed(limit, self.now()),
            Err(problem) => self.keeper.complain(&problem),
        }
    }

    /// Does what is due.
    fn act(&mut self) -> Result<(), Error> {
        let due = self.reconciler.due(self.now());
        if due.resync {
            let links: Vec<Link> = self.sources.list()?;
            self.reconciler.all_links(&links, self.now());
        }
        if due.search {
            self.keeper.refresh_vms();
        }
        let is_plan_due = due.plan || self.reconciler.due(self.now()).plan;
        if is_plan_due && let Err(error) = self.plan() {
            self.keeper.complain(&error.to_string());
        }
        let mut drifted = Vec::new();
        if due.resync {
            self.judge_all(&mut drifted)?;
        }
        self.look(&mut drifted)?;
        if !drifted.is_empty() {
            let changed = self.keeper.change(drifted)?;
            let now = self.now();
            for ifindex in changed.let_alone {
                self.reconciler.let_alone(ifindex);
            }
            for (ifindex, features) in changed.now {
                self.reconciler.notified(ifindex, Some(&features), now);
            }
        }
        Ok(())
    }

    /// Without a first plan there is nothing to keep.
    fn begin(&mut self) -> Result<(), Error> {
        let links = self.sources.list()?;
        self.reconciler.all_links(&links, self.now());
        self.reconciler.due(self.now());
        self.plan()?;
        self.reconciler.lost(self.now());
        self.act()
    }

    fn plan(&mut self) -> Result<(), Error> {
        let (reconciler, started) = (&self.reconciler, self.started);
        let is_younger = |ifindex, than: Instant| {
            reconciler.is_younger(ifindex, than.saturating_duration_since(started))
        };
        let planned = self.keeper.plan(&is_younger)?;
        let (unowned, vms_known) = (planned.unowned, planned.vms_known);
        let now = self.now();
        self.reconciler
            .adopt(planned.desired, &unowned, vms_known, now);
        Ok(())
    }

    fn judge_all(&mut self, drifted: &mut Vec<Drifted>) -> Result<(), Error> {
        match self.keeper.all_features() {
            Ok(all) => {
                for (ifindex, features) in all {
                    self.judge(ifindex, features, drifted)?;
                }
            }
            Err(error) => {
                let problem = format!("cannot list features of interfaces: {error}");
                self.keeper.complain(&problem);
            }
        }
        Ok(())
    }

    fn look(&mut self, drifted: &mut Vec<Drifted>) -> Result<(), Error> {
        let looks = self.reconciler.looks(self.now());
        if looks.len() > SINGLE_READINGS {
            let wanted: HashMap<u32, Id> = looks.into_iter().map(|id| (id.ifindex, id)).collect();
            let all = self.keeper.all_features().unwrap_or_default();
            let mut unread = wanted.clone();
            for (ifindex, features) in all {
                if unread.remove(&ifindex).is_some() {
                    self.judge(ifindex, features, drifted)?;
                }
            }
            unread
                .keys()
                .for_each(|ifindex| self.reconciler.unreadable(*ifindex));
            return Ok(());
        }
        for id in looks {
            match self.keeper.features(&id) {
                Ok(features) => self.judge(id.ifindex, features, drifted)?,
                Err(refusal) => {
                    self.reconciler.unreadable(id.ifindex);
                    // Of one that is gone, or has another name, a notification tells.
                    if !matches!(refusal, Refusal::Gone(_)) {
                        let problem = format!("{}: cannot read its features: {refusal}", id.dev);
                        self.keeper.complain(&problem);
                    }
                }
            }
        }
        Ok(())
    }

    fn judge(
        &mut self,
        ifindex: u32,
        before: Features,
        drifted: &mut Vec<Drifted>,
    ) -> Result<(), Error> {
        let verdict = self.reconciler.judge(ifindex, &before, self.now());
        let Some((id, _)) = self.reconciler.port(ifindex) else {
            return Ok(());
        };
        match verdict {
            Verdict::Holds => {}
            Verdict::Change(request) => drifted.push(Drifted {
                id: id.clone(),
                before,
                request,
            }),
            Verdict::Contested(evidence) => self.keeper.contested(id, &evidence)?,
        }
        Ok(())
    }
}
