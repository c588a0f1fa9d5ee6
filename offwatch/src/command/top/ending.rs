//! When `--end-time` ends a run.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use jiff::tz::TimeZone;

use crate::{
    clock::{monotonic_ns, wall_clock_ms},
    error::Error,
    sample::Sample,
    settings::{
        Settings,
        end_time::{Deadline, EndTime, Moment},
    },
};

/// virt-top's rule: the run ends where the end comes no later than the next
/// sample would, after waiting for it.
pub(super) struct Ending {
    end_time: Option<EndTime>,
    deadline: Option<Deadline>,
    interval: Duration,
    zone: TimeZone,
}

impl Ending {
    /// Counts from now, in a replay from its first sample. Tells the end on
    /// stderr.
    pub(super) fn new(
        settings: &Settings,
        is_replay: bool,
        zone: &TimeZone,
    ) -> Result<Self, Error> {
        let mut ending = Self {
            end_time: settings.end_time,
            deadline: None,
            interval: settings.interval,
            zone: zone.clone(),
        };
        if !is_replay {
            ending.start(Moment {
                monotonic_ns: monotonic_ns(),
                unix_ms: wall_clock_ms(),
            })?;
        }
        Ok(ending)
    }

    fn start(&mut self, start: Moment) -> Result<(), Error> {
        let Some(end_time) = self.end_time.take() else {
            return Ok(());
        };
        let deadline = end_time
            .deadline(start, &self.zone)
            .map_err(Error::EndTime)?;
        // Nothing can be done if stderr is closed.
        let _ = writeln!(io::stderr(), "end time (UTC): {}", deadline.in_utc(start));
        self.deadline = Some(deadline);
        Ok(())
    }

    /// If no more samples are to come after this one: the time that is left.
    pub(super) fn after(&mut self, sample: &Sample) -> Result<Option<Duration>, Error> {
        let now = Moment {
            monotonic_ns: sample.monotonic_ns,
            unix_ms: sample.time_unix_ms,
        };
        self.start(now)?;
        let left = self.deadline.map(|deadline| deadline.left(now));
        Ok(left.filter(|left| *left <= self.interval))
    }
}
