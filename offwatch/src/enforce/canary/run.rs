//! The run of a canary: measure, change, measure, judge; on, or all the way back.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Settings,
    conclusion::Conclusion,
    judge::{Evidence, judge},
    report::{Chosen, Report, Stage},
    stages::{Candidate, stages},
    watch::{Seen, Watch},
};
use crate::{
    cli::HookChoice,
    collector::{Options, Packets},
    enforce::{
        apply::{Outcome, Session, TakenBack, Verdict},
        error::EnforceError,
        journal::State,
    },
    measure::{Meter, Reading, Window, capture::MOST_INTERFACES},
    output::units,
    probe::ExactChoice,
    sample::{Interface, Kind, offloads::Fact},
};

/// Captured interfaces that are kept for those that are not changed.
const FEWEST_CONTROLS: usize = 8;

/// How a canary ended.
#[derive(Debug)]
pub struct Ran {
    /// What it tells.
    pub report: Report,
    /// What became of the changes.
    pub verdicts: Vec<Verdict>,
    /// What became of the commit.
    pub outcome: Fate,
}

/// What became of the commit.
#[derive(Debug)]
pub enum Fate {
    /// All is changed; it is to be confirmed.
    Stands,
    /// It was taken back.
    TakenBack(TakenBack),
    /// Somebody else settled it.
    Settled(State),
}

/// Why the run is over.
enum End {
    Concluded(Conclusion),
    TakenBack(Box<TakenBack>),
    Settled(State),
    Broken(EnforceError),
}

impl From<EnforceError> for End {
    fn from(error: EnforceError) -> Self {
        Self::Broken(error)
    }
}

/// Makes the changes of a session in stages. What does not pass is taken back here.
/// `connect` is libvirt's URI; `say` is told what goes on.
pub async fn run(
    session: &mut Session<'_>,
    settings: &Settings,
    connect: Option<String>,
    say: &mut dyn FnMut(&str),
) -> Result<Ran, EnforceError> {
    let mut run = Run {
        settings,
        others: Vec::new(),
        exposed: Vec::new(),
        verdicts: Vec::new(),
        report: Report::new(settings),
        say,
    };
    let end = match run.all(session, connect).await {
        Ok(()) => End::Concluded(Conclusion::Passed),
        Err(end) => end,
    };
    let outcome = match end {
        End::Concluded(Conclusion::Passed) => Fate::Stands,
        End::Concluded(conclusion) => {
            let because = conclusion.because().unwrap_or_default();
            let because = match &conclusion {
                Conclusion::Harm { .. } => format!("the canary shows harm: {because}"),
                Conclusion::NoVerdict { .. } => {
                    format!("the canary has no verdict, too little traffic: {because}")
                }
                _ => format!("the canary did not pass: {because}"),
            };
            run.report.conclusion = conclusion;
            match session.roll_back(&because)? {
                Some(taken_back) => Fate::TakenBack(taken_back),
                None => Fate::Settled(session.tend()?),
            }
        }
        End::TakenBack(taken_back) => {
            let because = taken_back.because.clone();
            run.report.conclusion = Conclusion::Failed { because };
            Fate::TakenBack(*taken_back)
        }
        End::Settled(state) => {
            let because = "somebody else settled it".into();
            run.report.conclusion = Conclusion::Failed { because };
            Fate::Settled(state)
        }
        End::Broken(error) => {
            session.roll_back(&format!("the canary could not go on: {error}"))?;
            return Err(error);
        }
    };
    Ok(Ran {
        report: run.report,
        verdicts: run.verdicts,
        outcome,
    })
}

struct Run<'r> {
    settings: &'r Settings,
    /// Interfaces like those that are to be changed, and those not yet changed.
    others: Vec<u32>,
    /// Those that are changed by now.
    exposed: Vec<Candidate>,
    verdicts: Vec<Verdict>,
    report: Report,
    say: &'r mut dyn FnMut(&str),
}

impl Run<'_> {
    async fn all(&mut self, session: &mut Session<'_>, connect: Option<String>) -> Result<(), End> {
        let options = Options {
            hooks: HookChoice::Auto.hooks(),
            // The kernel's own counters are enough.
            packets: Packets::Wanted,
            exact: ExactChoice::Auto,
            connect,
            bpf_log: false,
        };
        let meter = Meter::start(&options).await;
        let meter = meter.map_err(|error| failed(format!("nothing can be measured: {error}")))?;
        let mut watch = Watch::new(meter)?;
        let first = read(&mut watch, session, Duration::ZERO).await?;
        let mut candidates = candidates(session);
        self.others = alike(&first, &candidates);
        let capture = captured(&first, &candidates, &self.others);
        watch.capture(&capture).map_err(failed)?;
        let count = self.settings.windows;
        let length = self.settings.seconds;
        (self.say)(&format!(
            "measuring {count} windows of {length} s before the change"
        ));
        let mut before = self.windows(session, &mut watch, &candidates, None).await?;
        for candidate in &mut candidates {
            candidate.bytes_per_s = bytes_per_s(&before, candidate.ifindex);
        }
        let devs = candidates.iter().map(|it| it.dev.clone());
        self.report.not_changed = devs.collect();
        let Some(stages) = stages(&candidates, self.settings) else {
            return Err(End::Concluded(Conclusion::NoVerdict {
                because: idle(&candidates, self.settings),
            }));
        };
        self.report.canary = stages.first().and_then(|stage| chosen(stage, &candidates));
        let all = candidates.iter().map(|it| it.ifindex);
        self.others.extend(all);
        let mut is_first = true;
        for stage in stages {
            before = self
                .stage(session, &mut watch, &before, stage, is_first)
                .await?;
            is_first = false;
        }
        Ok(())
    }

    /// Changes the interfaces of a stage and judges it; the windows after it.
    async fn stage(
        &mut self,
        session: &mut Session<'_>,
        watch: &mut Watch,
        before: &[Window],
        stage: Vec<Candidate>,
        is_first: bool,
    ) -> Result<Vec<Window>, End> {
        let new: Vec<u32> = stage.iter().map(|it| it.ifindex).collect();
        let devs: Vec<String> = stage.iter().map(|it| it.dev.clone()).collect();
        let changes: Vec<usize> = stage.iter().map(|it| it.change).collect();
        self.others.retain(|ifindex| !new.contains(ifindex));
        self.report.not_changed.retain(|dev| !devs.contains(dev));
        (self.say)(&format!("changing {}", devs.join(", ")));
        self.report.stages.push(Stage {
            changed: devs,
            windows: 0,
            judgement: None,
        });
        self.exposed.extend(stage);
        let verdicts = apply(session, &changes)?;
        let refused = verdicts.iter().find_map(|verdict| {
            let refused = verdict.refused.as_ref()?;
            Some(format!("{}: {refused}", verdict.id.dev))
        });
        self.verdicts.extend(verdicts);
        if let Some(because) = refused {
            return Err(failed(because));
        }
        let exposed = self.exposed.clone();
        let stage = Changed {
            before,
            new: &new,
            is_first,
        };
        self.windows(session, watch, &exposed, Some(&stage)).await
    }

    /// As many windows as are wanted; those in which a guest negotiated are not
    /// among them. After a change they are judged as they come.
    async fn windows(
        &mut self,
        session: &mut Session<'_>,
        watch: &mut Watch,
        of: &[Candidate],
        changed: Option<&Changed<'_>>,
    ) -> Result<Vec<Window>, End> {
        let wanted = usize::try_from(self.settings.windows).unwrap_or(usize::MAX);
        let length = Duration::from_secs(self.settings.seconds.into());
        let settle = Duration::from_secs(self.settings.settle_seconds.into());
        let pause = |is_changed: bool| if is_changed { settle } else { Duration::ZERO };
        let mut windows: Vec<Window> = Vec::new();
        let mut last = read(watch, session, pause(changed.is_some())).await?;
        loop {
            let next = read(watch, session, length).await?;
            let window = Window::between(&last, &next);
            last = next;
            if let Some(dev) = negotiated(session, &window, of, changed.is_some()) {
                self.report.restarts += 1;
                if self.report.restarts > self.settings.restarts {
                    let times = self.settings.restarts;
                    return Err(failed(format!(
                        "features of {dev} were changed by its guest, or by somebody else, in \
                         more than {times} windows"
                    )));
                }
                (self.say)(&format!(
                    "features of {dev} changed meanwhile: measuring again"
                ));
                windows.clear();
                if changed.is_some() {
                    let again: Vec<usize> = of.iter().map(|it| it.change).collect();
                    apply(session, &again)?;
                }
                last = read(watch, session, pause(changed.is_some())).await?;
                continue;
            }
            windows.push(window);
            if let Some(changed) = changed {
                self.judge(changed, &windows, windows.len() == wanted)?;
            }
            if windows.len() == wanted {
                return Ok(windows);
            }
        }
    }

    /// Harm ends it at once; that there is none is known at the end.
    fn judge(
        &mut self,
        changed: &Changed<'_>,
        after: &[Window],
        is_whole: bool,
    ) -> Result<(), End> {
        let exposed: Vec<u32> = self.exposed.iter().map(|it| it.ifindex).collect();
        let evidence = Evidence {
            before: changed.before,
            after,
            exposed: &exposed,
            others: &self.others,
        };
        let judgement = judge(self.settings, &evidence);
        let conclusion = Conclusion::of(&judgement, changed.new, changed.is_first);
        if let Some(stage) = self.report.stages.last_mut() {
            stage.windows = after.len();
            stage.judgement = Some(judgement);
        }
        match conclusion {
            Conclusion::Passed => Ok(()),
            // A later window may tell more.
            Conclusion::NoVerdict { .. } | Conclusion::Failed { .. } if !is_whole => Ok(()),
            other => Err(End::Concluded(other)),
        }
    }
}

/// A stage that is changed.
struct Changed<'w> {
    before: &'w [Window],
    new: &'w [u32],
    is_first: bool,
}

fn failed(because: String) -> End {
    End::Concluded(Conclusion::Failed { because })
}

async fn read(
    watch: &mut Watch,
    session: &mut Session<'_>,
    after: Duration,
) -> Result<Reading, End> {
    match watch.read(session, after).await? {
        Seen::Reading(reading) => Ok(*reading),
        Seen::End(because) => Err(failed(because)),
        Seen::Settled(state) => Err(End::Settled(state)),
    }
}

fn apply(session: &mut Session<'_>, changes: &[usize]) -> Result<Vec<Verdict>, End> {
    match session.apply(changes)? {
        Outcome::Applied(verdicts) => Ok(verdicts),
        Outcome::TakenBack { taken_back, .. } => Err(End::TakenBack(Box::new(taken_back))),
    }
}

/// Interfaces of which something is to be sent.
fn candidates(session: &Session<'_>) -> Vec<Candidate> {
    let changes = session.changes().iter().enumerate();
    changes
        .filter(|(_, change)| !change.send.is_empty())
        .map(|(number, change)| Candidate {
            change: number,
            ifindex: change.id.ifindex,
            dev: change.id.dev.clone(),
            vm: change.owner.as_ref().map(|owner| {
                let uuid = owner.uuid.clone();
                uuid.unwrap_or_else(|| owner.vm.clone())
            }),
            bytes_per_s: 0.0,
        })
        .collect()
}

/// Other interfaces of the same kinds: a bridge is no control of a tap.
fn alike(reading: &Reading, candidates: &[Candidate]) -> Vec<u32> {
    let is_candidate = |it: &Interface| candidates.iter().any(|own| own.ifindex == it.ifindex);
    let all = || reading.sample.interfaces.iter();
    let kinds: Vec<&Kind> = all()
        .filter(|it| is_candidate(it))
        .map(|it| &it.kind)
        .collect();
    all()
        .filter(|it| !is_candidate(it) && kinds.contains(&&it.kind))
        .map(|it| it.ifindex)
        .collect()
}

/// Those to be captured, which are not many: the busiest so far.
fn captured(reading: &Reading, candidates: &[Candidate], others: &[u32]) -> Vec<u32> {
    let carried = |ifindex: &u32| {
        let mut all = reading.sample.interfaces.iter();
        let found = all.find(|it| it.ifindex == *ifindex);
        let counters = found.and_then(|it| it.kernel.known());
        counters.map_or(0, |kernel| kernel.rx_bytes + kernel.tx_bytes)
    };
    let busiest = |mut ifindexes: Vec<u32>| {
        ifindexes.sort_by_key(|ifindex| std::cmp::Reverse(carried(ifindex)));
        ifindexes
    };
    let own = busiest(candidates.iter().map(|it| it.ifindex).collect());
    let others = busiest(others.to_vec());
    let for_others = others.len().min(FEWEST_CONTROLS);
    let own = own.into_iter().take(MOST_INTERFACES - for_others);
    let mut captured: Vec<u32> = own.collect();
    let left = MOST_INTERFACES - captured.len();
    captured.extend(others.into_iter().take(left));
    captured
}

fn bytes_per_s(windows: &[Window], ifindex: u32) -> f64 {
    let (mut bytes, mut seconds) = (0, 0.0);
    for window in windows {
        if let Some(Fact::Known(figures)) = window.interfaces.get(&ifindex) {
            bytes += figures.bytes();
            seconds += window.seconds;
        }
    }
    match seconds > 0.0 {
        true => bytes as f64 / seconds,
        false => 0.0,
    }
}

/// Why there is no canary.
fn idle(candidates: &[Candidate], settings: &Settings) -> String {
    let rates = candidates.iter().map(|it| it.bytes_per_s);
    let most = rates.fold(0.0, f64::max);
    format!(
        "none of {} interfaces carries {:.0} bytes/s; the busiest one {most:.0}",
        candidates.len(),
        settings.floor_bytes_per_s
    )
}

fn chosen(stage: &[Candidate], all: &[Candidate]) -> Option<Chosen> {
    let first = stage.first()?;
    let bits = units::rate(Some(first.bytes_per_s * 8.0));
    let because = match all.len() {
        1 => format!("it is the only one; {bits}bit/s"),
        more => format!("of {more} interfaces it carries the most, {bits}bit/s: harm shows there"),
    };
    Some(Chosen {
        dev: first.dev.clone(),
        because,
    })
}

/// An interface whose features changed in a window, or are not as they were asked for.
fn negotiated(
    session: &mut Session<'_>,
    window: &Window,
    of: &[Candidate],
    is_changed: bool,
) -> Option<String> {
    let told: BTreeSet<u32> = window
        .interfaces
        .iter()
        .filter(|(_, figures)| {
            let figures = figures.known();
            let changes = figures.and_then(|it| it.features_changed.known().copied());
            changes.is_some_and(|changes| changes > 0)
        })
        .map(|(ifindex, _)| *ifindex)
        .collect();
    let mut all = of.iter();
    let found = all.find(|candidate| {
        told.contains(&candidate.ifindex) || is_changed && is_undone(session, candidate.change)
    });
    found.map(|candidate| candidate.dev.clone())
}

/// Not all that was asked for is still asked for. That the interface is gone is told
/// by its window. What was so before is not sent again either.
fn is_undone(session: &mut Session<'_>, change: usize) -> bool {
    let asked = session.changes()[change].asked;
    let sent = session.journalled(change);
    let now = session.features(change);
    now.is_ok_and(|now| !((now.wanted ^ asked.on) & asked.mask & sent).is_empty())
}
