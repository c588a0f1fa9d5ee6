//! The samples of a recording: in any order from a file, as they come from a pipe.

use std::{path::Path, sync::Arc};

use super::Position;
use crate::{
    advise::{Findings, Watch, watch::SHORTEST_WINDOW},
    error::Error,
    model::{Model, UsageHistory},
    record::{RecordError, Recording},
    sample::Sample,
    source::Source,
};

/// A recording to be played.
pub(super) enum Reel {
    File(Box<Tape>),
    Pipe(Box<Source>, Watch),
}

/// A recording in a file.
pub(super) struct Tape {
    recording: Recording,
    /// The sample that is shown.
    number: Option<usize>,
    /// The sample read last, with its number: the next one needs it.
    read: Option<(usize, Arc<Sample>)>,
    /// What VMs used until then.
    usage: UsageHistory,
    /// What `advise` would say.
    watch: Watch,
}

impl Reel {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // What has no length has no order: stdin, a named pipe.
        if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Ok(Self::Pipe(
                Box::new(Source::replay(path)?),
                Watch::default(),
            ));
        }
        let recording = Recording::open(path)?;
        if recording.is_empty() {
            let name = recording.name().to_owned();
            return Err(match recording.into_broken() {
                Some(error) => error.into(),
                None => RecordError::Empty { name }.into(),
            });
        }
        Ok(Self::File(Box::new(Tape {
            recording,
            number: None,
            read: None,
            usage: UsageHistory::default(),
            watch: Watch::default(),
        })))
    }

    fn tape(&mut self) -> Result<&mut Tape, Error> {
        match self {
            Self::File(tape) => Ok(tape),
            Self::Pipe(..) => Err(RecordError::Pipe.into()),
        }
    }

    /// Where the shown model is; `None` in a pipe.
    pub(super) fn position(&self) -> Option<Position> {
        let Self::File(tape) = self else { return None };
        Some(Position {
            number: tape.number?,
            count: tape.recording.len(),
        })
    }

    /// The next model; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Model>, Error> {
        match self {
            Self::Pipe(source, watch) => Ok(source.tick().await?.map(|tick| {
                tick.advance(watch);
                tick.model()
            })),
            Self::File(tape) => {
                let next = tape.number.map_or(0, |number| number + 1);
                // It may still be written.
                if next >= tape.recording.len() && !tape.recording.extend()? {
                    return Ok(None);
                }
                tape.go_to(next).map(Some)
            }
        }
    }

    /// The model of a sample of a file.
    pub(super) fn go_to(&mut self, number: usize) -> Result<Model, Error> {
        self.tape()?.go_to(number)
    }

    /// Which sample a command leads to; `None` if there is no other one.
    pub(super) fn stepped(&self, by: i64) -> Result<Option<usize>, Error> {
        let Some(Position { number, count }) = self.position() else {
            return Err(RecordError::Pipe.into());
        };
        let by = isize::try_from(by).unwrap_or(isize::MAX);
        let to = number.saturating_add_signed(by).min(count - 1);
        Ok((to != number).then_some(to))
    }

    /// The sample of a time.
    pub(super) fn at_time(&mut self, unix_ms: u64) -> Result<usize, Error> {
        Ok(self.tape()?.recording.at_time(unix_ms))
    }

    /// The models before the shown one, newest first, where a file has them.
    pub(super) fn past(&self) -> impl Iterator<Item = Model> + '_ {
        let tape = match self {
            Self::File(tape) => Some(tape),
            Self::Pipe(..) => None,
        };
        tape.into_iter().flat_map(|tape| tape.past())
    }

    /// What `advise` would say of the time before the shown model.
    pub(super) fn findings(&self) -> Option<Arc<Findings>> {
        let watch = match self {
            Self::File(tape) => &tape.watch,
            Self::Pipe(_, watch) => watch,
        };
        watch.findings().cloned()
    }

    /// Why there is no next model.
    pub(super) fn end(&self) -> String {
        let broken = match self {
            Self::File(tape) => tape.recording.broken(),
            Self::Pipe(..) => None,
        };
        broken.map_or_else(|| "end of the recording".into(), ToString::to_string)
    }

    /// Milliseconds from the shown sample to the next one in a file.
    pub(super) fn gap_ms(&self) -> Option<u64> {
        let Self::File(tape) = self else { return None };
        let (recording, number) = (&tape.recording, tape.number?);
        let next = recording.time_unix_ms(number + 1)?;
        let between = next.checked_sub(recording.time_unix_ms(number)?);
        between.filter(|_| recording.continues_run(number + 1))
    }
}

impl Tape {
    fn go_to(&mut self, number: usize) -> Result<Model, Error> {
        let recording = &self.recording;
        // Also if it cannot be read: the next step passes it.
        self.number = Some(number);
        let now = Arc::new(recording.sample(number)?);
        let before = number
            .checked_sub(1)
            .filter(|_| recording.continues_run(number));
        let read_last = self.read.take().filter(|read| Some(read.0) == before);
        let earlier = match (before, read_last) {
            (_, Some((_, sample))) => {
                self.usage.advance(&now);
                self.watch.advance(&now);
                Some(sample)
            }
            (before, None) => {
                let earlier = before.map(|before| recording.sample(before)).transpose()?;
                self.usage = UsageHistory::of(&now, earlier.as_ref());
                let first = self.window_start(number);
                let first = recording
                    .sample(first)
                    .map_or_else(|_| Arc::clone(&now), Arc::new);
                self.watch.begin(&first);
                self.watch.advance(&now);
                earlier.map(Arc::new)
            }
        };
        let earlier = earlier.map(|sample| {
            let interval = now.since(&sample);
            (sample, interval)
        });
        let model = Model::of(&now, earlier, &self.usage);
        self.read = Some((number, now));
        Ok(model)
    }

    /// Where a window begins that ends with a sample: it is as long as one must
    /// be, or as long as the run.
    fn window_start(&self, number: usize) -> usize {
        let recording = &self.recording;
        let time = |number| recording.time_unix_ms(number).unwrap_or_default();
        let is_short = |first| {
            let ms = time(number).saturating_sub(time(first));
            u128::from(ms) < SHORTEST_WINDOW.as_millis()
        };
        let mut first = number;
        while is_short(first) && recording.continues_run(first) {
            first -= 1;
        }
        first
    }

    fn past(&self) -> impl Iterator<Item = Model> + '_ {
        let recording = &self.recording;
        let mut later: Option<Sample> = None;
        let numbers = (0..self.number.unwrap_or(0)).rev();
        numbers.map_while(move |number| {
            let now = match later.take() {
                Some(sample) => sample,
                None => recording.sample(number).ok()?,
            };
            if recording.continues_run(number) {
                later = recording.sample(number - 1).ok();
            }
            let earlier = later.as_ref().map(|sample| (sample, now.since(sample)));
            Some(Model::new(&now, earlier))
        })
    }
}
