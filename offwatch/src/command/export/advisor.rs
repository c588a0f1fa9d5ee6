//! Evaluates the rules now and then, on a thread of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{error::Error, export::advice::Told, memory, sample::Sample, source::Source};

/// The shortest window: that of `offwatch advise`.
const WINDOW: Duration = Duration::from_secs(30);
/// After an evaluation, in multiples of the time it took: a four-hundredth of the
/// time at most goes to it.
const PAUSE: u32 = 400;

/// Both ends of a window, and how long it took to gather facts for it.
struct Job {
    first: Arc<Sample>,
    last: Arc<Sample>,
    gathering: Duration,
}

/// What the thread has found.
#[derive(Default)]
struct Found {
    told: Arc<Told>,
    /// What the last evaluation took.
    took: Duration,
}

/// Takes samples, and has windows of them evaluated.
pub(super) struct Advisor {
    /// Where the window begins.
    first: Option<Arc<Sample>>,
    jobs: SyncSender<Job>,
    found: Arc<Mutex<Found>>,
}

impl Advisor {
    pub(super) fn start() -> Result<Self, Error> {
        let (jobs, receiver) = mpsc::sync_channel::<Job>(1);
        let found = Arc::<Mutex<Found>>::default();
        let shared = Arc::clone(&found);
        let run = move || {
            for (evaluations, job) in (0..).zip(receiver) {
                let began = Instant::now();
                let told = Told::evaluate(&job.first, &job.last, evaluations);
                let took = began.elapsed() + job.gathering;
                // Large, and not needed while the next one is waited for.
                drop(job);
                memory::give_back();
                let mut found = shared.lock().unwrap_or_else(PoisonError::into_inner);
                *found = Found {
                    told: Arc::new(told),
                    took,
                };
            }
        };
        let thread = thread::Builder::new().name("advice".into()).spawn(run);
        thread.map_err(|source| Error::Io {
            what: "cannot start a thread".into(),
            source,
        })?;
        Ok(Self {
            first: None,
            jobs,
            found,
        })
    }

    /// What was found last; nothing before the first evaluation.
    pub(super) fn told(&self) -> Arc<Told> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&found.told)
    }

    /// Takes the next sample; one with which a window ends is completed by how the
    /// host is set up.
    pub(super) fn advance(&mut self, source: &mut Source, sample: Arc<Sample>) {
        if let Some(first) = &self.first
            && sample.since(first) < self.window()
        {
            return;
        }
        let began = Instant::now();
        let facts = source.facts().map(Arc::new);
        let gathering = began.elapsed();
        let last = match facts {
            // Interfaces are shared; this copies the list of them.
            Some(facts) => Arc::new(Sample {
                facts: Some(facts),
                ..Sample::clone(&sample)
            }),
            None => sample,
        };
        let Some(first) = self.first.replace(Arc::clone(&last)) else {
            return;
        };
        let job = Job {
            first,
            last,
            gathering,
        };
        match self.jobs.try_send(job) {
            Ok(()) => {}
            // One that still waits began earlier, and this window goes on from it.
            Err(TrySendError::Full(job)) => self.first = Some(job.first),
            // The thread has panicked, and said so. What it found last must not stay on
            // the page as if it were found now.
            Err(TrySendError::Disconnected(_)) => panic!("the thread of advice has ended"),
        }
    }

    fn window(&self) -> Duration {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        WINDOW.max(found.took * PAUSE)
    }
}
