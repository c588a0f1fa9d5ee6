//! Samples are taken, and snapshots made, on a thread of their own: at an interval,
//! and when a scrape asks for one.

use std::{
    panic,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::advisor::Advisor;
use crate::{
    cli::export::ExportArgs,
    collector::Packets,
    error::Error,
    export::{
        Exporter, Latest, Own, Snapshot, Wanted, enforcement::Enforcement, latest::Publisher,
    },
    sample::Sample,
    source::{Command, Source},
};

/// Between samples, unless the user says otherwise.
const USUAL: Duration = Duration::from_secs(15);

/// Between samples that no scrape asks for.
pub(super) fn interval(args: &ExportArgs) -> Duration {
    args.interval.unwrap_or(USUAL)
}

/// The thread.
pub(super) struct Sampler {
    latest: Latest,
    ended: oneshot::Receiver<Result<(), Error>>,
    thread: thread::JoinHandle<()>,
}

impl Sampler {
    /// Starts it. The first snapshot is there when this returns; what keeps it from
    /// being made is the error.
    pub(super) async fn start(args: &ExportArgs, wanted: Wanted) -> Result<Self, Error> {
        let own = super::own(args)?;
        let options = args.live.options(Packets::Needed);
        let interval = interval(args);
        let maker = Maker {
            exporter: Exporter::new(wanted),
            enforcement: super::enforcement(args),
            own: Arc::clone(&own),
            advisor: match args.no_advice {
                true => None,
                false => Some(Advisor::start()?),
            },
        };
        let filter = super::wanted(args)?.filter;
        let (commands, receiver) = mpsc::unbounded_channel::<Command>();
        let (first, is_there) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|source| Error::Io {
                    what: "cannot start".into(),
                    source,
                });
            let result = runtime.and_then(|runtime| {
                runtime.block_on(async {
                    let mut source = Source::live(&options, interval).await?;
                    source.obey(receiver);
                    source.never_wait();
                    let first = |snapshot| {
                        let (latest, publisher) = Latest::new(snapshot, own, commands);
                        // Whoever started this may be gone.
                        let _ = first.send(latest);
                        publisher
                    };
                    let check = |sample: &Sample| filter.check_sample(sample);
                    maker.run(source, check, first).await
                })
            });
            let _ = end.send(result);
        };
        let thread = thread::Builder::new().name("samples".into()).spawn(run);
        let thread = thread.map_err(|source| Error::Io {
            what: "cannot start a thread".into(),
            source,
        })?;
        match is_there.await {
            Ok(latest) => Ok(Self {
                latest,
                ended,
                thread,
            }),
            Err(_) => {
                let result = ended.await;
                join(thread);
                Err(match result {
                    Ok(Err(error)) => error,
                    _ => Error::Closed,
                })
            }
        }
    }

    pub(super) fn latest(&self) -> Latest {
        self.latest.clone()
    }

    /// Waits for its end, which only an error brings about.
    pub(super) async fn end(self) -> Result<(), Error> {
        let result = self.ended.await;
        match result {
            Ok(result) => result,
            Err(_) => {
                join(self.thread);
                Err(Error::Closed)
            }
        }
    }
}

/// A panic of the thread is one of the program.
fn join(thread: thread::JoinHandle<()>) {
    if let Err(panic) = thread.join() {
        panic::resume_unwind(panic);
    }
}

/// Makes snapshots of samples.
struct Maker {
    exporter: Exporter,
    enforcement: Enforcement,
    own: Arc<Own>,
    advisor: Option<Advisor>,
}

impl Maker {
    async fn run(
        mut self,
        mut source: Source,
        check: impl Fn(&Sample) -> Result<(), Error>,
        first: impl FnOnce(Snapshot) -> Publisher,
    ) -> Result<(), Error> {
        let Some(sample) = next(&mut source).await? else {
            return Ok(());
        };
        check(&sample)?;
        let publisher = first(self.snapshot(&sample, source.took()));
        self.advise(&mut source, sample);
        while let Some(sample) = next(&mut source).await? {
            let snapshot = self.snapshot(&sample, source.took());
            publisher.publish(snapshot);
            self.advise(&mut source, sample);
        }
        Ok(())
    }

    fn snapshot(&mut self, sample: &Arc<Sample>, took: Duration) -> Snapshot {
        let taken = Instant::now();
        self.own.sampled();
        let told = self.advisor.as_ref().map(Advisor::told);
        let snapshot = self
            .exporter
            .advance(sample, told.as_ref(), Some(&mut self.enforcement));
        snapshot.taken(taken, took, &self.own)
    }

    /// After the snapshot: no scrape waits for it.
    fn advise(&mut self, source: &mut Source, sample: Arc<Sample>) {
        if let Some(advisor) = &mut self.advisor {
            advisor.advance(source, sample);
        }
    }
}

async fn next(source: &mut Source) -> Result<Option<Arc<Sample>>, Error> {
    let sample = source.tick().await?.map(|tick| Arc::clone(tick.sample));
    source.forget();
    Ok(sample)
}
