//! What the user searches for.

use globset::{GlobBuilder, GlobSet};

use crate::model::Port;

/// A part of the name of a VM, an interface or a bridge in either case, or a
/// glob for the whole name.
#[derive(Clone, Debug)]
pub(super) struct Search {
    typed: String,
    lower: String,
    glob: Option<GlobSet>,
}

impl Search {
    /// `None` for an empty text. What is no valid glob is searched as it is.
    pub(super) fn new(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let has_wildcard = text.contains(['*', '?', '[', '{']);
        // A set reports a glob that is too large where a single matcher panics.
        let glob = || {
            let glob = GlobBuilder::new(text).case_insensitive(true).build().ok()?;
            GlobSet::builder().add(glob).build().ok()
        };
        Some(Self {
            typed: text.to_owned(),
            lower: text.to_lowercase(),
            glob: has_wildcard.then(glob).flatten(),
        })
    }

    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(name),
            None => name.to_lowercase().contains(&self.lower),
        }
    }

    pub(super) fn matches_interface(&self, interface: &Port) -> bool {
        let master = || interface.master();
        interface.dev().is_some_and(|dev| self.matches(dev))
            || master().is_some_and(|master| self.matches(&master))
    }
}
