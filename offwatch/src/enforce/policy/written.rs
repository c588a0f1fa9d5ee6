//! A policy as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::error::{PolicyError, Problem, line};
use crate::{enforce::canary, text::nearest};

/// What offwatch enforce keeps on a host.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Policy")]
pub(super) struct Written {
    /// Version of this form: 1.
    #[schemars(with = "u64", extend("const" = super::VERSION))]
    pub(super) version: Spanned<u64>,
    /// What the command line says otherwise is done.
    #[serde(default)]
    pub(super) defaults: Defaults,
    /// How often --watch makes a change again.
    #[serde(default)]
    pub(super) watch: Watch,
    /// How a canary is judged.
    #[schemars(with = "Option<canary::Settings>")]
    pub(super) canary: Option<Spanned<canary::Settings>>,
    /// What is wanted of which interfaces.
    #[serde(default)]
    #[schemars(with = "Vec<Rule>")]
    pub(super) rule: Vec<Spanned<Rule>>,
}

/// What is done unless the command line says otherwise.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    /// Changes are taken back unless they are confirmed within this time, such
    /// as 120s.
    #[schemars(with = "Option<String>")]
    pub(super) confirm: Option<Spanned<String>>,
    /// Changes are made on one interface first, then on few, then on all.
    #[serde(default)]
    pub(super) canary: bool,
}

/// How often --watch makes a change of one interface again before it is contested.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    /// So often at once.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    pub(super) burst: Option<Spanned<u32>>,
    /// So often a minute, over time.
    #[schemars(with = "Option<u32>", range(max = 1000))]
    pub(super) per_minute: Option<Spanned<u32>>,
}

/// What is wanted of some interfaces.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Which interfaces.
    #[schemars(with = "Match")]
    pub(super) r#match: Spanned<Match>,
    /// Features by the kernel's names or ethtool's, and whether they are to be on.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, bool>")]
    pub(super) features: BTreeMap<Spanned<String>, bool>,
    /// What the definitions of VMs are to offer the guest.
    #[serde(default)]
    pub(super) definition: Definition,
    /// Why, for people.
    pub(super) reason: Option<String>,
}

/// Which interfaces: all that is given holds. Names may be patterns, with * and ?.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Match {
    /// Name of the VM.
    #[schemars(with = "Option<String>")]
    pub(super) vm: Option<Spanned<String>>,
    /// Name of the bridge, bond or switch that the interface belongs to.
    #[schemars(with = "Option<String>")]
    pub(super) bridge: Option<Spanned<String>>,
    /// Name of the interface.
    #[schemars(with = "Option<String>")]
    pub(super) device: Option<Spanned<String>>,
    /// Its driver, as ethtool -i prints it.
    #[schemars(with = "Option<String>")]
    pub(super) driver: Option<Spanned<String>>,
    /// The guest's operating system, as libosinfo names it.
    #[schemars(with = "Option<String>")]
    pub(super) os: Option<Spanned<String>>,
    /// Rule of offwatch advise: what it advises is done.
    #[schemars(with = "Option<String>")]
    pub(super) advice: Option<Spanned<String>>,
}

/// What libvirt's definition of a card offers the guest, from its next cold start on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    /// Attributes of <driver><host/>: what the guest may send.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, bool>")]
    pub(super) host: BTreeMap<Spanned<String>, bool>,
    /// Attributes of <driver><guest/>: what it may receive.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, bool>")]
    pub(super) guest: BTreeMap<Spanned<String>, bool>,
}

/// The JSON schema of a policy.
pub fn schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Written).to_value())
}

impl Written {
    pub(super) fn read(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let start = span.start.min(text.len());
            let line = line(&text.as_bytes()[..start]);
            let before = text.get(..start).unwrap_or_default();
            let key = before.rsplit(['\n', ',', '{']).next().unwrap_or_default();
            let value = text.get(start..).unwrap_or_default();
            let problem = match in_plain_words(error.message(), key, value) {
                Some(words) => Problem::Form(words.into()),
                None => problem(error.message()),
            };
            PolicyError::at(line, problem)
        })
    }
}

/// What to write instead of a value of another type, if that is what is wrong: of a
/// key (with its sign), and what follows it.
fn in_plain_words(message: &str, key: &str, value: &str) -> Option<&'static str> {
    let is = |word: &str| key.trim().trim_end_matches('=').trim_end().ends_with(word);
    let is_quoted = value.starts_with(['"', '\'']);
    let word: &str = value.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let is_like_a_switch = ["on", "off", "yes", "no", "True", "False"].contains(&word);
    let expected = message
        .rsplit_once("expected ")
        .map(|(_, what)| what.trim());
    match expected {
        Some("a boolean") => Some("write true or false"),
        Some("a string") if is("confirm") => Some("write a time such as \"120s\""),
        Some("a string" | "a borrowed string") => Some("write a text in quotes"),
        Some("u8" | "u16" | "u32" | "u64" | "usize") => {
            Some("write a whole number, 0 or more, without quotes")
        }
        Some("f64" | "f32") => Some("write a number, without quotes"),
        _ if !is_quoted && key.contains('=') && is_like_a_switch => Some("write true or false"),
        _ => None,
    }
}

/// serde tells of a key that nobody knows in words alone: the key, then those
/// that are known, each in backticks.
fn problem(message: &str) -> Problem {
    if !message.starts_with("unknown field `") {
        // Parts of it are told on lines of their own.
        let words: Vec<&str> = message.split_whitespace().collect();
        return Problem::Form(words.join(" "));
    }
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let key = quoted.next().unwrap_or_default();
    let known: Vec<String> = quoted.collect();
    Problem::UnknownKey {
        nearest: nearest(&key, known.iter().map(String::as_str)).map(str::to_owned),
        key,
        known,
    }
}
