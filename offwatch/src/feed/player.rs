//! Plays a recording: at its pace or another, step by step, from any time on.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Command, Commands, Reel, Tick, Update, Updates, Wanted};
use crate::{error::Error, model::Model};

/// How many models before a jump are sent after it.
const PAST: usize = 120;
/// Pause where the recording does not tell one: between two runs, and until a
/// recording is looked at again for what was appended.
const GAP: Duration = Duration::from_secs(1);

pub(super) struct Player<'feed> {
    reel: Reel,
    wanted: Wanted,
    updates: &'feed Updates,
    playing: bool,
    speed: f64,
    shown: u64,
    shown_at: Instant,
    /// Time between the shown model and the next one, as recorded.
    gap: Duration,
    /// A file that ends is looked at again; that it ended is told once.
    told_end: bool,
}

impl<'feed> Player<'feed> {
    pub(super) fn new(reel: Reel, wanted: Wanted, updates: &'feed Updates) -> Self {
        Self {
            reel,
            wanted,
            updates,
            playing: true,
            speed: 1.0,
            shown: 0,
            shown_at: Instant::now(),
            gap: Duration::ZERO,
            told_end: false,
        }
    }

    /// Plays until the user ends it, or enough is shown.
    pub(super) async fn run(mut self, mut commands: Commands) -> Result<(), Error> {
        loop {
            let due = self.shown_at + self.gap.div_f64(self.speed);
            let command = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return Ok(()),
                },
                () = sleep_until(due), if self.playing => None,
            };
            let result = match command {
                None => self.next().await,
                Some(command) => self.obey(command, &commands).await,
            };
            match result {
                Ok(()) => {}
                // What is whole stays on the screen.
                Err(Error::Record(error)) if self.shown > 0 => {
                    self.playing = false;
                    self.tell(error.to_string()).await;
                }
                Err(error) => return Err(error),
            }
            if self.wanted.is_done(self.shown) {
                return Ok(());
            }
        }
    }

    async fn obey(&mut self, command: Command, commands: &Commands) -> Result<(), Error> {
        match command {
            Command::Now | Command::Interval(_) | Command::WantPcpus(_) => Ok(()),
            Command::Play(playing) => {
                self.playing = playing;
                self.shown_at = Instant::now();
                Ok(())
            }
            Command::Speed(speed) => {
                self.speed = speed;
                Ok(())
            }
            Command::Step(by) => {
                self.playing = false;
                self.told_end = false;
                match by {
                    1 => self.next().await,
                    by => match self.reel.stepped(by)? {
                        Some(number) => self.jump(number, commands).await,
                        None => Ok(()),
                    },
                }
            }
            Command::Jump(unix_ms) => {
                self.playing = false;
                let number = self.reel.at_time(unix_ms)?;
                self.jump(number, commands).await
            }
        }
    }

    async fn next(&mut self) -> Result<(), Error> {
        match self.reel.next().await? {
            Some(model) => {
                self.told_end = false;
                self.gap = match self.reel.gap_ms() {
                    Some(ms) => Duration::from_millis(ms),
                    // A pipe does not tell when the next one comes: as long as
                    // this one took.
                    None => model.interval_seconds.map_or(GAP, Duration::from_secs_f64),
                };
                self.show(model, false).await
            }
            None => {
                self.gap = GAP;
                self.shown_at = Instant::now();
                if !std::mem::replace(&mut self.told_end, true) {
                    let end = self.reel.end();
                    self.tell(end).await;
                }
                Ok(())
            }
        }
    }

    async fn jump(&mut self, number: usize, commands: &Commands) -> Result<(), Error> {
        let model = self.reel.go_to(number)?;
        self.gap = self.reel.gap_ms().map_or(GAP, Duration::from_millis);
        self.show(model, true).await?;
        let mut past = self.reel.past().take(PAST);
        // The user goes on: what was before can wait.
        while commands.is_empty() && !commands.is_closed() {
            let Some(mut model) = past.next() else { break };
            self.wanted.filter.apply(&mut model);
            let _ = self.updates.send(Ok(Update::Past(Box::new(model)))).await;
        }
        Ok(())
    }

    async fn show(&mut self, mut model: Model, jumped: bool) -> Result<(), Error> {
        if self.shown == 0 {
            self.wanted.filter.check(&model)?;
        }
        self.wanted.filter.apply(&mut model);
        self.shown += 1;
        self.shown_at = Instant::now();
        let tick = Tick {
            model,
            findings: self.reel.findings(),
            position: self.reel.position(),
            jumped,
        };
        // Nobody listens when the program ends; the commands will tell.
        let _ = self.updates.send(Ok(Update::Tick(Box::new(tick)))).await;
        Ok(())
    }

    async fn tell(&self, message: String) {
        let _ = self.updates.send(Ok(Update::Message(message))).await;
    }
}
