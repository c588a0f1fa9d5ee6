//! Measures while a commit stands, and sees when it does not.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::{
    enforce::{apply::Session, error::EnforceError, journal::State},
    measure::{Meter, Reading},
};

/// How often one looks whether the watchdog lives.
const TEND: Duration = Duration::from_secs(1);

/// Reads the host, and is told when to stop.
pub(super) struct Watch {
    meter: Meter,
    interrupt: Signal,
    terminate: Signal,
}

/// What came of waiting for a reading.
pub(super) enum Seen {
    /// The reading.
    Reading(Box<Reading>),
    /// It is to end, because.
    End(String),
    /// Somebody else settled the commit.
    Settled(State),
}

impl Watch {
    pub(super) fn new(meter: Meter) -> Result<Self, EnforceError> {
        let on = |kind| signal(kind).map_err(EnforceError::Wait);
        Ok(Self {
            meter,
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    /// Captures TCP at these interfaces; why not, if it cannot.
    pub(super) fn capture(&mut self, ifindexes: &[u32]) -> Result<(), String> {
        let captured = self.meter.capture(ifindexes);
        captured.map_err(|error| error.to_string())
    }

    /// Reads everything after so long.
    pub(super) async fn read(
        &mut self,
        session: &mut Session<'_>,
        after: Duration,
    ) -> Result<Seen, EnforceError> {
        let mut reading = std::pin::pin!(self.meter.read(after));
        loop {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => return Ok(Seen::End("it was interrupted".into())),
                _ = self.terminate.recv() => return Ok(Seen::End("it was terminated".into())),
                read = &mut reading => return Ok(match read {
                    Ok(reading) => Seen::Reading(Box::new(reading)),
                    Err(error) => Seen::End(format!("the host could not be measured: {error}")),
                }),
                () = sleep(TEND) => {
                    let state = session.tend()?;
                    if state.is_settled() {
                        return Ok(Seen::Settled(state));
                    }
                }
            }
        }
    }
}
