//! The two samples at the ends of the window.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::{
    cli::AdviseArgs,
    collector::Packets,
    error::Error,
    filter::Filter,
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
pub(super) async fn observed(args: &AdviseArgs, filter: &Filter) -> Result<Samples, Error> {
    let options = args.live.options(Packets::Needed);
    let window = args.window.unwrap_or(USUAL);
    let mut source = Source::live(&options, window).await?;
    if io::stderr().is_terminal() {
        // Nothing can be done if it is closed.
        let _ = writeln!(
            io::stderr(),
            "offwatch: observing for {} s",
            window.as_secs()
        );
    }
    let mut next = async || -> Result<Arc<Sample>, Error> {
        // At both ends: what queues and policers counted is the difference.
        source.want_facts();
        let tick = source.tick().await?;
        tick.map(|tick| Arc::clone(tick.sample))
            .ok_or(Error::Closed)
    };
    let first = next().await?;
    // Not only when the window is over.
    filter.check_sample(&first)?;
    Ok(Samples {
        first,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::{facts::Facts, record::Recorder};

    /// A recording of runs, each of samples at these seconds; the first of each
    /// run has facts.
    fn recorded(runs: &[&[u64]]) -> NamedTempFile {
        let file = NamedTempFile::new().expect("a temporary file");
        for (run, seconds) in runs.iter().enumerate() {
            let mut recorder = Recorder::create(file.path(), None).expect("a recorder");
            for (index, second) in seconds.iter().enumerate() {
                let facts = Facts {
                    took_ns: run as u64,
                    ..Facts::default()
                };
                let sample = Sample {
                    monotonic_ns: second * 1_000_000_000,
                    facts: (index == 0).then(|| Arc::new(facts)),
                    ..Sample::default()
                };
                recorder.write(&sample, false).expect("recorded");
            }
        }
        file
    }

    fn ends(runs: &[&[u64]], window: Option<u64>) -> Result<(u64, u64), String> {
        let file = recorded(runs);
        let window = window.map(Duration::from_secs);
        let samples = replayed(file.path(), window).map_err(|error| error.to_string())?;
        let facts = samples.last.facts.as_ref().expect("those of the run");
        assert_eq!(
            facts.took_ns,
            runs.len() as u64 - 1,
            "not of an earlier run"
        );
        let second = |sample: &Sample| sample.monotonic_ns / 1_000_000_000;
        Ok((second(&samples.first), second(&samples.last)))
    }

    #[test]
    fn a_recording_is_looked_at_from_its_end() {
        let run: &[u64] = &[10, 11, 12, 13, 20];
        assert_eq!(ends(&[run], None), Ok((10, 20)));
        assert_eq!(ends(&[run], Some(7)), Ok((13, 20)));
        assert_eq!(
            ends(&[run], Some(8)),
            Ok((12, 20)),
            "no shorter than asked for"
        );
        assert_eq!(ends(&[run], Some(60)), Ok((10, 20)));
    }

    #[test]
    fn runs_are_not_mixed() {
        assert_eq!(ends(&[&[1, 2, 3], &[50, 55]], None), Ok((50, 55)));
        let error = ends(&[&[1, 2, 3], &[50]], None).expect_err("one sample is no window");
        assert!(error.contains("no window to evaluate"), "{error}");
        assert!(ends(&[&[5, 5]], None).is_err(), "no time between them");
    }
}
