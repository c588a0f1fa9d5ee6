//! What systemd is told of a service, if it started one.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// Long enough to be never.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Tells systemd. Outside a service nothing is told to nobody.
#[derive(Debug)]
pub struct Service {
    /// Pause between two signs of life.
    pause: Duration,
    next_ping: Instant,
}

impl Service {
    /// By the environment that systemd has set.
    pub fn from_env() -> Self {
        // Twice within the time, as sd_watchdog_enabled(3) advises.
        let pause = sd_notify::watchdog_enabled().map_or(NEVER, |time| time / 2);
        Self {
            pause,
            next_ping: Instant::now() + pause,
        }
    }

    /// It works, or has read its policy again.
    pub(crate) fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// It is about to read its policy again.
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// It is about to end.
    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// When a sign of life is due.
    pub(crate) fn next_ping(&self) -> Instant {
        self.next_ping
    }

    /// Gives a sign of life if it is due.
    pub(crate) fn ping(&mut self) {
        if Instant::now() >= self.next_ping {
            tell(&[NotifyState::Watchdog]);
            self.next_ping = Instant::now() + self.pause;
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // A manager that does not listen is no reason to end.
    let _ = sd_notify::notify(states);
}
