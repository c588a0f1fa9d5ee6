//! Features for people, at 80 columns.

use std::fmt::Write as _;

use super::report::{Feature, Guest, Interface, Report};
use crate::{model::OFFLOADS, text::plain};

const WIDTH: usize = 80;
/// Group, name and state.
const NOTE_COLUMN: usize = 47;
/// Marks what a guest's driver sets anew.
const SET_ANEW: &str = "*";
const LEGEND: &str = "* a guest's driver sets this anew whenever it negotiates (boot, reboot, \
    reload): what else was asked of it is lost then";

/// The whole report; without `all` only what has a part in offloads and is not off
/// for good, and what is not as it is asked for.
pub(super) fn of(report: &Report, all: bool) -> String {
    let mut text = String::new();
    let mut left = 0;
    let mut is_set_anew = false;
    for (number, interface) in report.interfaces.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        paragraph(&mut text, "", "    ", &heading(interface));
        for feature in ordered(interface) {
            if all || is_shown(feature) {
                line(&mut text, feature);
                is_set_anew |= feature.guest.is_some();
            } else {
                left += 1;
            }
        }
    }
    text.push('\n');
    if is_set_anew {
        paragraph(&mut text, "", "  ", LEGEND);
    }
    if left > 0 {
        let more = format!(
            "{left} more that are off for good or have no part in offloads: --all shows them"
        );
        paragraph(&mut text, "", "  ", &more);
    }
    if let Some(reason) = &report.vms_unavailable {
        paragraph(&mut text, "note: ", "      ", &format!("VMs: {reason}"));
    }
    text
}

fn heading(interface: &Interface) -> String {
    let mut heading = format!("{}: {}", plain(&interface.dev), plain(&interface.kind));
    match &interface.vm {
        Some(vm) => {
            let _ = write!(heading, " of VM {}", plain(&vm.name));
            if let Some(mac) = &vm.mac {
                let _ = write!(heading, " ({})", plain(mac));
            }
        }
        None if interface.kind == "tap" => heading.push_str(" of no VM that is known"),
        None => {}
    }
    if let Some(master) = &interface.master {
        let _ = write!(heading, ", in {}", plain(master));
    }
    if let Some(driver) = interface
        .driver
        .as_ref()
        .filter(|_| interface.kind == "physical")
    {
        let _ = write!(heading, ", driver {}", plain(driver));
    }
    if interface.kind == "macvtap" {
        heading.push_str("; it does not show what its guest accepts");
    }
    heading
}

/// Those that have a part in offloads first, in an order that tells of them.
fn ordered(interface: &Interface) -> Vec<&Feature> {
    let place = |name: &str| OFFLOADS.iter().position(|(known, _)| *known == name);
    let mut features: Vec<_> = interface.features.iter().collect();
    features.sort_by_key(|feature| place(&feature.name).unwrap_or(usize::MAX));
    features
}

fn is_shown(feature: &Feature) -> bool {
    let has_part = OFFLOADS.iter().any(|(name, _)| *name == feature.name);
    feature.unmet.is_some() || (has_part && (feature.on || !feature.fixed))
}

fn line(text: &mut String, feature: &Feature) {
    let mark = feature.guest.map_or("", |_| SET_ANEW);
    let state = if feature.on { "on" } else { "off" };
    let first = format!(
        "  {:<6} {:<31} {state:<3}{mark:<1}  ",
        feature.group.unwrap_or_default(),
        plain(&feature.name),
    );
    debug_assert_eq!(first.len(), NOTE_COLUMN);
    let note = note(feature);
    if note.is_empty() {
        text.push_str(first.trim_end());
        text.push('\n');
    } else {
        paragraph(text, &first, &" ".repeat(NOTE_COLUMN), &note);
    }
}

fn note(feature: &Feature) -> String {
    let mut notes = Vec::new();
    match (&feature.unmet, feature.wanted) {
        (Some(unmet), Some(true)) => notes.push(format!("asked for; {}", unmet.told)),
        (Some(unmet), _) => notes.push(format!("asked to be off; {}", unmet.told)),
        (None, None) => notes.push("fixed".to_owned()),
        (None, Some(_)) => {}
    }
    match feature.guest {
        Some(Guest::Accepted) => notes.push("the guest accepts it".into()),
        Some(Guest::Unknown) if feature.unmet.is_none() => {
            notes.push("declined by the guest, or switched off here since".into());
        }
        _ => {}
    }
    notes.extend(feature.inert.map(ToOwned::to_owned));
    notes.join("; ")
}

fn paragraph(text: &mut String, first: &str, further: &str, words: &str) {
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(first)
        .subsequent_indent(further)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let _ = writeln!(text, "{}", textwrap::fill(words, options));
}
