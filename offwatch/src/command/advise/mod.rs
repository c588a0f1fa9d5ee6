//! `offwatch advise`.

mod window;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use self::window::Samples;
use crate::{
    advise::{Report, Window, catalogue, docs, evaluate, text},
    cli::{AdviseArgs, AdviseCommand},
    error::Error,
    filter::Filter,
    trial::{Trial, read},
};

/// The exit code of `--exit-code` if there is something to do.
const FINDINGS: u8 = 3;

/// Observes, evaluates and prints; the exit code.
pub async fn run(args: &AdviseArgs) -> Result<u8, Error> {
    if let Some(AdviseCommand::Explain { rule }) = &args.command {
        let text = match rule {
            Some(rule) => docs::explain(rule),
            None => docs::list(),
        };
        print(&text)?;
        return Ok(0);
    }
    let filter = Filter::new(&args.vm, &args.dev)?;
    let trials = trials(&args.trial)?;
    let Samples { first, last } = match &args.replay {
        Some(path) => window::replayed(path, args.window)?,
        None => window::observed(args, &filter).await?,
    };
    filter.check_sample(&last)?;
    let mut report = evaluate(
        &Window::new(&first, &last).with_trials(&trials),
        &catalogue::rules(),
    );
    narrow(&mut report, &filter);
    print(&match args.json {
        true => format!("{:#}\n", serde_json::json!(report)),
        false => text::of(&report),
    })?;
    Ok(match args.exit_code && report.has_findings() {
        true => FINDINGS,
        false => 0,
    })
}

/// Before anything is observed: a wrong file is told at once.
fn trials(paths: &[PathBuf]) -> Result<Vec<Trial>, Error> {
    let read = paths.iter().map(|path| {
        read::file(path).map_err(|source| Error::TrialFile {
            path: path.clone(),
            source,
        })
    });
    Ok(read.collect::<Result<Vec<_>, _>>()?.concat())
}

/// What is evaluated is the whole host: who sends what another VM suffers from
/// may not be among those asked for.
fn narrow(report: &mut Report, filter: &Filter) {
    report.advice.retain(|advice| {
        let subject = &advice.subject;
        filter.shows(subject.vm.as_deref(), subject.dev.as_deref())
    });
    report
        .silent
        .retain(|subject| filter.shows(subject.vm.as_deref(), subject.dev.as_deref()));
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::stdout)
}
