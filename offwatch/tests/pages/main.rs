//! What packages bring beside the program: a manual page for each command and
//! completions for shells, made from the command line. `cargo xtask docs` writes
//! them. None of this needs root.

mod completions;
mod extras;
mod page;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::{CommandFactory as _, Parser as _};
use offwatch::cli::Cli;

use extras::EXTRAS;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../contrib")
        .join(name)
}

/// The files of a directory are these, and no others. Written first, if blessed.
fn are_the_files_of(name: &str, made: &BTreeMap<String, String>) {
    let directory = directory(name);
    if std::env::var_os("OFFWATCH_BLESS").is_some() {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("the directory is made");
        for (file, text) in made {
            fs::write(directory.join(file), text).expect("the file is written");
        }
    }
    let entries = fs::read_dir(&directory).expect("the directory is there");
    let found: BTreeMap<String, String> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let file = path.file_name().expect("a name").to_string_lossy();
            (
                file.into_owned(),
                fs::read_to_string(&path).expect("a text"),
            )
        })
        .collect();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&found),
        names(made),
        "contrib/{name}: run `cargo xtask docs`"
    );
    for (file, text) in made {
        assert!(
            found[file] == *text,
            "contrib/{name}/{file} is out of date: run `cargo xtask docs`"
        );
    }
}

#[test]
fn the_manual_is_that_of_the_command_line() {
    are_the_files_of("man", &page::all());
}

#[test]
fn the_completions_are_those_of_the_command_line() {
    are_the_files_of("completions", &completions::all());
}

#[test]
fn each_command_has_a_page_with_its_exit_codes() {
    let pages = page::all();
    for name in ["offwatch", "offwatch-top", "offwatch-enforce-status"] {
        let page = &pages[&format!("{name}.1")];
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "SEE ALSO"] {
            let heading = if section.contains(' ') {
                format!(".SH \"{section}\"\n")
            } else {
                format!(".SH {section}\n")
            };
            assert!(page.contains(&heading), "{name}: no {section}");
        }
    }
    let enforce = &pages["offwatch-enforce.1"];
    assert!(
        enforce.contains(".TP\n\\fB4\\fR\nnot all"),
        "its own code: {enforce}"
    );
    let status = &pages["offwatch-enforce-status.1"];
    assert!(
        status.contains("\\fBoffwatch enforce status\\fR"),
        "{status}"
    );
}

#[test]
fn what_is_hidden_stays_hidden() {
    for (file, text) in page::all().into_iter().chain(completions::all()) {
        for hidden in [
            "watchdog(1)",
            "bpf\\-log",
            "bpf-log",
            "(watchdog)",
            "'watchdog'",
        ] {
            assert!(!text.contains(hidden), "{file} has {hidden}");
        }
        assert!(
            !file.contains("watchdog") && !file.contains("help"),
            "{file}"
        );
    }
}

#[test]
fn every_extra_is_of_a_page() {
    let pages = page::all();
    for extra in EXTRAS {
        assert!(
            pages.contains_key(&format!("{}.1", extra.page)),
            "{}",
            extra.page
        );
    }
    // And every page knows where else to look.
    for (file, text) in &pages {
        for other in page::references(text) {
            let ours = other.starts_with("offwatch");
            assert!(
                !ours || pages.contains_key(&format!("{other}.1")),
                "{file} refers to {other}"
            );
        }
    }
}

#[test]
fn examples_are_commands_that_are_understood() {
    let mut parsed = 0;
    for example in EXTRAS.iter().flat_map(|extra| extra.examples) {
        for part in example.command.split(" | ") {
            let words = shlex::split(part).expect("words of a shell");
            if words.first().is_some_and(|word| word == "offwatch") {
                parsed += 1;
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("{part}: {error}");
                }
            }
        }
    }
    assert!(parsed >= EXTRAS.len(), "{parsed}");
}

/// man-db's own eye on the pages, where it is installed.
#[test]
fn man_has_nothing_to_complain_of() {
    for (file, text) in page::all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(&file);
        fs::write(&path, text).expect("a page");
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(&path);
        man.env("MANWIDTH", "80").env("MANROFFSEQ", "");
        let output = match man.stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(error) => {
                eprintln!("skipped: man cannot be run: {error}");
                return;
            }
        };
        let warnings = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {warnings}");
        assert!(warnings.is_empty(), "{file}: {warnings}");
        let name = file.trim_end_matches(".1");
        assert!(String::from_utf8_lossy(&output.stdout).contains("EXIT STATUS"));
        let lexgrog = Command::new("lexgrog").arg(&path).output();
        let whatis = String::from_utf8(lexgrog.expect("comes with man").stdout).expect("text");
        assert!(whatis.contains(&format!("\"{name} - ")), "{whatis}");
    }
}

#[test]
fn names_are_of_the_command_line() {
    let mut command = Cli::command();
    command.build();
    let shown = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    let pages = page::all();
    for sub in shown {
        assert!(pages.contains_key(&format!("offwatch-{}.1", sub.get_name())));
    }
}
