//! Where samples come from: this host or a recording.

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use crate::{
    collector::{Collector, Options},
    error::Error,
    model::{Model, usage::UsageHistory},
    record::{RecordError, Recorder, Replay},
    sample::Sample,
};

/// Samples, and the models made of each with the one before.
pub struct Source {
    origin: Origin,
    recorder: Option<Recorder>,
    previous: Option<Sample>,
    usage: UsageHistory,
    ended: bool,
}

enum Origin {
    Live {
        collector: Box<Collector>,
        interval: Duration,
        due: Instant,
    },
    Replay(Replay),
}

impl Source {
    /// Samples of this host, one every `interval`. The first is taken at once.
    pub async fn live(options: &Options, interval: Duration) -> Result<Self, Error> {
        let collector = Box::new(Collector::start(options).await?);
        Ok(Self::new(Origin::Live {
            collector,
            interval,
            due: Instant::now(),
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
            usage: UsageHistory::default(),
            ended: false,
        }
    }

    /// Writes every sample to a recording, too.
    pub fn record_to(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Whether samples come from a recording.
    pub fn is_replay(&self) -> bool {
        matches!(self.origin, Origin::Replay(_))
    }

    /// Whether stdout belongs to the recording.
    pub fn records_to_stdout(&self) -> bool {
        self.recorder.as_ref().is_some_and(Recorder::is_stdout)
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
                Some(sample) => sample,
                None => return Err(self.empty()),
            },
        };
        let Some(now) = self.sample().await? else {
            self.ended = true;
            return Ok(is_first.then(|| Model::with_usage(&before, None, &self.usage)));
        };
        let elapsed = Duration::from_nanos(now.monotonic_ns.saturating_sub(before.monotonic_ns));
        let model = Model::with_usage(&now, Some((&before, elapsed)), &self.usage);
        self.previous = Some(now);
        Ok(Some(model))
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

    async fn sample(&mut self) -> Result<Option<Sample>, Error> {
        let sample = match &mut self.origin {
            Origin::Live {
                collector,
                interval,
                due,
            } => {
                collector.follow_until(*due).await?;
                collector.refresh_stats(patience(*interval)).await?;
                let sample = collector.sample();
                // A late tick does not make the next ones come in a burst.
                *due = (*due + *interval).max(Instant::now());
                Some(sample)
            }
            Origin::Replay(replay) => replay.next_sample()?,
        };
        if let (Some(sample), Some(recorder)) = (&sample, &mut self.recorder) {
            recorder.write(sample)?;
        }
        if let Some(sample) = &sample {
            self.usage.advance(sample);
        }
        Ok(sample)
    }
}

/// How long a sample may wait for libvirt's answer. What comes later is in the
/// next one.
fn patience(interval: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5);
    (interval / 2).min(LONGEST)
}
