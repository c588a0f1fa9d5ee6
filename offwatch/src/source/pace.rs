//! When samples of this host are taken, and what the user asks of them.

use std::time::Duration;

use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until},
};

/// What the user of the screen asks of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Sample now.
    Now,
    /// Another time between samples.
    Interval(Duration),
    /// Whether samples are to tell what each VM uses of each physical CPU.
    WantPcpus(bool),
    /// Play a recording, or hold it.
    Play(bool),
    /// So many samples of a recording forwards or backwards, and hold.
    Step(i64),
    /// To the sample of a time, milliseconds since the Unix epoch, and hold.
    Jump(u64),
    /// Play a recording so many times as fast as it was made.
    Speed(f64),
}

/// When samples of this host are taken.
pub(super) struct Pace {
    pub(super) interval: Duration,
    pub(super) due: Instant,
    pub(super) commands: Option<UnboundedReceiver<Command>>,
    /// Asked for since the last sample.
    pub(super) want_pcpus: Option<bool>,
}

impl Pace {
    /// The first sample is due now.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            due: Instant::now(),
            commands: None,
            want_pcpus: None,
        }
    }

    /// Sets when the sample after one is due that was taken by `now`. Lateness
    /// is made up for; one of a whole interval, as of a stopped process, is not:
    /// an interval of next to nothing has rates of next to anything.
    pub(super) fn advance(&mut self, now: Instant) {
        let next = self.due + self.interval;
        self.due = match next < now + self.interval / 4 {
            true => now + self.interval,
            false => next,
        };
    }

    /// Completes when the next sample is due; false when there is to be none.
    pub(super) async fn due(&mut self) -> bool {
        loop {
            let Some(commands) = &mut self.commands else {
                sleep_until(self.due).await;
                return true;
            };
            let command = tokio::select! {
                () = sleep_until(self.due) => return true,
                command = commands.recv() => command,
            };
            match command {
                None => return false,
                Some(Command::Now) => {
                    self.due = Instant::now();
                    return true;
                }
                Some(Command::Interval(interval)) => {
                    // Counted from the sample before, as if it had always been so.
                    let before = self.due.checked_sub(self.interval);
                    self.due = before.map_or(self.due, |before| before + interval);
                    self.interval = interval;
                }
                Some(Command::WantPcpus(wanted)) => self.want_pcpus = Some(wanted),
                // Only a recording can be played.
                Some(
                    Command::Play(_) | Command::Step(_) | Command::Jump(_) | Command::Speed(_),
                ) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_and_intervals_are_never_short() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let due = |late: Duration| {
            let mut pace = Pace::new(second);
            pace.due = start;
            pace.advance(start + late);
            pace.due - start
        };
        assert_eq!(due(Duration::ZERO), second);
        assert_eq!(due(second / 2), second);
        assert_eq!(due(second * 9 / 10), second * 19 / 10);
        assert_eq!(due(second * 3), second * 4);
    }
}
