//! What there is in files about the policy of `offwatch enforce`. None of this
//! needs root.

use std::{
    fs,
    path::{Path, PathBuf},
};

use offwatch::enforce::policy::{self, Policy};
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn example() -> String {
    fs::read_to_string(path("contrib/policy.toml")).expect("the example is there")
}

#[test]
fn the_schema_of_a_policy_is_that_of_the_code() {
    let path = path("docs/policy.schema.json");
    if std::env::var_os("OFFWATCH_BLESS").is_some() {
        fs::write(&path, policy::schema()).expect("the document is written");
    }
    let found = fs::read_to_string(&path).expect("the document is there");
    assert!(
        found == policy::schema(),
        "docs/policy.schema.json is out of date: run `cargo xtask docs`"
    );
}

fn is_valid(text: &str) -> bool {
    let schema: Value = serde_json::from_str(&policy::schema()).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let value: toml::Value = toml::from_str(text).expect("TOML");
    schema.is_valid(&serde_json::to_value(value).expect("JSON"))
}

#[test]
fn the_schema_holds_for_what_is_read() {
    assert!(is_valid(&example()));
    for wrong in [
        "version = 2",
        "version = 1\nunknown = 1",
        "version = 1\nwatch.burst = 0",
        "version = 1\n[[rule]]\nfeatures.tso = true",
        "version = 1\n[[rule]]\nmatch.vm = \"a\"\nfeatures.tso = \"on\"",
    ] {
        assert!(!is_valid(wrong), "{wrong}");
        assert!(Policy::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_example_is_a_policy_and_shows_every_key() {
    let policy = Policy::parse(example().as_bytes()).expect("a policy");
    assert!(policy.rules.len() >= 4);
    // What needs an advice is in a comment: it holds without the marks, too.
    let (plain, commented) = example().split_once("# [[rule]]").map_or_else(
        || panic!("no rule with advice"),
        |(plain, rest)| {
            (
                plain.to_owned(),
                format!("[[rule]]{}", rest.replace("\n# ", "\n")),
            )
        },
    );
    let policy = Policy::parse(format!("{plain}{commented}").as_bytes()).expect("a policy");
    let last = policy.rules.last().expect("a rule");
    assert_eq!(last.matches.advice.as_deref(), Some("tap-no-tso"));
    let matches = policy.rules.iter().map(|rule| &rule.matches);
    assert!(matches.clone().any(|given| given.vm.is_some()));
    assert!(matches.clone().any(|given| given.bridge.is_some()));
    assert!(matches.clone().any(|given| given.device.is_some()));
    assert!(matches.clone().any(|given| given.driver.is_some()));
    assert!(matches.clone().any(|given| given.os.is_some()));
    assert!(policy.rules.iter().any(|rule| rule.reason.is_some()));
    assert!(policy.rules.iter().any(|rule| !rule.definition.is_empty()));
    let confirming = example().replace("# confirm =", "confirm =");
    let policy = Policy::parse(confirming.as_bytes()).expect("a policy");
    assert!(policy.confirm.is_some());
}

#[test]
fn the_document_names_every_key() {
    let document = fs::read_to_string(path("docs/policy.md")).expect("the document is there");
    let schema: Value = serde_json::from_str(&policy::schema()).expect("JSON");
    let keys = |of: &str| {
        let properties = schema["$defs"][of]["properties"].as_object();
        let properties = properties.unwrap_or_else(|| panic!("no {of}"));
        properties.keys().cloned().collect::<Vec<_>>()
    };
    for key in keys("Match").into_iter().chain(keys("Rule")) {
        assert!(document.contains(&format!("`{key}`")), "{key}");
    }
    for key in keys("Watch") {
        assert!(document.contains(&format!("`watch.{key}`")), "{key}");
    }
    for key in keys("Defaults") {
        assert!(document.contains(&format!("`defaults.{key}`")), "{key}");
    }
}
