//! Definitions of VMs: journalled, changed, read back, and taken back, in a commit
//! of their own. They outlive a boot, and belong to no network namespace.

use super::{enforcer::Enforcer, session::Session, take_back::TakenBack};
use crate::enforce::{
    definition::{Card, DefinitionError, Definitions},
    error::EnforceError,
    journal::Commit,
    plan::Definition,
};

/// What became of definitions.
#[derive(Debug, Default)]
pub struct Defined {
    /// The commit that has what they were; `None`: nothing was changed.
    pub commit: Option<u64>,
    /// Cards that were changed, or are as asked for already.
    pub cards: Vec<Card>,
    /// VMs whose definition is left as it is, with the reason.
    pub left: Vec<(String, DefinitionError)>,
    /// Why all of it was taken back, and how, if so.
    pub taken_back: Option<(DefinitionError, Option<TakenBack>)>,
}

/// Changes what a plan asks of definitions, all of it or, if one is refused, none.
pub fn define(
    enforcer: &mut Enforcer,
    plan: &[Definition],
    uri: Option<String>,
) -> Result<Defined, EnforceError> {
    let mut defined = Defined::default();
    let definitions = match Definitions::open(uri) {
        Ok(definitions) => definitions,
        Err(error) => {
            let vms = plan.iter().map(|definition| definition.vm.as_str());
            let vms = vms.collect::<Vec<_>>().join(", ");
            defined.left.push((vms, error));
            return Ok(defined);
        }
    };
    for definition in plan {
        match definitions.cards(definition) {
            Ok(cards) => defined.cards.extend(cards),
            Err(error) => defined.left.push((definition.vm.clone(), error)),
        }
    }
    let changed = defined.cards.iter();
    let changed: Vec<Card> = changed
        .filter(|card| !card.switches.is_empty())
        .cloned()
        .collect();
    if changed.is_empty() {
        return Ok(defined);
    }
    let mut session = enforcer.begin_definitions(definitions.uri(), changed)?;
    defined.commit = Some(session.commit().id);
    match change_all(&mut session, &definitions) {
        Ok(()) => session.confirm()?,
        Err(error) => {
            let taken_back = session.roll_back(&error.to_string())?;
            defined.taken_back = Some((error, taken_back));
        }
    }
    Ok(defined)
}

fn change_all(session: &mut Session<'_>, definitions: &Definitions) -> Result<(), DefinitionError> {
    let cards = &session.commit().definitions;
    let cards = cards.iter().flat_map(|definitions| &definitions.cards);
    cards
        .into_iter()
        .try_for_each(|card| definitions.change(card))
}

/// A card that was to be set back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredCard {
    /// VM and MAC address.
    pub name: String,
    /// Why it could not be, if so.
    pub failed: Option<String>,
    /// libvirt does not answer, so nothing was tried.
    pub is_untried: bool,
}

/// Takes back what a commit changed of definitions, the last card first.
pub(super) fn restore(commit: &Commit) -> Vec<RestoredCard> {
    let Some(changed) = &commit.definitions else {
        return Vec::new();
    };
    let open = Definitions::open(Some(changed.uri.clone())).map_err(|error| error.to_string());
    let restored = changed.cards.iter().rev().map(|card| {
        let done = match &open {
            Ok(definitions) => definitions
                .change(&card.reversed())
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        RestoredCard {
            name: card.name(),
            failed: done.err(),
            is_untried: open.is_err(),
        }
    });
    restored.collect()
}
