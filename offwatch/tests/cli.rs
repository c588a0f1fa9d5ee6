//! The command as users meet it: output, one-line errors and exit codes. None
//! of this needs root.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn offwatch(args: &[&str]) -> Output {
    run(args, None)
}

fn run(args: &[&str], stdin: Option<&[u8]>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_offwatch"))
        .args(args)
        // No init file of whoever runs the test.
        .env("HOME", "/nonexistent")
        .stdin(if stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("offwatch starts");
    if let (Some(bytes), Some(mut pipe)) = (stdin, child.stdin.take()) {
        // It may have refused the input before reading all of it.
        let _ = pipe.write_all(bytes);
    }
    child.wait_with_output().expect("offwatch ends")
}

/// The recording of a lab: three guests, of which `legacy` refuses TSO.
fn recording() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/lab.jsonl");
    path.display().to_string()
}

/// It fails with this code, one line on stderr and nothing on stdout.
fn refuses(args: &[&str], code: i32, words: &str) {
    refused(&offwatch(args), args, code, words);
}

fn refused(output: &Output, args: &[&str], code: i32, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert_eq!(
        stderr.trim_end().lines().count(),
        1,
        "{args:?}: not one line: {stderr}"
    );
    assert!(
        stderr.contains(words),
        "{args:?}: no '{words}' in: {stderr}"
    );
    assert!(stderr.starts_with("offwatch: "), "{args:?}: {stderr}");
    assert!(
        output.stdout.is_empty(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn wrong_usage_is_one_line_and_code_2() {
    refuses(&["top", "--interval", "0"], 2, "--interval");
    refuses(&["top", "--interval", "soon"], 2, "not a number of seconds");
    refuses(&["top", "--hook", "magic"], 2, "--hook");
    refuses(&["top", "--nonsense"], 2, "--nonsense");
    refuses(&["top", "--once", "--stream"], 2, "--stream");
    refuses(&["top", "-d", "-1"], 2, "must be from 0.1");
    refuses(&["tpo"], 2, "tpo");
    refuses(&[], 2, "requires a subcommand");
    refuses(&["top", "--replay", "x", "--hook", "tp"], 2, "--replay");
    refuses(
        &["top", "-c", "qemu+ssh://elsewhere/system"],
        2,
        "another host",
    );
}

#[test]
fn bad_replays_are_one_line_and_code_1() {
    refuses(&["top", "--replay", "no/such/file"], 1, "no/such/file");
    let refuse = |input: &[u8], words: &str| {
        for format in [&["--once"][..], &["--once", "--json"], &["--stream"]] {
            let args = [&["top", "--replay", "-"][..], format].concat();
            refused(&run(&args, Some(input)), &args, 1, words);
        }
    };
    refuse(b"", "not a recording");
    refuse(b"\x7fELF\x02\x01", "not a recording");
    refuse(
        b"{\"schema\":\"offwatch.recording\",\"version\":99}\n",
        "version 99",
    );
    refuse(
        b"{\"schema\":\"offwatch.recording\",\"version\":3}\n",
        "no sample",
    );
    refuse(
        b"{\"schema\":\"offwatch.recording\",\"version\":3}\n{\"a\":1}\n",
        "line 2",
    );
    let whole = std::fs::read(recording()).expect("the recording");
    let second = whole
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("a header line");
    refuse(&whole[..second + 100], "truncated");
}

#[test]
fn unknown_names_are_told_with_those_there_are() {
    let path = recording();
    refuses(
        &["top", "--once", "--replay", &path, "--vm", "wbe"],
        1,
        "db, legacy, web",
    );
    refuses(
        &["top", "--once", "--replay", &path, "--dev", "eth9"],
        1,
        "br0",
    );
    refuses(
        &["top", "--once", "--replay", &path, "--vm", "a[b"],
        1,
        "valid pattern",
    );
}

#[test]
fn an_unwritable_recording_is_told_before_anything_starts() {
    refuses(
        &["top", "--once", "--record", "/no/such/directory/file"],
        1,
        "/no/such/directory/file",
    );
}

#[test]
fn a_recording_is_shown_as_a_table() {
    let output = offwatch(&["top", "--once", "--replay", &recording()]);
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).expect("plain text");
    let row = |label: &str| {
        table
            .lines()
            .find(|line| line.starts_with(label))
            .map(str::to_owned)
    };
    let legacy = row("legacy").expect("a row for legacy");
    let web = row("web").expect("a row for web");
    assert!(
        row("bridge").is_some_and(|row| row.contains("br0")),
        "{table}"
    );
    // SWSEG/s is the tenth column: cut for legacy, not for web.
    let cut = |row: &str| row.split_whitespace().nth(9).map(str::to_owned);
    assert_eq!(cut(&web).as_deref(), Some("0"), "{table}");
    assert!(
        cut(&legacy).is_some_and(|cut| cut.ends_with('k')),
        "{table}"
    );
}

#[test]
fn a_recording_is_shown_as_json() {
    let output = offwatch(&[
        "top",
        "--once",
        "--json",
        "--replay",
        &recording(),
        "--vm",
        "leg*",
    ]);
    assert!(output.status.success());
    let model: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(model["schema"], "offwatch.top");
    assert_eq!(model["vms"].as_array().map(Vec::len), Some(1));
    let card = &model["vms"][0]["interfaces"][0];
    assert!(
        card["to_vm"]["software_segments_per_s"]
            .as_f64()
            .is_some_and(|rate| rate > 1000.0)
    );
    assert!(card["from_vm"]["software_segments_total"].is_null());
    assert!(card["unavailable"]["from_vm.software_segments_total"].is_string());
}

#[test]
fn json_alone_is_one_object() {
    let output = offwatch(&["top", "--json", "--replay", &recording()]);
    assert!(output.status.success());
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok());
}

#[test]
fn what_is_whole_of_a_truncated_recording_is_shown_before_the_error() {
    let whole = std::fs::read(recording()).expect("the recording");
    let output = run(
        &["top", "--once", "--replay", "-"],
        Some(&whole[..whole.len() - 100]),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("legacy"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("truncated"));
}

#[test]
fn a_recording_never_overwrites_what_it_replays() {
    let copy = tempfile::NamedTempFile::new().expect("a temporary file");
    let whole = std::fs::read(recording()).expect("the recording");
    std::fs::write(copy.path(), &whole).expect("a copy");
    let path = copy.path().display().to_string();
    refuses(
        &["top", "--replay", &path, "--record", &path],
        1,
        "another file",
    );
    assert_eq!(std::fs::read(copy.path()).expect("the copy"), whole);
}

#[test]
fn a_stream_is_one_object_a_line() {
    let output = offwatch(&[
        "top",
        "--stream",
        "--json",
        "--replay",
        &recording(),
        "-n",
        "2",
    ]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("plain text");
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_offwatch"))
        .args(["top", "--stream", "--replay", &recording()])
        .env("HOME", "/nonexistent")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("offwatch starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("offwatch ends");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn too_few_open_files_are_told_with_what_to_do() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 20; exec \"$0\" top --once"])
        .arg(env!("CARGO_BIN_EXE_offwatch"))
        .output()
        .expect("a shell");
    refused(&output, &["top"], 1, "raise ulimit -n");
}

#[test]
fn help_and_version_go_to_stdout() {
    for args in [&["--help"][..], &["top", "--help"], &["--version"]] {
        let output = offwatch(args);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{args:?}"
        );
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("offwatch"),
            "{args:?}"
        );
    }
}
