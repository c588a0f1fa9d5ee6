//! The two samples at the ends of the window.

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use crate::{
    cli::AdviseArgs,
    collector::{Options, Packets},
    error::Error,
    record::{RecordError, Replay},
    sample::Sample,
    source::Source,
};

/// How long this host is observed unless the user says otherwise.
const USUAL: Duration = Duration::from_secs(30);

/// The samples at both ends.
pub(super) struct Samples {
    pub(super) first: Arc<Sample>,
    pub(super) last: Arc<Sample>,
}

/// Observes this host.
pub(super) async fn observed(args: &AdviseArgs) -> Result<Samples, Error> {
    let options = Options {
        hooks: args.hook.hooks(),
        exact: args.exact.into(),
        packets: Packets::Needed,
        connect: args.connect.clone(),
        bpf_log: false,
    };
    let mut source = Source::live(&options, args.window.unwrap_or(USUAL)).await?;
    let mut next = async || -> Result<Arc<Sample>, Error> {
        // At both ends: what queues and policers counted is the difference.
        source.want_facts();
        let tick = source.tick().await?;
        tick.map(|tick| Arc::clone(tick.sample))
            .ok_or(Error::Closed)
    };
    Ok(Samples {
        first: next().await?,
        last: next().await?,
    })
}

/// The end of a recording: at most `window` of its last run.
pub(super) fn replayed(path: &Path, window: Option<Duration>) -> Result<Samples, Error> {
    let mut replay = Replay::open(path)?;
    let mut run: VecDeque<Sample> = VecDeque::new();
    // Those of a sample hold until there are newer ones.
    let mut facts = None;
    while let Some(next) = replay.next_sample()? {
        if next.starts_run {
            run.clear();
            facts = None;
        }
        if next.sample.facts.is_some() {
            facts.clone_from(&next.sample.facts);
        }
        run.push_back(next.sample);
        // What is not needed any more: between the ends, or before the window.
        match window {
            None if run.len() > 2 => {
                run.remove(1);
            }
            Some(window) => {
                while run.len() > 2 && run[run.len() - 1].since(&run[1]) >= window {
                    run.pop_front();
                }
            }
            None => {}
        }
    }
    let name = replay.name().to_owned();
    let (Some(first), Some(mut last)) = (run.pop_front(), run.pop_back()) else {
        return Err(RecordError::NoInterval { name }.into());
    };
    if last.since(&first).is_zero() {
        return Err(RecordError::NoInterval { name }.into());
    }
    last.facts = last.facts.or(facts);
    Ok(Samples {
        first: first.into(),
        last: last.into(),
    })
}
