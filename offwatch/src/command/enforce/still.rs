//! Whether what a commit changed is still so. Only reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    enforce::{
        journal::Entry,
        kernel::{Kernel, Refusal},
    },
    sample::offloads::{FeatureNames, FeatureSet},
};

/// How what was sent to an interface stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Still {
    /// As it was asked for.
    AsApplied,
    /// These features are not: how they are.
    Differs(BTreeMap<String, bool>),
    /// The interface is gone, or another one has its name.
    Gone,
    /// It cannot be read, because.
    Unknown(String),
}

impl Still {
    /// Reads it.
    pub(super) fn of(entry: &Entry, names: &FeatureNames, kernel: &mut dyn Kernel) -> Self {
        let active = match kernel.of(&entry.id) {
            Ok(features) => features.active,
            Err(Refusal::Gone(_)) => return Self::Gone,
            Err(refusal) => return Self::Unknown(refusal.to_string()),
        };
        let wrong: FeatureSet = (active ^ entry.set.on) & entry.set.mask;
        let named = wrong.iter().filter_map(|bit| {
            let name = names.name(bit)?;
            Some((name.to_owned(), active.contains(bit)))
        });
        match wrong.is_empty() {
            true => Self::AsApplied,
            false => Self::Differs(named.collect()),
        }
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::AsApplied => "still so".into(),
            Self::Differs(features) => {
                let features = features.iter().map(|(name, on)| match on {
                    true => format!("{name} is on"),
                    false => format!("{name} is off"),
                });
                format!("now {}", features.collect::<Vec<_>>().join(", "))
            }
            Self::Gone => "the interface is gone, has another name now, or is another one".into(),
            Self::Unknown(because) => format!("how it is now cannot be read: {because}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::{
        apply::testing::{GRO, InMemory, State},
        journal::Store,
    };

    #[test]
    fn what_others_changed_since_is_told() {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        let changes = vec![host.change("tap0", &[(GRO, false)])];
        let mut enforcer = state.enforcer(&host);
        enforcer.keep(&changes).expect("kept");
        let commit = Store::open(&state.path()).get(1).expect("it").commit;
        let still = || Still::of(&commit.entries[0], &commit.names, &mut host.clone());
        assert_eq!(still(), Still::AsApplied);
        host.edit("tap0", |device| {
            let gro = FeatureSet::from_iter([GRO]);
            device.features.active = device.features.active | gro;
        });
        assert_eq!(still().words(), "now rx-gro is on");
        let json = serde_json::json!(still());
        assert_eq!(json, serde_json::json!({ "differs": { "rx-gro": true } }));
        host.edit("tap0", |device| device.dev = "tap1".into());
        assert_eq!(still(), Still::Gone);
    }
}
