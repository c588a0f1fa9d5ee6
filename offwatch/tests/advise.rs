//! `offwatch advise` as users and programs meet it, and the documents that are
//! made from its catalogue. None of this needs root.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use offwatch::advise::{catalogue, docs, report};
use serde_json::{Value, json};

fn offwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offwatch"))
        .args(args)
        .env("HOME", "/nonexistent")
        .output()
        .expect("offwatch starts")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    path.display().to_string()
}

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name)
}

/// A document is what the catalogue makes of it; `cargo xtask docs` writes it.
fn assert_document(name: &str, made: &str) {
    let path = document(name);
    if std::env::var_os("OFFWATCH_BLESS").is_some() {
        fs::write(&path, made).expect("the document is written");
    }
    let found = fs::read_to_string(&path).expect("the document is there");
    assert!(
        found == made,
        "docs/{name} is out of date: run `cargo xtask docs`"
    );
}

#[test]
fn the_document_of_rules_is_that_of_the_catalogue() {
    assert_document("rules.md", &docs::markdown());
}

#[test]
fn the_schema_is_that_of_the_code() {
    assert_document("advice.schema.json", &report::schema());
}

#[test]
fn json_is_as_the_schema_has_it() {
    let output = offwatch(&["advise", "--json", "--replay", &data("lab.jsonl")]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let schema = fs::read_to_string(document("advice.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    if let Err(error) = validator.validate(&report) {
        panic!("{}: {error}", error.instance_path());
    }
    assert_eq!(report["schema"], "offwatch.advice");
    let mut broken = report;
    broken["advice"][0]["verdict"] = "perhaps".into();
    assert!(!validator.is_valid(&broken));
}

#[test]
fn every_rule_is_explained() {
    let list = offwatch(&["advise", "explain"]);
    for rule in catalogue::rules() {
        assert!(stdout(&list).contains(rule.id), "{} is listed", rule.id);
        let output = offwatch(&["advise", "explain", rule.id]);
        assert_eq!(output.status.code(), Some(0), "{}", rule.id);
        let text = stdout(&output);
        assert!(
            text.starts_with(rule.id) && text.contains("Sources"),
            "{text}"
        );
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", rule.id);
        }
    }
    let unknown = offwatch(&["advise", "explain", "no-such-rule-at-all"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn a_recording_is_evaluated_and_what_it_lacks_is_told() {
    let output = offwatch(&["advise", "--exit-code", "--replay", &data("lab.jsonl")]);
    assert_eq!(output.status.code(), Some(0), "no features, no findings");
    let text = stdout(&output);
    for words in ["nothing found to change", "keep-on", "cannot see, because"] {
        assert!(text.contains(words), "no '{words}' in {text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn advice_is_narrowed_to_what_was_asked_for() {
    let subjects = |args: &[&str]| -> BTreeSet<String> {
        let recording = data("lab.jsonl");
        let args = [&["advise", "--json", "--replay", &recording], args].concat();
        let report: Value = serde_json::from_slice(&offwatch(&args).stdout).expect("JSON");
        let advice = report["advice"].as_array().expect("a list").iter();
        let named = advice.filter_map(|advice| advice["subject"]["vm"].as_str());
        named.map(ToOwned::to_owned).collect()
    };
    assert!(subjects(&[]).is_superset(&["db", "web"].map(String::from).into()));
    assert_eq!(subjects(&["--vm", "d*"]), ["db".to_owned()].into());
}

#[test]
fn bad_input_is_one_line() {
    let refuses = |args: &[&str], code: i32, words: &str| {
        let output = offwatch(&[&["advise"], args].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: no '{words}' in {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    };
    let recording = data("lab.jsonl");
    refuses(&["--window", "0s"], 2, "1s to 24h");
    refuses(&["--window", "soon"], 2, "write 30s or 2m");
    refuses(&["explain", "tap-notso"], 2, "did you mean tap-no-tso?");
    refuses(
        &["--replay", &recording, "--vm", "wbe"],
        1,
        "db, legacy, web",
    );
    refuses(&["--replay", "no/such/file"], 1, "no/such/file");

    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let whole = fs::read_to_string(&recording).expect("the recording");
    let lines: Vec<&str> = whole.lines().collect();
    let version = format!("\"version\":{}", offwatch::record::VERSION);
    let header = lines[0].replace(&version, "\"version\":99");
    let newer = file("newer", format!("{header}\n{}\n", lines[1]));
    refuses(&["--replay", &newer], 1, "version 99");
    let other = file(
        "other",
        "{\"schema\":\"something.else\",\"version\":1}\n".into(),
    );
    refuses(&["--replay", &other], 1, "not a recording");
    let single = file("single", format!("{}\n{}\n", lines[0], lines[1]));
    refuses(&["--replay", &single], 1, "no window to evaluate");
    refuses(&["--trial", "no/such/file"], 1, "no/such/file");
    refuses(&["--trial", &other], 1, "not a trial");
    refuses(&["--trial", &recording], 1, "not JSON");
}

/// Of another host it is no evidence, and that is told.
#[test]
fn a_trial_is_evidence_for_its_host_alone() {
    let told = |host: &str, kernel: &str| {
        let effect = |measure: &str, verdict: &str| {
            json!({
                "measure": measure, "unit": "ns_per_byte", "without": 2.0, "with": 1.0,
                "difference_percent": {"value": -50.0, "low": -60.0, "high": -40.0},
                "rounds": [-50.0], "verdict": verdict,
            })
        };
        let trial = json!({
            "schema": "offwatch.trial", "version": 1,
            "host": {"name": host, "kernel": kernel, "online_cpus": 2, "netns": 1},
            "start_unix_ms": 1, "end_unix_ms": 2,
            "subject": {"vm": "web", "vm_uuid": null, "devs": {"owtap1": 3}},
            "change": {
                "set": "tso=off", "features": {"tx-tcp-segmentation": false}, "also": {},
                "commands": ["ethtool -K owtap1 tso off"],
            },
            "settings": {
                "rounds": 4, "seconds": 1.0, "settle_seconds": 1.0, "max_loss_percent": 20.0,
                "threshold_percent": 5.0, "floor_bytes_per_s": 1.0,
            },
            "periods": [], "conclusion": "complete", "forecast": null, "notes": [],
            "not_as_before": [],
            "effects": [effect("goodput", "better"), effect("host_cost", "better")],
        });
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("trial.json");
        fs::write(&path, trial.to_string()).expect("written");
        let path = path.to_str().expect("a path of plain text");
        let replay = data("lab.jsonl");
        let output = offwatch(&["advise", "--json", "--replay", &replay, "--trial", path]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let advice = report["advice"].as_array().expect("advice");
        let is_it =
            |advice: &&Value| advice["rule"] == "keep-on" && advice["subject"]["vm"] == "web";
        let advice = advice.iter().find(is_it).expect("what is said of web");
        (advice.clone(), report["notes"].to_string())
    };
    let replay = offwatch(&["advise", "--json", "--replay", &data("lab.jsonl")]);
    let report: Value = serde_json::from_slice(&replay.stdout).expect("JSON");
    let [host, kernel] = ["name", "kernel"].map(|key| report["host"][key].as_str().expect(key));

    let (advice, notes) = told(host, kernel);
    assert_eq!(advice["verdict"], "change");
    let used = "the trial of web (tso=off; goodput -50 % better, host CPU/byte -50 % better) is \
                evidence for the advice keep-on";
    assert!(notes.contains(used), "{notes}");
    assert_eq!(advice["fixes"][0]["dev"], "owtap1");
    assert_eq!(advice["trial"]["told"]["set"], "tso=off");
    assert_eq!(advice["trial"]["told"]["effects"][1]["verdict"], "better");
    let (advice, notes) = told(host, "5.10.0");
    assert_eq!(advice["verdict"], "keep");
    assert!(advice["trial"]["told"].is_null());
    assert!(notes.contains("Linux 5.10.0: no evidence"), "{notes}");
}
