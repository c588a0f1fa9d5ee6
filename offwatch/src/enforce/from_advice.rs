//! What an advice asks for, from the JSON of `offwatch advise`.
//!
//! Of each piece of advice the first change counts, if it is to be made without a
//! condition: further ones are for the case that it does not help, and that is to
//! be seen first. What enforce does not do is told.

mod check;
#[cfg(test)]
mod tests;

use roxmltree::Document;

pub use self::check::AdviceError;
use super::{
    definition::{Side, attributes},
    policy::Switches,
    target::Id,
};
use crate::advise::{
    Advice, Verdict,
    advice::{Action, Fix},
};

/// What an advice asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FromAdvice {
    /// Its file, as the user named it.
    pub file: String,
    /// What is to be done, in the order of the advice.
    pub items: Vec<Item>,
}

/// One thing that is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Rule that asks for it.
    pub rule: String,
    /// The VM that it is about, if it is about one.
    pub vm: Option<String>,
    /// Its UUID.
    pub vm_uuid: Option<String>,
    /// The interface that it is about, if it is about one.
    pub dev: Option<String>,
    /// What.
    pub what: What,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Features of an interface are switched.
    Features {
        /// Which one.
        id: Id,
        /// Features by the kernel's names, and whether they are to be on.
        features: Vec<(String, bool)>,
    },
    /// The definition of a VM is changed.
    Definition {
        /// Name of the VM.
        vm: String,
        /// MAC address of the card, if it is known.
        mac: Option<String>,
        /// Attributes of its `<driver>`.
        switches: Switches,
    },
    /// What enforce does not do, and why it does not.
    Left(String),
}

impl FromAdvice {
    /// Reads the bytes of a file. Any bytes are answered.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, AdviceError> {
        let report = check::report(bytes)?;
        Ok(Self {
            file: file.to_owned(),
            items: report.advice.iter().flat_map(items).collect(),
        })
    }

    /// Whether it switches features of interfaces.
    pub fn touches_interfaces(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|item| matches!(item.what, What::Features { .. }))
    }
}

fn items(advice: &Advice) -> Vec<Item> {
    let item = |what| Item {
        rule: advice.rule.to_string(),
        vm: advice.subject.vm.clone(),
        vm_uuid: advice.subject.vm_uuid.clone(),
        dev: advice.subject.dev.clone(),
        what,
    };
    let left = |before: &str, fix: &Fix| {
        let when = fix.when.as_deref();
        let when = when.map_or_else(String::new, |when| format!("{when}: "));
        item(What::Left(format!("{before}{when}{}", told(&fix.action))))
    };
    let mut fixes = advice.fixes.iter();
    match (advice.verdict, fixes.next()) {
        (Verdict::Keep | Verdict::CannotSee, _) | (_, None) => Vec::new(),
        (Verdict::Change, Some(first)) if first.when.is_none() => {
            let done = match what(&first.action) {
                Some(what) => item(what),
                None => left("", first),
            };
            let further = fixes.map(|fix| left("if that does not help: ", fix));
            std::iter::once(done).chain(further).collect()
        }
        (Verdict::NeedsTrial, Some(first)) => {
            let before = match &advice.trial {
                Some(trial) => format!("only a trial can tell ({}): ", trial.command),
                None => "only a trial can tell: ".into(),
            };
            vec![left(&before, first)]
        }
        (_, Some(first)) => vec![left("", first)],
    }
}

/// None if enforce does not do it.
fn what(action: &Action) -> Option<What> {
    match action {
        Action::SetFeatures {
            dev,
            ifindex,
            netns,
            features,
            ..
        } => Some(What::Features {
            id: Id {
                netns: *netns,
                ifindex: *ifindex,
                dev: dev.clone(),
            },
            features: features
                .iter()
                .map(|(name, on)| (name.to_string(), *on))
                .collect(),
        }),
        Action::LibvirtXml { domain, mac, xml } => Some(What::Definition {
            vm: domain.clone(),
            mac: mac.clone(),
            switches: switches(xml)?,
        }),
        _ => None,
    }
}

/// Attributes of `<driver><host/><guest/></driver>`; none if it says anything else,
/// or nothing.
fn switches(xml: &str) -> Option<Switches> {
    let document = Document::parse(xml).ok()?;
    let driver = document.root_element();
    if !driver.has_tag_name("driver") || driver.attributes().len() > 0 {
        return None;
    }
    let mut switches = Switches::default();
    for element in driver.children().filter(|node| node.is_element()) {
        let (side, found) = match element.tag_name().name() {
            "host" => (Side::Host, &mut switches.host),
            "guest" => (Side::Guest, &mut switches.guest),
            _ => return None,
        };
        for attribute in element.attributes() {
            let on = match attribute.value() {
                "on" => true,
                "off" => false,
                _ => return None,
            };
            if !attributes(side).contains(&attribute.name()) {
                return None;
            }
            found.push((attribute.name().to_owned(), on));
        }
    }
    (!switches.is_empty()).then_some(switches)
}

/// In words, for whoever is to do it.
fn told(action: &Action) -> String {
    match action {
        Action::SetFeatures { command, .. } | Action::Command { command } => {
            format!("run {command}")
        }
        Action::LibvirtXml { domain, mac, xml } => {
            let card = mac.as_deref();
            let card = card.map_or_else(String::new, |mac| format!(" card {mac}"));
            format!("in the XML of {domain}{card}: {xml}")
        }
        Action::InGuest { command } => format!("in the guest: {command}"),
        Action::Upgrade { to } => format!("upgrade to {to}"),
        Action::Do { what } => what.to_string(),
    }
}
