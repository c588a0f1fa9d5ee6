//! `offwatch export` as users and Prometheus meet it, from a recording. None of this
//! needs root.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use offwatch::{
    export::{Exporter, Exposition, Format, Snapshot, Wanted, advice::Told, docs, families},
    filter::Filter,
    rank::Key,
    record::Replay,
    sample::Sample,
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn recording() -> String {
    path("tests/data/lab.jsonl").display().to_string()
}

fn offwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offwatch"))
        .args(args)
        .env("HOME", "/nonexistent")
        .output()
        .expect("offwatch starts")
}

fn stdout(args: &[&str]) -> String {
    let output = offwatch(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The last sample of the recording, and advice about all of it.
fn snapshot() -> Snapshot {
    let mut replay = Replay::open(&path("tests/data/lab.jsonl")).expect("a recording");
    let mut samples: Vec<Arc<Sample>> = Vec::new();
    while let Some(next) = replay.next_sample().expect("whole") {
        samples.push(Arc::new(next.sample));
    }
    let mut exporter = Exporter::new(Wanted {
        filter: Filter::new(&[], &[]).expect("no pattern"),
        top: 1000,
        key: Key::Cost,
    });
    let (last, before) = samples.split_last().expect("samples");
    for sample in before {
        exporter.advance(sample, None, None);
    }
    let told = Arc::new(Told::evaluate(&samples[0], last, 0));
    exporter.advance(last, Some(&told), None)
}

/// Without what is of the program alone.
fn written(format: Format) -> String {
    let chunks = Exposition::new(Arc::new(snapshot()), format);
    let bytes: Vec<u8> = chunks.flatten().collect();
    let text = String::from_utf8(bytes).expect("UTF-8");
    let lines = text.lines().filter(|line| !line.contains("offwatch_build"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn assert_file(path: &Path, made: &str, remedy: &str) {
    if std::env::var_os("OFFWATCH_BLESS").is_some() {
        fs::write(path, made).expect("it is written");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    let name = path.display();
    let difference = found
        .lines()
        .zip(made.lines())
        .find(|(one, other)| one != other);
    assert!(found == made, "{name}: {difference:?}; {remedy}");
}

#[test]
fn the_document_of_metrics_is_that_of_the_code() {
    assert_file(
        &path("../docs/metrics.md"),
        &docs::markdown(),
        "run `cargo xtask docs`",
    );
}

#[test]
fn both_formats_are_as_they_were() {
    let remedy = "look at the difference, and store it with OFFWATCH_BLESS=1";
    for (name, format) in [
        ("lab.txt", Format::Text),
        ("lab.openmetrics", Format::OpenMetrics),
    ] {
        let path = path("tests/golden/export").join(name);
        assert_file(&path, &written(format), remedy);
    }
}

#[test]
fn a_recording_is_printed_as_the_text_format() {
    let printed = stdout(&["export", "--once", "--replay", &recording()]);
    let lines = printed
        .lines()
        .filter(|line| !line.contains("offwatch_build"));
    let printed: String = lines.map(|line| format!("{line}\n")).collect();
    assert_eq!(printed, written(Format::Text));
    // Of a recording, nothing is told of this process, but when it was made.
    assert!(printed.contains("\noffwatch_sample_timestamp_seconds 1795403299.432\n"));
    for own in ["process_", "offwatch_samples_", "offwatch_sample_duration_"] {
        assert!(!printed.contains(own), "{own}");
    }
}

/// Series by name and labels; none is there twice.
fn series(text: &str) -> BTreeMap<&str, &str> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        assert_eq!(all.insert(series, value), None, "twice: {series}");
    }
    all
}

#[test]
fn both_formats_have_the_same_series() {
    let (text, open) = (written(Format::Text), written(Format::OpenMetrics));
    let (mut text, open) = (series(&text), series(&open));
    // There is no count without a sum in OpenMetrics.
    text.retain(|series, _| !series.contains("_gso_size_bytes_count"));
    assert_eq!(text, open);
    assert!(written(Format::OpenMetrics).ends_with("\n# EOF\n"));
}

#[test]
fn values_are_those_of_top() {
    let text = written(Format::Text);
    let series = series(&text);
    let top = stdout(&["top", "--once", "--json", "--replay", &recording()]);
    let top: serde_json::Value = serde_json::from_str(&top).expect("JSON");
    let mut compared = 0;
    for vm in top["vms"].as_array().expect("VMs") {
        for card in vm["interfaces"].as_array().expect("cards") {
            let labels = format!("{{vm={},dev={}}}", vm["name"], card["dev"]);
            for (metric, value) in [
                ("receive_packets", &card["to_vm"]["packets_total"]),
                ("receive_bytes", &card["to_vm"]["bytes_total"]),
                ("receive_gso_segments", &card["to_vm"]["gso_segments_total"]),
                ("transmit_packets", &card["from_vm"]["packets_total"]),
                ("transmit_gso_bytes", &card["from_vm"]["gso_bytes_total"]),
                ("transmit_drops", &card["from_vm"]["drops_total"]),
                (
                    "software_segments",
                    &card["to_vm"]["software_segments_total"],
                ),
                (
                    "caused_software_segments",
                    &card["caused"]["software_segments_total"],
                ),
            ] {
                let name = format!("offwatch_vm_{metric}_total{labels}");
                let exported = series.get(&*name).copied();
                assert_eq!(exported, Some(&*value.to_string()), "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 24, "{compared}");
}

#[test]
fn advice_is_that_of_advise() {
    let text = written(Format::Text);
    let series = series(&text);
    let report = stdout(&["advise", "--json", "--replay", &recording()]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let expected: BTreeSet<String> = report["advice"]
        .as_array()
        .expect("advice")
        .iter()
        .map(|advice| {
            let subject = &advice["subject"];
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "offwatch_advice{{rule={},vm=\"{}\",dev=\"{}\",verdict={}}}",
                advice["rule"],
                text(&subject["vm"]),
                text(&subject["dev"]),
                advice["verdict"]
            )
        })
        .collect();
    let told = series
        .keys()
        .filter(|name| name.starts_with("offwatch_advice{"));
    let told: BTreeSet<String> = told.map(|name| (*name).to_owned()).collect();
    assert!(!told.is_empty());
    assert_eq!(told, expected);
}

#[test]
fn top_and_filters_bound_what_is_told() {
    let count = |args: &[&str], metric: &str| {
        let recording = recording();
        let mut all = vec!["export", "--once", "--replay", &recording];
        all.extend(args);
        let text = stdout(&all);
        let series = series(&text);
        let names = series.keys().filter(|name| name.starts_with(metric));
        (
            names.count(),
            series["offwatch_interfaces_left_out"].to_owned(),
        )
    };
    let cards = "offwatch_vm_receive_packets_total{";
    assert_eq!(count(&[], cards), (3, "0".into()));
    assert_eq!(count(&["--top", "1"], cards).0, 1);
    assert_eq!(count(&["--top", "1"], "offwatch_vm_info{"), (1, "3".into()));
    assert_eq!(count(&["--top", "0"], cards), (3, "0".into()));
    assert_eq!(count(&["--vm", "legacy"], cards), (1, "0".into()));
    let bytes = "offwatch_host_vm_receive_bytes_total 256882950";
    let text = stdout(&["export", "--once", "--replay", &recording(), "--top", "1"]);
    assert!(text.contains(bytes), "sums are of all");
}

#[test]
fn wrong_use_is_told_in_one_line() {
    let recording = recording();
    for (args, code, words) in [
        (vec!["export", "--replay", &recording], 2, "--once"),
        (
            vec!["export", "--once", "--replay", "/nonexistent"],
            1,
            "/nonexistent",
        ),
        (
            vec!["export", "--once", "--replay", &recording, "--vm", "nobody"],
            1,
            "'nobody' matches no VM",
        ),
        (
            vec!["export", "--textfile", "/tmp/offwatch.txt"],
            1,
            "names end in .prom",
        ),
        (vec!["export", "--sort", "size"], 2, "not a sort key"),
    ] {
        let output = offwatch(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}

#[test]
fn names_are_as_prometheus_wants_them() {
    let mut seen = BTreeSet::new();
    for family in families::all() {
        let name = family.name;
        assert!(seen.insert(name), "{name} is there twice");
        if let Some(unit) = family.unit {
            assert!(name.ends_with(&format!("_{unit}")), "{name} in {unit}");
        }
        for end in ["_total", "_info", "_count", "_sum", "_bucket"] {
            assert!(!name.ends_with(end), "{name}");
        }
        let is_plain = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
        assert!(name.bytes().all(is_plain), "{name}");
        // Nothing to be escaped in either format.
        assert!(!family.help.contains(['"', '\\', '\n']), "{name}");
        assert!(family.help.ends_with('.'), "{name}");
    }
}
