//! Completions of shells, by the names that the shells look for.

use std::collections::BTreeMap;

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};
use offwatch::cli::Cli;

const SHELLS: &[(Shell, &str)] = &[
    (Shell::Bash, "offwatch.bash"),
    (Shell::Zsh, "_offwatch"),
    (Shell::Fish, "offwatch.fish"),
];

/// The scripts by the names of their files.
pub(crate) fn all() -> BTreeMap<String, String> {
    let scripts = SHELLS.iter().map(|(shell, file)| {
        let mut script = Vec::new();
        generate(*shell, &mut shown(&Cli::command()), "offwatch", &mut script);
        let script = String::from_utf8(script).expect("clap's help is UTF-8");
        ((*file).to_owned(), script)
    });
    scripts.collect()
}

/// The command without what is hidden: clap's scripts would offer it.
fn shown(command: &Command) -> Command {
    let name: &'static str = command.get_name().to_owned().leak();
    let about = command.get_about().cloned();
    Command::new(name)
        .about(about.unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().filter(|arg| !arg.is_hide_set()))
        .subcommands(
            command
                .get_subcommands()
                .filter(|sub| !sub.is_hide_set())
                .map(shown),
        )
}
