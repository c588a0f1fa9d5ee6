//! Recordings on the screen.

use std::{io::Write as _, path::Path};

use nix::sys::stat::Mode;

use super::{
    HOUR, recording, replay,
    tmux::{self, Tmux},
};

#[test]
fn a_recording_is_played_stepped_and_jumped_through() {
    if !tmux::is_there() {
        return;
    }
    let terminal = replay(80, 24, 3, "");
    terminal.text(",");
    terminal.wait_for("sample 2 of 3 - held");
    terminal.text("J");
    terminal.wait_for("Go to time");
    terminal.text("10:00");
    terminal.keys(&["Enter"]);
    let screen = terminal.wait_for("sample 1 of 3 - held");
    assert!(screen.starts_with("virt-top 10:00:00 - x86_64"), "{screen}");
    terminal.text("J+3700");
    terminal.keys(&["Enter"]);
    terminal.wait_for("sample 3 of 3 - held");
    terminal.text(".");
    terminal.wait_for("end of the recording");
    terminal.text("J-99999");
    terminal.keys(&["Enter"]);
    terminal.wait_for("sample 1 of 3 - held");
    terminal.text("]]");
    terminal.wait_for("speed 4 - held");
    terminal.text("[[[p");
    terminal.wait_for("speed 0.5 - playing");
    // A second apart, they come by themselves.
    recording::record(&terminal.path("recording"), 5, 1);
    terminal.text("...");
    terminal.wait_for("of 8 - speed 0.5 - held");
    terminal.text("]]]]p");
    terminal.wait_for("end of the recording");
}

#[test]
fn a_recorded_hour_is_seen_through() {
    if !tmux::is_there() {
        return;
    }
    let script = "\"$BIN\" top --replay recording";
    let terminal = Tmux::new();
    recording::record(&terminal.path("recording"), 1200, 3);
    terminal.run(80, 24, script);
    terminal.wait_for("of 1200 - playing");
    terminal.text("J10:59:57");
    terminal.keys(&["Enter"]);
    let screen = terminal.wait_for("sample 1200 of 1200 - held");
    assert!(screen.starts_with("virt-top 10:59:57"), "{screen}");
    terminal.text("J10:30");
    terminal.keys(&["Enter"]);
    terminal.wait_for("sample 601 of 1200 - held");
    // What was before is there, too.
    terminal.keys(&["Home", "Enter"]);
    terminal.wait("a whole sparkline", |screen| {
        let mut lines = screen
            .lines()
            .skip_while(|line| !line.starts_with("RX bit/s"));
        let bars = lines.nth(2).unwrap_or_default();
        bars.chars()
            .take(39)
            .filter(|char| "▁▂▃▄▅▆▇█".contains(*char))
            .count()
            == 39
    });
}

#[test]
fn a_recording_that_breaks_off_is_shown_as_far_as_it_goes() {
    if !tmux::is_there() {
        return;
    }
    let script = "\"$BIN\" top --replay recording";
    let terminal = Tmux::new();
    let path = terminal.path("recording");
    recording::record(&path, 3, HOUR);
    let whole = std::fs::read(&path).expect("a recording");
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("cut");
    terminal.run(80, 24, script);
    terminal.wait_for("sample 1 of 2 - playing");
    terminal.text("..");
    terminal.wait_for("recording is truncated: record 4");
}

#[test]
fn keys_work_while_the_source_is_waited_for() {
    if !tmux::is_there() {
        return;
    }
    let terminal = Tmux::new();
    let path = terminal.path("recording");
    recording::record(&path, 2, 1);
    let whole = std::fs::read(&path).expect("a recording");
    nix::unistd::mkfifo(&terminal.path("pipe"), Mode::S_IRWXU).expect("a pipe");
    terminal.run(80, 24, "\"$BIN\" top --replay pipe");
    let pipe = std::fs::OpenOptions::new()
        .write(true)
        .open(terminal.path("pipe"));
    let mut pipe = pipe.expect("opened when it is read");
    // The start of the run, and nothing yet of what it needs.
    pipe.write_all(&whole[..200]).expect("written");
    terminal.wait_for("waiting for the first sample");
    terminal.text("h");
    terminal.wait_for("offwatch top: keys");
    terminal.text("x");
    terminal.wait_for("waiting for the first sample");
    pipe.write_all(&whole[200..]).expect("written");
    terminal.wait_for("virt-top 10:00:01");
    terminal.text(",");
    terminal.wait_for("comes from a pipe");
    drop(pipe);
    terminal.text(".");
    terminal.wait_for("end of the recording");
}

#[test]
fn a_conversion_needs_no_screen() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    recording::record(&path("recording"), 3, HOUR);
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_offwatch"))
            .args(["top", "--stream", "--replay", "recording"])
            .args(args)
            .current_dir(directory.path())
            .output()
            .expect("offwatch runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    };
    run(&["--csv-long", "rows.csv", "--record", "copy"]);
    let rows = std::fs::read_to_string(path("rows.csv")).expect("rows");
    // Seven cards, twice, and a heading.
    assert_eq!(rows.lines().count(), 1 + 2 * 7, "{rows}");
    assert!(is_same(&path("recording"), &path("copy")));
}

/// Whether two recordings hold the same samples.
fn is_same(one: &Path, other: &Path) -> bool {
    let samples = |path: &Path| {
        let recording = offwatch::record::Recording::open(path).expect("a recording");
        let samples = (0..recording.len()).map(|number| recording.sample(number).expect("whole"));
        samples.collect::<Vec<_>>()
    };
    samples(one) == samples(other)
}
