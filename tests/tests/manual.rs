//! Every command of README.md and of docs/*.md is executed, or is known to be executed
//! elsewhere; output has the shape that is shown; links lead somewhere.
//!
//! Not with the usual `main`: this program plays `offwatch` and `sudo`, too, and each
//! document is a test.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, ColorSetting, Failed, Trial};
use offwatch_tests::{
    manual::{Document, documents, known, links, play::play, sessions, stand_in},
    skip_unless_lab,
};

fn main() -> ExitCode {
    if let Some(code) = stand_in::run_if_asked() {
        return code;
    }
    match tests() {
        Ok(tests) => {
            let mut arguments = Arguments::from_args();
            arguments.color.get_or_insert(ColorSetting::Never);
            libtest_mimic::run(&arguments, tests).exit_code()
        }
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn tests() -> Result<Vec<Trial>> {
    let mut tests = vec![
        test("every_link_leads_somewhere".into(), || {
            let broken = links::broken(&documents()?)?;
            ensure!(broken.is_empty(), "{}", broken.join("\n"));
            Ok(())
        }),
        test("what_is_run_elsewhere_is_in_the_manual".into(), elsewhere),
    ];
    for document in documents()? {
        let name = document.name.replace('/', "::");
        tests.push(test(name, move || commands(&document)));
    }
    Ok(tests)
}

fn test(name: String, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, || {
        run().map_err(|error| Failed::from(format!("{error:?}")))
    })
}

fn commands(document: &Document) -> Result<()> {
    // What can be wrong without a host is wrong everywhere.
    sessions(document)?;
    skip_unless_lab!();
    play(document)
}

/// A list that nobody needs any more would hide a command of the same name.
fn elsewhere() -> Result<()> {
    let mut commands = Vec::new();
    for document in documents()? {
        for session in sessions(&document)? {
            commands.extend(session.steps.into_iter().map(|step| step.command));
        }
    }
    for known in known::ELSEWHERE {
        let found = |command: &String| {
            known::elsewhere(command).is_some_and(|found| found.command == known.command)
        };
        ensure!(commands.iter().any(found), "{:?} is nowhere", known.command);
    }
    Ok(())
}
