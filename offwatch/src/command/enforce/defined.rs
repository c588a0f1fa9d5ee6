//! How `--apply` tells of VMs' definitions.

use serde_json::{Value, json};

use super::taken_back;
use crate::enforce::{apply::Defined, error::EnforceError, plan::Definition};

/// What is told.
#[derive(Default)]
pub(super) struct ToldDefinitions {
    /// What the plan asks of them, where nothing was to be written; people were
    /// told with the rest of the plan.
    pub(super) only_told: Vec<Definition>,
    /// What became of them.
    pub(super) defined: Option<Defined>,
    /// Why they could not be written or told of, if so.
    pub(super) failed: Option<EnforceError>,
}

impl ToldDefinitions {
    /// Whether all that was to be written is.
    pub(super) fn is_complete(&self) -> bool {
        let defined = self.defined.as_ref();
        self.failed.is_none()
            && defined.is_none_or(|defined| defined.left.is_empty() && defined.taken_back.is_none())
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if let Some(error) = &self.failed {
            text += &format!("definitions: {error}\n");
        }
        let Some(defined) = &self.defined else {
            return text;
        };
        if let Some((error, taken_back)) = &defined.taken_back {
            text += &format!("no definition was changed: {error}\n");
            return text + &taken_back::text(taken_back.as_slice());
        }
        if let Some(id) = defined.commit {
            text += &format!("commit {id}\n");
        }
        for card in &defined.cards {
            text += &match card.switches.is_empty() {
                true => format!(
                    "  {}: its definition is as asked for already\n",
                    card.name()
                ),
                false => format!(
                    "  {}: {} in its definition; takes effect at the next cold start\n",
                    card.name(),
                    card.words()
                ),
            };
        }
        for (_, error) in &defined.left {
            text += &format!("  left: {error}\n");
        }
        text
    }

    /// For programs.
    pub(super) fn value(&self) -> Value {
        let only_told = self.only_told.iter().map(|definition| {
            json!({ "vm": definition.vm, "mac": definition.mac, "told": words(definition) })
        });
        let defined = self.defined.as_ref().map(|defined| {
            let left = defined.left.iter();
            let left = left.map(|(vm, error)| json!({ "vm": vm, "because": error.to_string() }));
            let taken_back = defined.taken_back.as_ref();
            json!({
                "commit": defined.commit,
                "cards": defined.cards,
                "left": left.collect::<Vec<_>>(),
                "taken_back_because": taken_back.map(|(error, _)| error.to_string()),
                "taken_back": taken_back.and_then(|(_, taken)| taken.as_ref()).map(taken_back::value),
            })
        });
        json!({
            "not_written": only_told.collect::<Vec<_>>(),
            "written": defined,
            "failed": self.failed.as_ref().map(ToString::to_string),
        })
    }
}

fn words(definition: &Definition) -> String {
    let sides = [("host", &definition.host), ("guest", &definition.guest)];
    let words = sides.into_iter().flat_map(|(side, attributes)| {
        attributes.iter().map(move |(attribute, on)| {
            let state = if *on { "on" } else { "off" };
            format!("{side} {attribute} {state}")
        })
    });
    words.collect::<Vec<_>>().join(", ")
}
