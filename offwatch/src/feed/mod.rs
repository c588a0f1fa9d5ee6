//! Models for the screen, made on a thread of their own: whatever sampling
//! waits for, the screen and its keys do not.

mod live;
mod player;
mod reel;

use std::{panic, path::PathBuf, sync::Arc, thread, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use self::{player::Player, reel::Reel};
pub use crate::source::Command;
use crate::{
    advise::Findings,
    collector::Options,
    error::Error,
    filter::Filter,
    model::Model,
    record::Recorder,
    source::{self, Source},
};

/// Where the models come from.
pub enum Origin {
    /// This host.
    Live(Box<Live>),
    /// A recording.
    Replay(PathBuf),
}

/// How this host is observed.
pub struct Live {
    /// What to observe.
    pub options: Options,
    /// Time between samples.
    pub interval: Duration,
    /// Samples are to tell what each VM uses of each physical CPU.
    pub want_pcpus: bool,
    /// Where samples are recorded.
    pub recorder: Option<Recorder>,
    /// What else is done with every sample.
    pub each: Each,
}

/// Takes a sample. If none is to follow, how long the run still lasts.
pub type Each = Box<dyn FnMut(&source::Tick<'_>) -> Result<Option<Duration>, Error> + Send>;

/// Which models are shown.
pub struct Wanted {
    /// What to leave out of them.
    pub filter: Filter,
    /// End after so many.
    pub iterations: Option<u64>,
}

impl Wanted {
    /// Whether so many models are all that is wanted.
    fn is_done(&self, shown: u64) -> bool {
        self.iterations
            .is_some_and(|iterations| shown >= iterations)
    }
}

/// Something new for the screen.
#[derive(Debug)]
pub enum Update {
    /// The next model.
    Tick(Box<Tick>),
    /// The model before the one that was shown or sent last, after a jump.
    Past(Box<Model>),
    /// What the user should know.
    Message(String),
}

/// A model, and where in a recording it is.
#[derive(Debug)]
pub struct Tick {
    /// The model.
    pub model: Model,
    /// What `advise` would say; missing until enough was seen.
    pub findings: Option<Arc<Findings>>,
    /// Place in a recording that is a file.
    pub position: Option<Position>,
    /// The models shown before are not those that came before this one.
    pub jumped: bool,
}

/// A place in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which sample, counted from 0.
    pub number: usize,
    /// How many there are.
    pub count: usize,
}

/// How many updates may wait for the screen. A screen that is slower, as that
/// of a terminal that was stopped, misses some; sampling goes on.
const WAITING: usize = 2;
/// How long the end of the program waits for a sample that is being taken.
const PATIENCE: Duration = Duration::from_millis(500);

/// A running source of models.
pub struct Feed {
    updates: mpsc::Receiver<Result<Update, Error>>,
    commands: mpsc::UnboundedSender<Command>,
    thread: thread::JoinHandle<()>,
}

impl Feed {
    /// Starts the source. It is there when this returns; what keeps it from
    /// starting is the error.
    pub async fn start(origin: Origin, wanted: Wanted) -> Result<Self, Error> {
        let (sender, updates) = mpsc::channel(WAITING);
        let (commands, receiver) = mpsc::unbounded_channel();
        let (started, mut is_there) = mpsc::channel(1);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|source| Error::Io {
                    what: "cannot start".into(),
                    source,
                });
            let work = run(origin, wanted, started, &sender, receiver);
            if let Err(error) = runtime.and_then(|runtime| runtime.block_on(work)) {
                // Nobody listens when the program ends.
                let _ = sender.blocking_send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("samples".into()).spawn(run);
        let mut feed = Self {
            updates,
            commands,
            thread: thread.map_err(|source| Error::Io {
                what: "cannot start a thread".into(),
                source,
            })?,
        };
        if is_there.recv().await.is_none() {
            match feed.next().await {
                Some(Err(error)) => return Err(error),
                _ => join(feed.thread),
            }
            return Err(Error::Closed);
        }
        Ok(feed)
    }

    /// What is new; `None` when the program is to end.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        self.updates.recv().await
    }

    /// Asks something of the source.
    pub fn ask(&self, command: Command) {
        // A source that has ended does nothing.
        let _ = self.commands.send(command);
    }

    /// Ends the source: waits a little, so that a file is written whole.
    pub async fn end(self) {
        let Self {
            mut updates,
            commands,
            thread,
        } = self;
        drop(commands);
        let ended = timeout(PATIENCE, async { while updates.recv().await.is_some() {} });
        if ended.await.is_ok() {
            join(thread);
        }
    }
}

/// A panic of the thread is one of the program.
fn join(thread: thread::JoinHandle<()>) {
    if let Err(panic) = thread.join() {
        panic::resume_unwind(panic);
    }
}

type Updates = mpsc::Sender<Result<Update, Error>>;
type Commands = mpsc::UnboundedReceiver<Command>;

/// Works until the source, or the user, ends it. `started` is dropped without a
/// message if the source cannot be had.
async fn run(
    origin: Origin,
    wanted: Wanted,
    started: mpsc::Sender<()>,
    updates: &Updates,
    commands: Commands,
) -> Result<(), Error> {
    match origin {
        Origin::Live(live) => {
            let source = Source::live(&live.options, live.interval).await?;
            // There is room for it.
            let _ = started.send(()).await;
            live::run(source, *live, wanted, updates, commands).await
        }
        Origin::Replay(path) => {
            let reel = Reel::open(&path)?;
            let _ = started.send(()).await;
            Player::new(reel, wanted, updates).run(commands).await
        }
    }
}

#[cfg(test)]
mod tests;
