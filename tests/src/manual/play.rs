//! Running a document's commands.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Parser as _;
use offwatch::cli::Cli;

use super::{Document, Place, Step, known, running::Running, session::Session, sessions, shape};

/// The key of a policy that makes a TOML block one.
const POLICY: &str = "version = ";

/// Runs every command of a document that is not run elsewhere.
pub fn play(document: &Document) -> Result<()> {
    let sessions = sessions(document)?;
    let here = |step: &Step| known::elsewhere(&step.command).is_none();
    if known::TO_THE_LETTER.contains(&document.name.as_str()) {
        return Ok(());
    }
    if !sessions
        .iter()
        .any(|session| session.steps.iter().any(here))
    {
        let mut steps = sessions.iter().flat_map(|session| &session.steps);
        return steps.try_for_each(|step| {
            let what = || format!("{}:{}: {}", document.name, step.line, step.command);
            understood(&step.command).with_context(what)
        });
    }
    let place = Place::new()?;
    for block in document.blocks.iter().filter(|block| block.info == "toml") {
        let text = block.lines.join("\n");
        if text.starts_with(POLICY) {
            place.write("policy.toml", &text)?;
        }
    }
    let mut wrong = Vec::new();
    for session in &sessions {
        if let Err(error) = play_session(&place, document, session) {
            wrong.push(format!("{error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

/// What runs on runs until the end of its block, so that others can use it.
fn play_session(place: &Place, document: &Document, session: &Session) -> Result<()> {
    let mut live = Vec::new();
    for step in &session.steps {
        let what = || format!("{}:{}: {}", document.name, step.line, step.command);
        if known::elsewhere(&step.command).is_some() {
            understood(&step.command).with_context(what)?;
            continue;
        }
        if let Some(program) = known::unknown_program(&step.command) {
            bail!(
                "{}: {program} is neither run nor known to be run elsewhere",
                what()
            );
        }
        if let Some(running) = begin(place, step).with_context(what)? {
            live.push((running, what()));
        }
    }
    for (running, what) in live {
        running.stop().context(what)?;
    }
    Ok(())
}

/// What offwatch is not run for here, it must understand at least.
fn understood(command: &str) -> Result<()> {
    let words = command.split_whitespace();
    let words: Vec<&str> = words
        .filter(|word| !["sudo", "\\"].contains(word))
        .collect();
    if words.first() == Some(&"offwatch") {
        Cli::try_parse_from(words)?;
    }
    Ok(())
}

/// Runs a command to its end; or to its first words, if it runs on.
fn begin(place: &Place, step: &Step) -> Result<Option<Running>> {
    let command = place.shell(&step.command);
    if let Some(live) = known::live(&step.command) {
        let mut running = match live.terminal {
            true => Running::on_a_terminal(command)?,
            false => Running::in_a_pipe(command)?,
        };
        running.wait_for(live.first)?;
        return Ok(Some(running));
    }
    let special = known::special(&step.command);
    let (code, printed) = Running::in_a_pipe(command)?.ends()?;
    let codes = special.map_or(&[0][..], |special| special.codes);
    ensure!(
        codes.contains(&code),
        "exit code {code}, not {codes:?}: {printed}"
    );
    if step.output.is_empty() {
        return Ok(None);
    }
    let compared = match special.is_some_and(|special| special.measured) {
        true => shape::compare_labels(&step.output, &printed),
        false => shape::compare(&step.output, &printed),
    };
    compared.map_err(|difference| anyhow!("{difference}\nit printed:\n{printed}"))?;
    Ok(None)
}
