//! Where samples come from: this host or a recording.

mod gathering;
mod pace;

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep, timeout},
};

use crate::{
    advise::Watch,
    collector::{Collector, Options},
    error::Error,
    facts::Facts,
    model::{Model, usage::UsageHistory},
    record::{RecordError, Recorder, Replay, Replayed},
    sample::Sample,
};

pub use self::pace::Command;
use self::{gathering::Gathering, pace::Pace};

/// Samples, and the models made of each with the one before.
pub struct Source {
    origin: Origin,
    recorder: Option<Recorder>,
    previous: Option<Arc<Sample>>,
    /// The sample before that one, of [`Self::tick`].
    before: Option<Arc<Sample>>,
    usage: UsageHistory,
    ended: bool,
    /// Samples do not wait for libvirt's answer.
    is_impatient: bool,
    /// What it took to read the last sample.
    took: Duration,
}

/// A sample, with what its figures are made of.
#[derive(Clone, Copy)]
pub struct Tick<'a> {
    /// The sample.
    pub sample: &'a Arc<Sample>,
    /// What VMs used until then.
    pub usage: &'a UsageHistory,
    earlier: Option<&'a Arc<Sample>>,
}

impl Tick<'_> {
    /// It is not the first one.
    pub fn has_rates(&self) -> bool {
        self.earlier.is_some()
    }

    /// The model of the interval that ends here.
    pub fn model(&self) -> Model {
        let earlier = self
            .earlier
            .map(|earlier| (Arc::clone(earlier), self.sample.since(earlier)));
        Model::of(self.sample, earlier, self.usage)
    }

    /// Shows the sample to a watch; whether there was an evaluation.
    pub fn advance(&self, watch: &mut Watch) -> bool {
        if self.has_rates() {
            return watch.advance(self.sample);
        }
        watch.begin(self.sample);
        false
    }
}

enum Origin {
    Live {
        collector: Box<Collector>,
        pace: Pace,
        gathering: Gathering,
    },
    Replay(Replay),
}

impl Source {
    /// Samples of this host, one every `interval`. The first is taken at once.
    pub async fn live(options: &Options, interval: Duration) -> Result<Self, Error> {
        let collector = Box::new(Collector::start(options).await?);
        Ok(Self::new(Origin::Live {
            collector,
            pace: Pace::new(interval),
            gathering: Gathering::default(),
        }))
    }

    /// Samples of a recording.
    pub fn replay(path: &Path) -> Result<Self, Error> {
        Ok(Self::new(Origin::Replay(Replay::open(path)?)))
    }

    fn new(origin: Origin) -> Self {
        Self {
            origin,
            recorder: None,
            previous: None,
            before: None,
            usage: UsageHistory::default(),
            ended: false,
            is_impatient: false,
            took: Duration::ZERO,
        }
    }

    /// Has samples take what libvirt told last: it is asked for new statistics with
    /// each, and what it answers is in the next one.
    pub fn never_wait(&mut self) {
        self.is_impatient = true;
    }

    /// What it took to read the last sample, without any wait.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// How this host is set up now; none of a recording.
    pub fn facts(&mut self) -> Option<Facts> {
        match &mut self.origin {
            Origin::Live { collector, .. } => Some(collector.facts()),
            Origin::Replay(_) => None,
        }
    }

    /// Lets go of the samples that were returned last: there is no model of the next
    /// one, and they are large on a large host.
    pub fn forget(&mut self) {
        self.previous = None;
        self.before = None;
    }

    /// Writes every sample to a recording, too. The next one tells how the host
    /// is set up, and so do some after interfaces have changed.
    pub fn record_to(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
        self.want_facts();
    }

    /// Has the next sample of this host tell how the host is set up. A
    /// recording holds that with some of its samples, or with none.
    pub fn want_facts(&mut self) {
        if let Origin::Live { gathering, .. } = &mut self.origin {
            gathering.wanted = true;
        }
    }

    /// Has samples of this host taken as the user asks; they end with the
    /// commands.
    pub fn obey(&mut self, to: UnboundedReceiver<Command>) {
        if let Origin::Live { pace, .. } = &mut self.origin {
            pace.commands = Some(to);
        }
    }

    /// Whether samples come from a recording.
    pub fn is_replay(&self) -> bool {
        matches!(self.origin, Origin::Replay(_))
    }

    /// The model of the next interval; `None` when a recording is at its end.
    /// Two samples make the first one, so every model has rates, except where
    /// a recording holds only one.
    pub async fn next(&mut self) -> Result<Option<Model>, Error> {
        let is_first = self.previous.is_none();
        if self.ended {
            return Ok(None);
        }
        let before = match self.previous.take() {
            Some(sample) => sample,
            None => match self.sample().await? {
                Some(first) => Arc::new(first.sample),
                None if !self.is_replay() => return Ok(None),
                None => return Err(self.empty()),
            },
        };
        let Some(Replayed { sample, starts_run }) = self.sample().await? else {
            self.ended = true;
            return Ok(is_first.then(|| Model::of(&before, None, &self.usage)));
        };
        let sample = Arc::new(sample);
        let interval = sample.since(&before);
        let earlier = (!starts_run).then_some((before, interval));
        let model = Model::of(&sample, earlier, &self.usage);
        self.previous = Some(sample);
        Ok(Some(model))
    }

    /// The next sample, the first one included; `None` when a recording is at
    /// its end. Not to be mixed with [`Self::next`].
    pub async fn tick(&mut self) -> Result<Option<Tick<'_>>, Error> {
        // Not needed any more, and large on a large host.
        self.before = None;
        let Some(Replayed { sample, starts_run }) = self.sample().await? else {
            return match self.previous {
                None if self.is_replay() => Err(self.empty()),
                _ => Ok(None),
            };
        };
        let previous = self.previous.replace(Arc::new(sample));
        self.before = previous.filter(|_| !starts_run);
        Ok(self.last())
    }

    /// What [`Self::tick`] returned last.
    pub fn last(&self) -> Option<Tick<'_>> {
        Some(Tick {
            sample: self.previous.as_ref()?,
            usage: &self.usage,
            earlier: self.before.as_ref(),
        })
    }

    /// Follows what happens to the interfaces of this host for so long, without a
    /// sample.
    pub async fn follow(&mut self, time: Duration) -> Result<(), Error> {
        match &mut self.origin {
            Origin::Live { collector, .. } => collector.follow_until(sleep(time)).await,
            Origin::Replay(_) => {
                sleep(time).await;
                Ok(())
            }
        }
    }

    /// Whether samples are to tell what each VM uses of each physical CPU.
    pub fn want_pcpus(&self, wanted: bool) {
        if let Origin::Live { collector, .. } = &self.origin {
            collector.want_pcpus(wanted);
        }
    }

    fn empty(&self) -> Error {
        let name = match &self.origin {
            Origin::Replay(replay) => replay.name(),
            Origin::Live { .. } => "this host",
        };
        RecordError::Empty {
            name: name.to_owned(),
        }
        .into()
    }

    async fn sample(&mut self) -> Result<Option<Replayed>, Error> {
        let next = match &mut self.origin {
            Origin::Live {
                collector,
                pace,
                gathering,
            } => {
                if !collector.follow_until(pace.due()).await? {
                    return Ok(None);
                }
                if let Some(wanted) = pace.want_pcpus.take() {
                    collector.want_pcpus(wanted);
                }
                let answer = collector.refresh_stats();
                if !self.is_impatient {
                    let answer = timeout(patience(pace.interval), answer);
                    // Without an answer the last one stays.
                    let _ = collector.follow_until(answer).await?;
                }
                let began = Instant::now();
                let mut sample = collector.sample();
                self.took = began.elapsed();
                let changes = collector.changes();
                let is_recorded = self.recorder.is_some();
                if gathering.is_due(is_recorded, changes, Instant::now()) {
                    let facts = collector.facts();
                    let took = Duration::from_nanos(facts.took_ns);
                    gathering.done(changes, took, Instant::now());
                    sample.facts = Some(Arc::new(facts));
                }
                pace.advance(Instant::now());
                Some(Replayed {
                    sample,
                    starts_run: false,
                })
            }
            Origin::Replay(replay) => replay.next_sample()?,
        };
        if let (Some(next), Some(recorder)) = (&next, &mut self.recorder) {
            recorder.write(&next.sample, next.starts_run)?;
        }
        if let Some(next) = &next {
            if next.starts_run {
                self.usage = UsageHistory::default();
            }
            self.usage.advance(&next.sample);
        }
        Ok(next)
    }
}

/// How long a sample may wait for libvirt's answer. What comes later is in the
/// next one.
fn patience(interval: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5);
    (interval / 2).min(LONGEST)
}
