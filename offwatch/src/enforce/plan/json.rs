//! A plan for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Change, Definition, Left, Plan, Why, name};
use crate::sample::offloads::{FeatureNames, FeatureSet};

/// Name of the JSON form.
pub const SCHEMA: &str = "offwatch.plan";
/// Version of that form; grows when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// A plan. Features are told by the kernel's names.
#[derive(Debug, Serialize)]
pub struct Document<'p> {
    schema: &'static str,
    version: u32,
    /// Whether anything is to be changed.
    has_changes: bool,
    interfaces: Vec<Interface<'p>>,
    definitions: Vec<Card<'p>>,
    left: Vec<LeftAlone<'p>>,
}

/// An interface that is asked something of.
#[derive(Debug, Serialize)]
struct Interface<'p> {
    dev: &'p str,
    ifindex: u32,
    netns: u64,
    vm: Option<&'p str>,
    vm_uuid: Option<&'p str>,
    mac: Option<&'p str>,
    why: Vec<Place<'p>>,
    /// All that is asked of it, and can be switched there.
    asked: States<'p>,
    /// What of it is sent to the kernel.
    send: States<'p>,
    /// What is on now, of all that is asked or changes.
    active: States<'p>,
    /// The same afterwards.
    predicted: States<'p>,
    /// Changes that nobody asks for.
    collateral: Vec<&'p str>,
    /// What cannot be said before it is done.
    uncertain: Vec<&'p str>,
    unmet: Vec<NotMet<'p>>,
    lost_at_negotiation: Vec<&'p str>,
    /// What of ethtool does the same; none if nothing is sent.
    command: Option<String>,
}

type States<'p> = BTreeMap<&'p str, bool>;

#[derive(Debug, Serialize)]
struct NotMet<'p> {
    feature: &'p str,
    because: String,
}

#[derive(Debug, Serialize)]
struct Place<'p> {
    file: Option<&'p str>,
    line: Option<usize>,
    advice: Option<&'p str>,
    reason: Option<&'p str>,
}

#[derive(Debug, Serialize)]
struct Card<'p> {
    vm: &'p str,
    mac: Option<&'p str>,
    host: BTreeMap<&'p str, bool>,
    guest: BTreeMap<&'p str, bool>,
    xml: String,
    needs_cold_start: bool,
    why: Vec<Place<'p>>,
}

#[derive(Debug, Serialize)]
struct LeftAlone<'p> {
    what: &'p str,
    because: &'p str,
    why: Vec<Place<'p>>,
}

impl<'p> From<&'p Plan> for Document<'p> {
    fn from(plan: &'p Plan) -> Self {
        let changes = plan.changes.iter();
        Self {
            schema: SCHEMA,
            version: SCHEMA_VERSION,
            has_changes: plan.has_changes(),
            interfaces: changes
                .map(|change| interface(&plan.names, change))
                .collect(),
            definitions: plan.definitions.iter().map(card).collect(),
            left: plan.left.iter().map(left).collect(),
        }
    }
}

fn interface<'p>(names: &'p FeatureNames, change: &'p Change) -> Interface<'p> {
    let owner = change.owner.as_ref();
    let states = |set: FeatureSet, on: FeatureSet| {
        let bits = set.iter();
        bits.map(|bit| (name(names, bit), on.contains(bit)))
            .collect()
    };
    let not_met = change.unmet.iter();
    let fixed = not_met.clone().map(|unmet| unmet.bit).collect();
    let told = change.asked.mask | change.collateral() | fixed;
    Interface {
        dev: &change.id.dev,
        ifindex: change.id.ifindex,
        netns: change.id.netns,
        vm: owner.map(|owner| &*owner.vm),
        vm_uuid: owner.and_then(|owner| owner.uuid.as_deref()),
        mac: owner.and_then(|owner| owner.mac.as_deref()),
        why: places(&change.why),
        asked: states(change.asked.mask, change.asked.on),
        send: states(change.send.mask, change.send.on),
        active: states(told, change.before.active),
        predicted: states(told, change.predicted_active),
        collateral: names.of(change.collateral()),
        uncertain: names.of(change.uncertain),
        unmet: not_met
            .map(|unmet| NotMet {
                feature: name(names, unmet.bit),
                because: unmet.because.told(names),
            })
            .collect(),
        lost_at_negotiation: names.of(change.lost_at_negotiation),
        command: change.command(names),
    }
}

fn card(definition: &Definition) -> Card<'_> {
    fn switches(switches: &[(String, bool)]) -> BTreeMap<&str, bool> {
        let switches = switches.iter();
        switches.map(|(name, on)| (name.as_str(), *on)).collect()
    }
    Card {
        vm: &definition.vm,
        mac: definition.mac.as_deref(),
        host: switches(&definition.host),
        guest: switches(&definition.guest),
        xml: definition.xml(),
        needs_cold_start: true,
        why: places(&definition.why),
    }
}

fn left(left: &Left) -> LeftAlone<'_> {
    LeftAlone {
        what: &left.what,
        because: &left.because,
        why: places(&left.why),
    }
}

fn places(why: &Why) -> Vec<Place<'_>> {
    let all = std::iter::once(why).chain(&why.also);
    let places = all.map(|why| Place {
        file: why.file.as_deref(),
        line: why.line,
        advice: why.advice.as_deref(),
        reason: why.reason.as_deref(),
    });
    places.collect()
}
