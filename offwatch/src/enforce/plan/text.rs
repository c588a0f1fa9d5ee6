//! A plan for people: what changes on each interface, and what does not.

use std::fmt::Write as _;

use super::{Change, Definition, Plan, Unmet, Why, name, state};
use crate::{
    sample::offloads::FeatureSet,
    text::{INDENT, paragraph, plain, shell_command},
};

/// Interfaces that are told in full; the JSON has all.
const MOST_IN_FULL: usize = 20;
/// Lines of one kind, and names in one line.
const MOST_LINES: usize = 20;

/// The whole plan.
pub fn of(plan: &Plan) -> String {
    let mut text = String::new();
    let (told, quiet): (Vec<_>, Vec<_>) = plan.changes.iter().partition(|change| is_told(change));
    for change in told.iter().take(MOST_IN_FULL) {
        interface(&mut text, plan, change);
    }
    for change in told.iter().skip(MOST_IN_FULL).take(MOST_LINES) {
        let words = format!("{} features to change", change.send.mask.iter().count());
        paragraph(&mut text, &format!("{}: ", heading(change)), &words);
    }
    more(
        &mut text,
        "interfaces",
        told.len(),
        MOST_IN_FULL + MOST_LINES,
    );
    for definition in plan.definitions.iter().take(MOST_IN_FULL) {
        card(&mut text, definition);
    }
    more(
        &mut text,
        "definitions",
        plan.definitions.len(),
        MOST_IN_FULL,
    );
    if !quiet.is_empty() {
        let quiet: Vec<&str> = quiet.iter().map(|change| &*change.id.dev).collect();
        paragraph(&mut text, "as asked already: ", &some(&quiet));
    }
    left(&mut text, plan);
    summary(&mut text, plan);
    text
}

/// What of a plan a change of interfaces does not do.
pub fn rest(plan: &Plan) -> String {
    let mut text = String::new();
    definitions(&mut text, plan);
    left(&mut text, plan);
    text
}

fn definitions(text: &mut String, plan: &Plan) {
    for definition in plan.definitions.iter().take(MOST_IN_FULL) {
        card(text, definition);
    }
    more(text, "definitions", plan.definitions.len(), MOST_IN_FULL);
}

/// Something is to be changed, or is not as asked.
fn is_told(change: &Change) -> bool {
    !change.send.is_empty() || !change.unmet.is_empty()
}

fn heading(change: &Change) -> String {
    let dev = plain(&change.id.dev);
    match &change.owner {
        Some(owner) => format!("{dev} (VM {})", plain(&owner.vm)),
        None => dev,
    }
}

fn interface(text: &mut String, plan: &Plan, change: &Change) {
    paragraph(
        text,
        &format!("{}: ", heading(change)),
        &places(&change.why),
    );
    for reason in reasons(&change.why) {
        paragraph(text, "  why   ", reason);
    }
    let names = &plan.names;
    let unmet: FeatureSet = change.unmet.iter().map(|unmet| unmet.bit).collect();
    // Also what was asked before, and could not be so until now.
    let changing = change.before.active ^ change.predicted_active;
    for bit in ((change.send.mask | (change.asked.mask & changing)) - unmet).iter() {
        becomes(text, change, bit, name(names, bit), "");
    }
    asked_in_vain(text, plan, change);
    stays(text, plan, change);
    for bit in change.collateral().iter() {
        becomes(
            text,
            change,
            bit,
            name(names, bit),
            ", with it: nobody asks for it",
        );
    }
    let uncertain = change.uncertain - change.unmet.iter().map(|unmet| unmet.bit).collect();
    list(
        text,
        "  maybe ",
        "not certain before it is done: ",
        &names.of(uncertain),
    );
    let lost = names.of(change.lost_at_negotiation);
    let undone = "undone when the guest next negotiates (boot, driver reload), unless --watch \
        runs: ";
    list(text, "  lasts ", undone, &lost);
    if let Some(command) = change.command(names) {
        shell_command(text, "  same  ", &command);
    }
    text.push('\n');
}

fn becomes(text: &mut String, change: &Change, bit: usize, name: &str, because: &str) {
    let now = change.before.active.contains(bit);
    let then = change.predicted_active.contains(bit);
    let asked = change.asked.on.contains(bit);
    // What depends on the guest, or on what nobody knows of the driver.
    let is_in_doubt = change.asked.mask.contains(bit) && then != asked;
    let words = if is_in_doubt {
        let whose = if change.is_tap { "the guest's" } else { "its" };
        let (now, asked) = (requested(change, bit), state(asked));
        format!("{name}: {now} -> {asked}, if {whose} driver accepts it{because}")
    } else if now == then {
        // It is so for another reason: from now on also because it is asked for.
        let now = requested(change, bit);
        format!("{name}: {now} -> {}{because}", state(then))
    } else {
        format!("{name}: {} -> {}{because}", state(now), state(then))
    };
    paragraph(text, "  ", &words);
}

/// How a feature is, and what is asked of the kernel if it is something else; as
/// ethtool has it.
fn requested(change: &Change, bit: usize) -> String {
    let now = change.before.active.contains(bit);
    let wanted = change.before.wanted.contains(bit);
    match now == wanted {
        true => state(now).into(),
        false => format!("{} [requested {}]", state(now), state(wanted)),
    }
}

/// What is sent and will not be so for now.
fn asked_in_vain(text: &mut String, plan: &Plan, change: &Change) {
    for unmet in change.unmet.iter().filter(|unmet| is_sent(change, unmet)) {
        let name = name(&plan.names, unmet.bit);
        let state = state(change.predicted_active.contains(unmet.bit));
        let because = unmet.because.told(&plan.names);
        let words = format!("{name}: asked for, stays {state}: {because}");
        paragraph(text, "  ", &words);
    }
}

fn is_sent(change: &Change, unmet: &Unmet) -> bool {
    change.send.mask.contains(unmet.bit)
}

/// What is not met and is not sent, a line for each reason.
fn stays(text: &mut String, plan: &Plan, change: &Change) {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for unmet in change.unmet.iter().filter(|unmet| !is_sent(change, unmet)) {
        let state = state(change.predicted_active.contains(unmet.bit));
        let reason = format!("{state}: {}", unmet.because.told(&plan.names));
        add(&mut reasons, reason, name(&plan.names, unmet.bit));
    }
    for (reason, features) in reasons {
        let stay = if features.len() == 1 { "stays" } else { "stay" };
        let words = format!("{}: {stay} {reason}", features.join(", "));
        paragraph(text, "  unmet ", &words);
    }
}

/// Adds to those with the same reason.
fn add<'n>(reasons: &mut Vec<(String, Vec<&'n str>)>, reason: String, name: &'n str) {
    match reasons.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, names)) => names.push(name),
        None => reasons.push((reason, vec![name])),
    }
}

/// What is left, a line for each reason.
fn left(text: &mut String, plan: &Plan) {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for left in &plan.left {
        let place = left.why.place();
        let reason = match left.what == place {
            true => left.because.clone(),
            false => format!("{}  ({place})", left.because),
        };
        add(&mut reasons, reason, &left.what);
    }
    for (reason, names) in reasons.iter().take(MOST_LINES) {
        paragraph(text, "left: ", &format!("{}: {reason}", some(names)));
    }
    more(text, "left", reasons.len(), MOST_LINES);
}

/// Names in one line.
fn some(names: &[&str]) -> String {
    let told: Vec<&str> = names.iter().take(MOST_LINES).copied().collect();
    match names.len().saturating_sub(MOST_LINES) {
        0 => told.join(", "),
        rest => format!("{} and {rest} more", told.join(", ")),
    }
}

fn list(text: &mut String, first: &str, words: &str, names: &[&str]) {
    if !names.is_empty() {
        paragraph(text, first, &format!("{words}{}", names.join(", ")));
    }
}

fn card(text: &mut String, definition: &Definition) {
    let card = match &definition.mac {
        Some(mac) => format!("card {}", plain(mac)),
        None => "all cards".into(),
    };
    let first = format!("VM {}, {card}: ", plain(&definition.vm));
    paragraph(text, &first, &places(&definition.why));
    for reason in reasons(&definition.why) {
        paragraph(text, "  why   ", reason);
    }
    paragraph(text, "  XML   ", &definition.xml());
    paragraph(
        text,
        INDENT,
        "(in its definition, with --write-xml; needs a cold start)",
    );
    text.push('\n');
}

/// Where all rules are that want something.
fn places(why: &Why) -> String {
    let all = std::iter::once(why).chain(&why.also);
    all.map(Why::place).collect::<Vec<_>>().join(", ")
}

fn reasons(why: &Why) -> impl Iterator<Item = &str> {
    let all = std::iter::once(why).chain(&why.also);
    all.filter_map(|why| why.reason.as_deref())
}

fn more(text: &mut String, what: &str, count: usize, told: usize) {
    if count > told {
        let _ = writeln!(text, "and {} more {what} (--json has all)", count - told);
    }
}

fn summary(text: &mut String, plan: &Plan) {
    let count = |holds: &dyn Fn(&Change) -> bool| {
        let changes = plan.changes.iter();
        changes.filter(|change| holds(change)).count()
    };
    let of = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let sent = count(&|change| !change.send.is_empty());
    let mut parts = vec![format!("{} to change", of(sent, "interface", "interfaces"))];
    let quiet = count(&|change| change.send.is_empty() && change.unmet.is_empty());
    let unmet = count(&|change| !change.unmet.is_empty());
    let definitions = plan.definitions.len();
    let counted = [
        (quiet, format!("{quiet} as asked already")),
        (unmet, format!("{unmet} where not all can be met")),
        (definitions, of(definitions, "definition", "definitions")),
        (plan.left.len(), format!("{} left", plan.left.len())),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(counted.map(|(_, part)| part));
    paragraph(text, "plan: ", &parts.join(", "));
}
