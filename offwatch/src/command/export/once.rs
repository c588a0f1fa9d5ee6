//! `--once`: one snapshot, printed.

use std::{
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    cli::export::ExportArgs,
    collector::Packets,
    error::Error,
    export::{Exporter, Exposition, Format, Snapshot, Wanted, advice::Told},
    record::{RecordError, Replay},
    sample::Sample,
    source::Source,
};

/// For how long this host is observed unless the user says otherwise.
const USUAL: Duration = Duration::from_secs(1);

/// Observes this host for an interval.
pub(super) async fn observed(args: &ExportArgs, wanted: Wanted) -> Result<(), Error> {
    let own = super::own(args)?;
    let interval = args.interval.unwrap_or(USUAL);
    let mut source = Source::live(&args.live.options(Packets::Needed), interval).await?;
    let mut exporter = Exporter::new(wanted);
    let mut enforcement = super::enforcement(args);
    let mut next = async || -> Result<_, Error> {
        if !args.no_advice {
            source.want_facts();
        }
        let tick = source.tick().await?;
        let sample = tick.map(|tick| Arc::clone(tick.sample));
        Ok((sample.ok_or(Error::Closed)?, source.took()))
    };
    let (first, _) = next().await?;
    own.sampled();
    // Not only when the interval is over.
    exporter.wanted().filter.check_sample(&first)?;
    exporter.advance(&first, None, None);
    let (last, took) = next().await?;
    own.sampled();
    let taken = Instant::now();
    let told = (!args.no_advice).then(|| Arc::new(Told::evaluate(&first, &last, 0)));
    let snapshot = exporter.advance(&last, told.as_ref(), Some(&mut enforcement));
    print(snapshot.taken(taken, took, &own))
}

/// The end of a recording: its last run is exported as it would have been while it
/// was made. Advice is that of `advise --replay`, of the whole run.
pub(super) fn replayed(path: &Path, wanted: Wanted, has_advice: bool) -> Result<(), Error> {
    let mut replay = Replay::open(path)?;
    let mut exporter = Exporter::new(wanted);
    let mut run: Option<Run> = None;
    while let Some(next) = replay.next_sample()? {
        let sample = Arc::new(next.sample);
        if next.starts_run {
            exporter = Exporter::new(exporter.into_wanted());
            run = None;
        }
        run = Some(match run {
            None => Run::of(sample),
            Some(run) => {
                exporter.advance(&run.last, None, None);
                run.with(sample)
            }
        });
    }
    let Some(run) = run else {
        let name = replay.name().to_owned();
        return Err(RecordError::Empty { name }.into());
    };
    exporter.wanted().filter.check_sample(&run.last)?;
    let told = has_advice.then(|| run.told());
    print(exporter.advance(&run.last, told.as_ref(), None))
}

/// A run of a recording.
struct Run {
    first: Arc<Sample>,
    last: Arc<Sample>,
    /// Those of a sample hold until there are newer ones.
    facts: Option<Arc<crate::facts::Facts>>,
}

impl Run {
    fn of(sample: Arc<Sample>) -> Self {
        Self {
            first: Arc::clone(&sample),
            facts: sample.facts.clone(),
            last: sample,
        }
    }

    fn with(self, sample: Arc<Sample>) -> Self {
        Self {
            first: self.first,
            facts: sample.facts.clone().or(self.facts),
            last: sample,
        }
    }

    /// Nothing of a single sample.
    fn told(&self) -> Arc<Told> {
        if self.last.since(&self.first).is_zero() {
            return Arc::default();
        }
        let last = Sample {
            facts: self.facts.clone(),
            ..Sample::clone(&self.last)
        };
        Arc::new(Told::evaluate(&self.first, &Arc::new(last), 0))
    }
}

fn print(snapshot: Snapshot) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    for chunk in Exposition::new(Arc::new(snapshot), Format::Text) {
        out.write_all(&chunk).map_err(Error::stdout)?;
    }
    out.flush().map_err(Error::stdout)
}
