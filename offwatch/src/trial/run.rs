//! The run of a trial: period after period, the change made and taken back in turn.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use super::{
    Forecast, Period, Settings, Side,
    gauge::{Gauge, Moment},
    guard::{LogGuard, Loss, LossGuard},
    judge,
    load::Load,
    measured, report, schedule,
    switch::{Stop, Switch},
};
use crate::{
    advise,
    error::Error,
    sample::offloads::{FeatureNames, Features},
};

/// How often one looks whether all is well.
const LOOK: Duration = Duration::from_secs(1);

/// Signals that end a trial.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on they are waited for.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them.
    pub async fn any(&mut self) -> Stop {
        let because = tokio::select! {
            _ = self.interrupt.recv() => "it was interrupted",
            _ = self.terminate.recv() => "it was terminated",
            _ = self.hang_up.recv() => "its terminal hung up",
        };
        Stop::Aborted(because.into())
    }
}

/// What is told to the cost model.
pub struct Foretold {
    /// Interfaces that change.
    pub ifindexes: Vec<u32>,
    /// Their features without the change.
    pub before: Features,
    /// With it.
    pub after: Features,
    /// How the kernel calls features.
    pub names: FeatureNames,
}

/// What a run takes.
pub struct Run<'r, 's, 'e> {
    /// How it is run.
    pub settings: &'r Settings,
    /// What reads.
    pub gauge: &'r mut Gauge,
    /// What is switched.
    pub switch: Switch<'s, 'e>,
    /// Signals that end it.
    pub signals: &'r mut Signals,
    /// The load of its own, if there is one.
    pub load: Option<&'r Load>,
    /// The kernel's log, if it can be read.
    pub log: Option<&'r mut LogGuard>,
    /// What is to be forecast, if anything.
    pub foretold: Option<Foretold>,
    /// Is told how far it is.
    pub progress: &'r mut dyn FnMut(&str),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Ran {
    /// What was measured.
    pub periods: Vec<Period>,
    /// What was forecast, from each period without the change.
    pub forecasts: Vec<Forecast>,
    /// Why it was ended before, if so.
    pub stopped: Option<Stop>,
}

impl Run<'_, '_, '_> {
    /// Measures all rounds, or as many as can be; and tells which features changed with
    /// those that were asked for. The change may still be made afterwards.
    pub async fn all(mut self) -> (Ran, BTreeMap<String, bool>) {
        let mut ran = Ran::default();
        let ended = self.rounds(&mut ran).await;
        ran.stopped = ended.err();
        (ran, self.switch.also().clone())
    }

    async fn rounds(&mut self, ran: &mut Ran) -> Result<(), Stop> {
        let mut loss = LossGuard::new(
            self.settings.max_loss_percent,
            self.settings.floor_bytes_per_s,
        );
        let changes = self.switch.changes();
        let order: Vec<(u32, Side)> = schedule::order(self.settings.rounds).collect();
        let mut last = None;
        let mut effects = Vec::new();
        for (index, place) in order.iter().enumerate() {
            let (_, side) = *place;
            let left = &order[index..];
            let is_switched = self.switch.to(side)?;
            let done = u32::try_from(index / 2).unwrap_or(u32::MAX);
            let left_s = self.seconds(left);
            (self.progress)(&report::progress(
                done,
                self.settings.rounds,
                side,
                left_s,
                &effects,
            ));
            if is_switched {
                self.wait(Duration::from_secs_f64(self.settings.settle_seconds))
                    .await?;
            }
            let begin = match last.take() {
                Some(last) if !is_switched => last,
                _ => self.read().await?,
            };
            let end = self.period(side, &begin, &loss).await?;
            let period = measured::period(*place, &begin, &end).map_err(Stop::Aborted)?;
            if side == Side::Without {
                ran.forecasts.extend(self.forecast(&begin, &end, &period));
            }
            ran.periods.push(period);
            let rate = measured::rate(&begin.counts, &end.counts);
            match (side, rate) {
                (Side::Without, Some(rate)) => loss.without(rate),
                (Side::With, Some(rate)) if changes => stop(loss.with(rate))?,
                _ => {}
            }
            if index % 2 == 1 {
                effects = judge::effects(&ran.periods, self.settings);
            }
            last = Some(end);
        }
        Ok(())
    }

    /// Waits for the end of a period, and reads it.
    async fn period(
        &mut self,
        side: Side,
        begin: &Moment,
        loss: &LossGuard,
    ) -> Result<Moment, Stop> {
        let until = begin.at + Duration::from_secs_f64(self.settings.seconds);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left <= LOOK {
                self.follow(left).await?;
                break;
            }
            self.follow(LOOK).await?;
            self.look()?;
            if side == Side::With && self.switch.changes() {
                let now = self.gauge.glance().await.map_err(unmeasured)?;
                let seconds = begin.at.elapsed().as_secs_f64();
                let rate = measured::rate(&begin.counts, &now);
                stop(rate.and_then(|rate| loss.so_far(rate, seconds)))?;
            }
        }
        self.read().await
    }

    /// Waits outside of a period.
    async fn wait(&mut self, time: Duration) -> Result<(), Stop> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.follow(left.min(LOOK)).await?;
            self.look()?;
            if left <= LOOK {
                return Ok(());
            }
        }
    }

    async fn follow(&mut self, time: Duration) -> Result<(), Stop> {
        tokio::select! {
            biased;
            stop = self.signals.any() => Err(stop),
            followed = self.gauge.meter.follow(time) => followed.map_err(unmeasured),
        }
    }

    async fn read(&mut self) -> Result<Moment, Stop> {
        let read = tokio::select! {
            biased;
            stop = self.signals.any() => return Err(stop),
            read = self.gauge.read() => read.map_err(unmeasured)?,
        };
        self.look()?;
        Ok(read)
    }

    /// Whether all is well.
    fn look(&mut self) -> Result<(), Stop> {
        // Who takes it back changes features, too.
        self.switch.tend()?;
        self.switch.look()?;
        if let Some(load) = self.load {
            load.check()
                .map_err(|error| Stop::Aborted(error.to_string()))?;
        }
        let warned = self.log.as_mut().and_then(|log| log.look());
        warned.map_or(Ok(()), |because| Err(Stop::Aborted(because)))
    }

    /// How long the rest takes, at least.
    fn seconds(&self, left: &[(u32, Side)]) -> f64 {
        let changes = left
            .windows(2)
            .filter(|pair| pair[0].1 != pair[1].1)
            .count();
        left.len() as f64 * self.settings.seconds + changes as f64 * self.settings.settle_seconds
    }

    fn forecast(&self, begin: &Moment, end: &Moment, period: &Period) -> Option<Forecast> {
        let of = self.foretold.as_ref()?;
        let window = advise::Window::new(&begin.reading.sample, &end.reading.sample);
        let price = advise::forecast::of(&window, &of.ifindexes, &of.before, &of.after, &of.names)?;
        let (received, sent) = (&period.received, &period.sent);
        let goodput = received
            .goodput_bytes
            .known()
            .zip(sent.goodput_bytes.known());
        let bytes = match goodput {
            Some((received, sent)) => received + sent,
            None => received.bytes + sent.bytes,
        };
        Forecast::new(price, bytes as f64 / period.seconds)
    }
}

fn unmeasured(error: Error) -> Stop {
    Stop::Aborted(format!("the host could not be measured: {error}"))
}

fn stop(loss: Option<Loss>) -> Result<(), Stop> {
    loss.map_or(Ok(()), |loss| Err(Stop::Lost(loss)))
}
