//! How commands tell what was taken back.

use serde_json::{Value, json};

use crate::{
    enforce::{
        apply::{Restored, TakenBack},
        error::EnforceError,
    },
    sample::offloads::FeatureNames,
};

/// Not all of it could be.
const PARTLY: u8 = 4;

/// The exit code of a command that was to take something back.
pub(super) fn code(taken: &[TakenBack]) -> u8 {
    match taken.iter().all(TakenBack::is_complete) {
        true => 0,
        false => PARTLY,
    }
}

/// For people.
pub(super) fn text(taken: &[TakenBack]) -> String {
    let mut text = String::new();
    for commit in taken {
        let is = match commit.untold {
            Some(EnforceError::Untried(_)) => "is not",
            _ => "is",
        };
        text += &format!(
            "commit {} {is} taken back: {}\n",
            commit.commit, commit.because
        );
        let head = text.len();
        for interface in &commit.interfaces {
            if let Some(told) = told(interface, &commit.names) {
                text += &format!("  {}: {told}\n", interface.id.dev);
            }
        }
        for card in &commit.cards {
            text += &match &card.failed {
                None => format!("  {}: its definition is as before\n", card.name),
                Some(failed) => format!("  {} could not be set back: {failed}\n", card.name),
            };
        }
        if text.len() == head {
            text += "  nothing had to be sent: all is as before already\n";
        }
        text += &match &commit.untold {
            None => String::new(),
            Some(error @ EnforceError::Untried(_)) => {
                format!("  {error}; run it again when that is mended\n")
            }
            Some(error) => format!("  {error}; it is taken back once more at the next start\n"),
        };
    }
    text
}

/// What there is to tell of an interface; nothing of one that only would have
/// changed with others.
fn told(interface: &Restored, names: &FeatureNames) -> Option<String> {
    if interface.is_gone() {
        return Some("gone, has another name now, or is another interface: left alone".into());
    }
    if let Some(failure) = interface.failure(names) {
        return Some(format!("could not be set back: {failure}"));
    }
    let mut told = Vec::new();
    if !interface.sent.is_empty() {
        let sent = &interface.sent;
        told.push(names.states(sent.mask, sent.on));
    }
    if !interface.left_to_guest.is_empty() {
        let features = names.of(interface.left_to_guest).join(", ");
        told.push(format!(
            "{features} left on: its guest has negotiated them since"
        ));
    }
    if !interface.not_active.is_empty() {
        let features = names.of(interface.not_active).join(", ");
        told.push(format!(
            "{features} asked for as before, but not so now: the guest's driver, or what it \
             needs, has changed"
        ));
    }
    (!told.is_empty()).then(|| told.join("; "))
}

/// For programs.
pub(super) fn json(schema: &str, taken: &[TakenBack]) -> String {
    let commits: Vec<Value> = taken.iter().map(value).collect();
    format!("{:#}\n", json!({ "schema": schema, "commits": commits }))
}

pub(super) fn value(commit: &TakenBack) -> Value {
    let names = &commit.names;
    let interfaces = commit
        .interfaces
        .iter()
        .filter(|interface| told(interface, names).is_some());
    let interfaces = interfaces.map(|interface| {
        json!({
            "dev": interface.id.dev,
            "ifindex": interface.id.ifindex,
            "gone": interface.is_gone(),
            "sent": super::switched(&interface.sent, names),
            "failed": interface.failure(names),
            "not_active": names.of(interface.not_active),
            "left_to_guest": names.of(interface.left_to_guest),
        })
    });
    let definitions = commit
        .cards
        .iter()
        .map(|card| json!({ "card": card.name, "failed": card.failed }));
    json!({
        "commit": commit.commit,
        "because": commit.because,
        "complete": commit.is_complete(),
        "interfaces": interfaces.collect::<Vec<_>>(),
        "definitions": definitions.collect::<Vec<_>>(),
        "untold": commit.untold.as_ref().map(ToString::to_string),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        enforce::{
            apply::testing::{GRO, InMemory, State},
            journal::Store,
            kernel::Request,
            target::Id,
        },
        sample::offloads::FeatureSet,
    };

    #[test]
    fn it_is_told_whether_something_was_sent() {
        let told = |is_changed_back: bool| {
            let (host, state) = (InMemory::with(&["tap0"]), State::new());
            let before = host.features("tap0");
            let changes = vec![host.change("tap0", &[(GRO, false)])];
            let mut enforcer = state.enforcer(&host);
            enforcer.keep(&changes).expect("kept");
            if is_changed_back {
                host.edit("tap0", |device| device.features = before);
            }
            let commit = Store::open(&state.path()).get(1).expect("it").commit;
            let taken = enforcer.take_back(&commit, "a test").expect("done");
            text(&[taken.expect("taken back")])
        };
        let head = "commit 1 is taken back: a test\n";
        assert_eq!(told(false), format!("{head}  tap0: rx-gro on\n"));
        let nothing = "  nothing had to be sent: all is as before already\n";
        assert_eq!(told(true), format!("{head}{nothing}"));
    }

    #[test]
    fn json_is_about_what_was_sent() {
        let names = FeatureNames(vec!["rx-gro".into()]);
        let restored = |dev: &str| Restored {
            id: Id {
                dev: dev.into(),
                ..Id::default()
            },
            sent: Request::default(),
            refused: None,
            renamed: Request::default(),
            left_to_guest: FeatureSet::default(),
            not_wanted: FeatureSet::default(),
            not_active: FeatureSet::default(),
        };
        let (mut tap, bridge) = (restored("tap0"), restored("br0"));
        tap.sent.switch(0, true);
        let taken = TakenBack {
            commit: 1,
            because: "a test".into(),
            names,
            interfaces: vec![bridge, tap],
            cards: Vec::new(),
            untold: None,
        };
        let value = value(&taken);
        let interfaces = value["interfaces"].as_array().expect("a list");
        assert_eq!(interfaces.len(), 1, "{interfaces:?}");
        assert_eq!(interfaces[0]["dev"], "tap0");
    }
}
