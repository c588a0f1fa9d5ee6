//! Files that options name: what two options have in common, what goes to
//! stdout, and a home that cannot be read. None of this needs root.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lab.jsonl")
}

/// Replays the recording of a lab in a directory.
fn replay(directory: &Path, home: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offwatch"))
        .args(["top", "--replay"])
        .arg(recording())
        .args(args)
        .env("HOME", home)
        .current_dir(directory)
        .output()
        .expect("offwatch runs")
}

#[test]
fn two_options_never_write_one_file() {
    let directory = tempfile::tempdir().expect("a directory");
    for (args, words) in [
        (
            ["--csv", "x", "--csv-long", "x"],
            "--csv and --csv-long name the same file: x",
        ),
        (["--csv", "x", "--record", "./x"], "the same file"),
        (["--csv", "-", "--record", "-"], "the same file: stdout"),
    ] {
        let output = replay(directory.path(), "/nonexistent", &args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    let left = std::fs::read_dir(directory.path()).expect("it is there");
    assert_eq!(left.count(), 0, "nothing is created");
}

#[test]
fn no_output_overwrites_what_is_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read(recording()).expect("the recording");
    let copy = directory.path().join("copy");
    for option in ["--csv", "--csv-long", "--debug"] {
        std::fs::write(&copy, &whole).expect("a copy");
        let output = Command::new(env!("CARGO_BIN_EXE_offwatch"))
            .args(["top", "--stream", "--replay", "copy", option, "copy"])
            .env("HOME", "/nonexistent")
            .current_dir(directory.path())
            .output()
            .expect("offwatch runs");
        assert_eq!(output.status.code(), Some(1), "{option}");
        assert_eq!(std::fs::read(&copy).expect("the copy"), whole, "{option}");
    }
}

#[test]
fn tidy_csv_on_stdout_is_alone_there() {
    let directory = tempfile::tempdir().expect("a directory");
    for form in [&["--once"][..], &["--stream"], &[]] {
        let args = [form, &["--csv-long", "-"]].concat();
        let output = replay(directory.path(), "/nonexistent", &args);
        assert!(output.status.success(), "{form:?}");
        let mut rows = csv::Reader::from_reader(output.stdout.as_slice());
        let names = rows.headers().expect("a header").clone();
        assert!(names.iter().any(|name| name == "vm"), "{form:?}: {names:?}");
        let rows: Vec<_> = rows.records().collect();
        assert!(!rows.is_empty(), "{form:?}");
        assert!(rows.iter().all(Result::is_ok), "{form:?}: only rows");
    }
    assert!(!directory.path().join("-").exists(), "no file of that name");
}

#[test]
fn a_home_that_cannot_be_read_is_told_and_no_obstacle() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = replay(directory.path(), "/dev/null", &["--stream"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("cannot read /dev/null/.virt-toprc"),
        "{stderr}"
    );
    assert!(!output.stdout.is_empty());
    // A file that was asked for has to be there to be read.
    let args = ["--stream", "--init-file", "/dev/null/rc"];
    let output = replay(directory.path(), "/nonexistent", &args);
    assert_eq!(output.status.code(), Some(1));
}
