//! A manual page for each command: what clap knows of it, its exit codes, and what
//! [`EXTRAS`] adds.

use std::collections::BTreeMap;

use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, italic, roman},
};
use offwatch::cli::Cli;

use super::extras::{EXTRAS, Extra};

/// Where nothing else is said.
const EXIT_CODES: &str = "0 ok, 1 failure, 2 usage.";
const EXIT_CODES_MARK: &str = "Exit codes: ";

/// The pages by the names of their files.
pub(crate) fn all() -> BTreeMap<String, String> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = BTreeMap::new();
    add(&mut pages, &command, None);
    pages
}

fn add(pages: &mut BTreeMap<String, String>, command: &Command, parent: Option<&str>) {
    let name = name(command);
    pages.insert(format!("{name}.1"), text(command, parent));
    for sub in shown(command) {
        add(pages, sub, Some(&name));
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

/// offwatch-enforce-status
fn name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

fn text(command: &Command, parent: Option<&str>) -> String {
    let name = name(command);
    let man = Man::new(command.clone())
        .source(format!("offwatch {}", env!("CARGO_PKG_VERSION")))
        .manual("offwatch manual");
    let mut page = Vec::new();
    let mut style = Roff::new();
    // Names of programs are not to be hyphenated, nor their lists stretched.
    style.control("nh", []);
    style.control("ad", ["l"]);
    let written = man
        .render_title(&mut page)
        .and_then(|()| style.to_writer(&mut page))
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page));
    written.expect("writing to memory");
    let mut notes = Roff::new();
    let (codes, paragraphs) = after_help(command);
    for paragraph in &paragraphs {
        notes.control("PP", []);
        notes.text([roman(paragraph.as_str())]);
    }
    notes.to_writer(&mut page).expect("writing to memory");
    man.render_options_section(&mut page)
        .expect("writing to memory");
    if shown(command).next().is_some() {
        man.render_subcommands_section(&mut page)
            .expect("writing to memory");
    }
    let mut rest = Roff::new();
    exit_status(&mut rest, codes.as_deref().unwrap_or(EXIT_CODES));
    let extra = EXTRAS.iter().find(|extra| extra.page == name);
    if let Some(extra) = extra {
        environment(&mut rest, extra);
        files(&mut rest, extra);
        examples(&mut rest, extra);
    }
    see_also(&mut rest, command, parent, extra);
    rest.to_writer(&mut page).expect("writing to memory");
    String::from_utf8(page).expect("clap's help is UTF-8")
}

/// The exit codes below a help, and its other paragraphs.
fn after_help(command: &Command) -> (Option<String>, Vec<String>) {
    let help = command.get_after_help();
    let help = help.map(ToString::to_string).unwrap_or_default();
    let (codes, others): (Vec<&str>, Vec<&str>) = help
        .split("\n\n")
        .filter(|paragraph| !paragraph.is_empty())
        .partition(|paragraph| paragraph.starts_with(EXIT_CODES_MARK));
    let codes = codes
        .first()
        .map(|codes| codes[EXIT_CODES_MARK.len()..].to_owned());
    (codes, others.into_iter().map(str::to_owned).collect())
}

fn exit_status(roff: &mut Roff, codes: &str) {
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in split(codes) {
        item(roff, &code.to_string(), meaning);
    }
}

/// "0 ok, 1 failure; 4 worse." code by code.
fn split(codes: &str) -> Vec<(char, &str)> {
    let codes = codes.trim_end_matches('.');
    let begins = |at: usize| {
        let (before, from) = codes.split_at(at);
        let mut chars = from.chars();
        (before.is_empty() || before.ends_with(", ") || before.ends_with("; "))
            && chars.next().is_some_and(|char| char.is_ascii_digit())
            && chars.next() == Some(' ')
    };
    let starts: Vec<usize> = (0..codes.len())
        .filter(|at| codes.is_char_boundary(*at) && begins(*at))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([codes.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let part = codes[*start..end].trim_end_matches([' ', ',', ';']);
            (char::from(part.as_bytes()[0]), &part[2..])
        })
        .collect()
}

fn item(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(text)]);
}

fn environment(roff: &mut Roff, extra: &Extra) {
    if !extra.environment.is_empty() {
        roff.control("SH", ["ENVIRONMENT"]);
    }
    for (variable, meaning) in extra.environment {
        item(roff, variable, meaning);
    }
}

fn files(roff: &mut Roff, extra: &Extra) {
    if !extra.files.is_empty() {
        roff.control("SH", ["FILES"]);
    }
    for (path, meaning) in extra.files {
        roff.control("TP", []);
        roff.text([italic(*path)]);
        roff.text([roman(*meaning)]);
    }
}

fn examples(roff: &mut Roff, extra: &Extra) {
    if !extra.examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for example in extra.examples {
        item(roff, example.command, example.does);
    }
}

fn see_also(roff: &mut Roff, command: &Command, parent: Option<&str>, extra: Option<&Extra>) {
    let own = shown(command).map(|sub| format!("{}(1)", name(sub)));
    let others = extra.into_iter().flat_map(|extra| extra.see_also);
    let all: Vec<String> = parent
        .map(|parent| format!("{parent}(1)"))
        .into_iter()
        .chain(own)
        .chain(others.map(|other| (*other).to_owned()))
        .collect();
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (index, page) in all.iter().enumerate() {
        let (page, section) = page.split_at(page.len() - "(1)".len());
        line.extend([bold(page), roman(section)]);
        if index + 1 < all.len() {
            line.push(roman(", "));
        }
    }
    roff.text(line);
    roff.control("PP", []);
    roff.text([
        roman("Documents named docs/... are in "),
        italic("/usr/share/doc/offwatch"),
        roman(", where a package installed offwatch, and at "),
        italic(env!("CARGO_PKG_REPOSITORY")),
        roman("."),
    ]);
}

/// The pages that a page's last section names, without their sections.
pub(crate) fn references(page: &str) -> Vec<String> {
    let (_, section) = page.split_once("SEE ALSO").expect("the section is there");
    section
        .split("\\fB")
        .skip(1)
        .filter_map(|rest| rest.split_once("\\fR("))
        .map(|(name, _)| name.replace("\\-", "-"))
        .collect()
}
