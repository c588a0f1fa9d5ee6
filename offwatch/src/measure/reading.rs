//! Everything that a window is made of, read at one moment.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::sleep,
};

use super::{
    capture::{Capture, Captured},
    cpu::{CpuReading, CpuTimes},
};
use crate::{
    collector::Options,
    error::Error,
    sample::Sample,
    source::{Command, Source},
};

/// Samples are taken when they are asked for, not at this pace.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What was read at one moment.
#[derive(Clone)]
pub struct Reading {
    /// The sample.
    pub sample: Arc<Sample>,
    /// TCP that was captured, by ifindex; or why none was.
    pub captured: HashMap<u32, Result<Captured, Arc<str>>>,
    /// CPU time of the host, or why it is not known.
    pub cpu: Result<CpuTimes, String>,
}

/// Reads this network namespace.
pub struct Meter {
    source: Source,
    commands: UnboundedSender<Command>,
    capture: Option<Capture>,
    captured: Vec<u32>,
}

impl Meter {
    /// Begins to observe.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let mut source = Source::live(options, NEVER).await?;
        let (commands, to) = unbounded_channel();
        source.obey(to);
        // The first one is taken at once, whatever is asked.
        source.tick().await?;
        Ok(Self {
            source,
            commands,
            capture: None,
            captured: Vec::new(),
        })
    }

    /// Captures TCP at these interfaces from now on, and at no others.
    pub fn capture(&mut self, ifindexes: &[u32]) -> Result<(), Error> {
        let cannot = |source| Error::Io {
            what: "cannot start to capture".into(),
            source,
        };
        self.capture = Some(Capture::start(ifindexes.iter().copied()).map_err(cannot)?);
        self.captured = ifindexes.to_vec();
        Ok(())
    }

    /// Reads everything, after so long; what happens to interfaces is followed
    /// meanwhile.
    pub async fn read(&mut self, after: Duration) -> Result<Reading, Error> {
        let commands = &self.commands;
        let ask = async {
            sleep(after).await;
            // The source, which has the other end, lives as long as this.
            let _ = commands.send(Command::Now);
        };
        let (tick, ()) = tokio::join!(self.source.tick(), ask);
        let sample = Arc::clone(tick?.ok_or(Error::Closed)?.sample);
        Ok(Reading {
            sample,
            captured: self.captured(),
            cpu: CpuReading::now(Path::new("/proc")).map(|now| now.times),
        })
    }
    /// Follows what happens to interfaces for so long, and reads nothing.
    pub async fn follow(&mut self, time: Duration) -> Result<(), Error> {
        self.source.follow(time).await
    }

    /// Keeps what passes until now apart in the capture, see [`Capture::mark`].
    pub fn mark(&mut self) {
        if let Some(capture) = &mut self.capture {
            capture.mark();
        }
    }

    /// What was captured by the last mark, of each interface, and whether that is
    /// certain, see [`Capture::read_marked`].
    pub fn marked(&mut self) -> HashMap<u32, Result<(Captured, bool), Arc<str>>> {
        let Some(capture) = &mut self.capture else {
            return HashMap::new();
        };
        let each = self.captured.iter();
        each.map(|ifindex| (*ifindex, capture.read_marked(*ifindex)))
            .collect()
    }

    fn captured(&mut self) -> HashMap<u32, Result<Captured, Arc<str>>> {
        let Some(capture) = &mut self.capture else {
            return HashMap::new();
        };
        let each = self.captured.iter();
        each.map(|ifindex| (*ifindex, capture.read(*ifindex)))
            .collect()
    }
}
