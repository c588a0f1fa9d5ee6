//! Where samples come from: this host or a recording.

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use crate::{
    collector::{Collector, Options},
    error::Error,
    model::Model,
    record::{RecordError, Recorder, Replay},
    sample::Sample,
};

/// Samples, and the models made of each with the one before.
pub struct Source {
    origin: Origin,
    recorder: Option<Recorder>,
    previous: Option<Sample>,
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

    /// The model of the next interval; `None` when a recording is at its end.
    /// Two samples make the first one, so every model has rates, except where
    /// a recording holds only one.
    pub async fn next(&mut self) -> Result<Option<Model>, Error> {
        let first = match self.previous.take() {
            Some(sample) => Some((sample, false)),
            None => self.sample().await?.map(|sample| (sample, true)),
        };
        let Some((before, is_first)) = first else {
            return self.end_of(true);
        };
        let Some(now) = self.sample().await? else {
            return if is_first {
                Ok(Some(Model::new(&before, None)))
            } else {
                Ok(None)
            };
        };
        let elapsed = Duration::from_nanos(now.monotonic_ns.saturating_sub(before.monotonic_ns));
        let model = Model::new(&now, Some((&before, elapsed)));
        self.previous = Some(now);
        Ok(Some(model))
    }

    fn end_of(&self, empty: bool) -> Result<Option<Model>, Error> {
        match &self.origin {
            Origin::Replay(replay) if empty => Err(RecordError::Empty {
                name: replay.name().to_owned(),
            }
            .into()),
            _ => Ok(None),
        }
    }

    async fn sample(&mut self) -> Result<Option<Sample>, Error> {
        let sample = match &mut self.origin {
            Origin::Live {
                collector,
                interval,
                due,
            } => {
                collector.follow_until(*due).await?;
                let sample = collector.sample();
                // A late tick does not make the next ones come in a burst.
                *due = Instant::now().max(*due) + *interval;
                Some(sample)
            }
            Origin::Replay(replay) => replay.next_sample()?,
        };
        if let (Some(sample), Some(recorder)) = (&sample, &mut self.recorder) {
            recorder.write(sample)?;
        }
        Ok(sample)
    }
}
