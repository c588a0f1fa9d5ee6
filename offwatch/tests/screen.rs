//! The screen in a real terminal: every key and view, played from a recording
//! and compared with stored screens, and what is left of it afterwards.
//!
//! `OFFWATCH_BLESS=1 cargo test --test screen` stores the screens again.

#[path = "screen/recording.rs"]
mod recording;
#[path = "screen/tmux.rs"]
mod tmux;

use std::{io::Write as _, path::Path};

use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::Pid,
};

use self::tmux::Tmux;

const HOUR: u64 = 3600;

/// Shows a recording of so many samples, held at the last one. They are an hour
/// apart, so none comes by itself.
fn replay(width: u16, height: u16, samples: u64, options: &str) -> Tmux {
    let script = format!("exec \"$BIN\" top --replay recording {options}");
    let terminal = Tmux::start(
        width,
        height,
        &format!("while [ ! -e go ]; do :; done; {script}"),
    );
    recording::record(&terminal.path("recording"), samples, HOUR);
    std::fs::write(terminal.path("go"), "").expect("written");
    terminal.wait_for(&format!("sample 1 of {samples} - playing"));
    for number in 2..=samples {
        terminal.text(".");
        terminal.wait_for(&format!("sample {number} of {samples} - held"));
    }
    terminal
}

/// Every view at one size.
fn every_view(width: u16, height: u16) {
    if !tmux::is_there() {
        return;
    }
    let golden = |name: &str| format!("{width}x{height}/{name}");
    let terminal = replay(width, height, 8, "");
    let shows = |keys: &str, name: &str| {
        terminal.text(keys);
        terminal.expect(&golden(name));
    };
    shows("", "domains");
    shows("B", "domains-block-in-bytes");
    shows("BM", "domains-by-memory");
    shows("T", "domains-by-time");
    shows("N", "domains-by-id");
    shows("r", "domains-by-id-reversed");
    shows("rF", "order-menu");
    shows("5", "domains-by-received");
    shows("P", "domains");
    shows("1", "cpus");
    shows("1", "domains");
    shows("2", "cards");
    shows("F6", "cards-by-sent");
    shows("2", "domains-by-sent");
    shows("3", "disks");
    shows("0P", "domains");

    shows("4", "offloads");
    terminal.keys(&["Right", "Right", "Right"]);
    terminal.expect(&golden("offloads-columns"));
    terminal.keys(&["Left", "Left", "Left"]);
    shows("u", "offloads-bytes");
    shows("uFa", "offloads-by-software-segmentation");
    shows("r", "offloads-reversed");
    shows("P/v*3", "search");
    terminal.keys(&["Enter"]);
    terminal.expect(&golden("found"));
    terminal.keys(&["Escape"]);
    terminal.expect(&golden("offloads"));

    terminal.text("jjjjj");
    terminal.keys(&["Enter"]);
    terminal.expect(&golden("page"));
    terminal.keys(&["End"]);
    terminal.expect(&golden("page-end"));
    // A key right after Esc would be read as one key with it.
    terminal.keys(&["Escape"]);
    terminal.wait_for("VM  ");
    terminal.keys(&["End"]);
    terminal.expect(&golden("offloads-last-row"));
    terminal.keys(&["Enter"]);
    terminal.expect(&golden("page-of-a-tap"));
    terminal.text("0");
    terminal.keys(&["PageDown"]);
    terminal.expect(&golden("domains-last-row"));
    terminal.keys(&["Escape"]);
    terminal.expect(&golden("domains"));

    shows("h", "help");
    terminal.keys(&["PageDown"]);
    terminal.expect(&golden("help-end"));
    terminal.text("x");
    terminal.expect(&golden("domains"));
    shows("x", "unknown-key");
    terminal.text("o");
    terminal.wait_for("offwatch itself: measured");
    terminal.text("o");
    terminal.expect(&golden("domains"));
}

#[test]
fn every_view_at_80x24() {
    every_view(80, 24);
}

#[test]
fn every_view_at_200x50() {
    every_view(200, 50);
}

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
    let terminal = Tmux::start(80, 24, &format!("while [ ! -e go ]; do :; done; {script}"));
    recording::record(&terminal.path("recording"), 1200, 3);
    std::fs::write(terminal.path("go"), "").expect("written");
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
    let terminal = Tmux::start(80, 24, &format!("while [ ! -e go ]; do :; done; {script}"));
    let path = terminal.path("recording");
    recording::record(&path, 3, HOUR);
    let whole = std::fs::read(&path).expect("a recording");
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("cut");
    std::fs::write(terminal.path("go"), "").expect("written");
    terminal.wait_for("sample 1 of 2 - playing");
    terminal.text("..");
    terminal.wait_for("recording is truncated: record 4");
}

#[test]
fn keys_work_while_the_source_is_waited_for() {
    if !tmux::is_there() {
        return;
    }
    let terminal = Tmux::start(
        80,
        24,
        "while [ ! -e go ]; do :; done; \"$BIN\" top --replay pipe",
    );
    let path = terminal.path("recording");
    recording::record(&path, 2, 1);
    let whole = std::fs::read(&path).expect("a recording");
    nix::unistd::mkfifo(&terminal.path("pipe"), Mode::S_IRWXU).expect("a pipe");
    std::fs::write(terminal.path("go"), "").expect("written");
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
fn a_resized_terminal_is_filled() {
    if !tmux::is_there() {
        return;
    }
    let terminal = replay(80, 24, 2, "");
    terminal.resize(140, 30);
    terminal.wait_for("RXbit/s");
    terminal.resize(100, 30);
    terminal.wait("its last line", |screen| {
        screen.lines().count() == 30 && screen.contains("q: quit")
    });
    terminal.resize(39, 10);
    terminal.wait_for("39x10: needs 40x9");
    terminal.resize(40, 9);
    terminal.wait_for("sample 2 of 2");
    terminal.resize(80, 24);
    terminal.wait("as before", |screen| {
        screen.lines().count() == 24 && screen.contains("q: quit")
    });
}

#[test]
fn colours_are_those_that_are_wanted() {
    if !tmux::is_there() {
        return;
    }
    // A foreground colour; bold and reverse are none.
    let is_coloured = |terminal: &Tmux| terminal.coloured_screen().contains("38;5;");
    assert!(is_coloured(&replay(80, 24, 2, "")));
    assert!(!is_coloured(&replay(80, 24, 2, "--color never")));
    for (options, coloured) in [("", false), ("--color always", true)] {
        let script = format!(
            "while [ ! -e go ]; do :; done; NO_COLOR=1 \"$BIN\" top --replay recording {options}"
        );
        let terminal = Tmux::start(80, 24, &script);
        recording::record(&terminal.path("recording"), 2, HOUR);
        std::fs::write(terminal.path("go"), "").expect("written");
        terminal.wait_for("sample 1 of 2");
        assert_eq!(is_coloured(&terminal), coloured, "NO_COLOR {options}");
    }
}

/// Runs a command between two looks at the terminal's settings. It writes its
/// process id to `pid`, its exit code to `code`.
fn watched(command: &str) -> Tmux {
    let script = format!(
        "while [ ! -e go ]; do :; done\n\
         echo BEFORE\n\
         stty -a > before\n\
         sh -c 'echo $$ > pid; exec {command}' 2> stderr\n\
         echo $? > code\n\
         stty -a > after\n\
         echo AFTER > done\n\
         cat\n"
    );
    let terminal = Tmux::start(80, 24, &script);
    recording::record(&terminal.path("recording"), 2, HOUR);
    std::fs::write(terminal.path("go"), "").expect("written");
    terminal
}

/// The terminal is as it was, and what was on it before is on it again.
fn is_restored(terminal: &Tmux, code: &str) {
    terminal.wait_for_file("done");
    let file = |name: &str| std::fs::read_to_string(terminal.path(name)).expect("written");
    assert_eq!(file("code").trim_end(), code, "{}", file("stderr"));
    assert_eq!(file("after"), file("before"), "settings of the terminal");
    assert_eq!(terminal.variable("alternate_on"), "0");
    assert_eq!(terminal.variable("cursor_flag"), "1", "the cursor is seen");
    assert_eq!(terminal.variable("mouse_any_flag"), "0");
    let screen = terminal.wait_for("BEFORE");
    assert!(!screen.contains("kvm1"), "{screen}");
}

const REPLAY: &str = "\"$BIN\" top --mouse --replay recording";

fn pid(terminal: &Tmux) -> Pid {
    let pid = terminal.wait_for_file("pid");
    Pid::from_raw(pid.trim_end().parse().expect("a number"))
}

#[test]
fn quitting_gives_the_terminal_back() {
    if !tmux::is_there() {
        return;
    }
    for key in ["q", "C-c"] {
        let terminal = watched(REPLAY);
        terminal.wait_for("sample 1 of 2");
        assert_eq!(terminal.variable("alternate_on"), "1");
        terminal.keys(&[key]);
        is_restored(&terminal, "0");
    }
}

#[test]
fn signals_give_the_terminal_back() {
    if !tmux::is_there() {
        return;
    }
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        let terminal = watched(REPLAY);
        terminal.wait_for("sample 1 of 2");
        kill(pid(&terminal), signal).expect("it runs");
        is_restored(&terminal, "0");
    }
}

#[test]
fn a_stopped_screen_gives_the_terminal_to_the_shell() {
    if !tmux::is_there() {
        return;
    }
    // A shell that controls jobs.
    let script = format!("while [ ! -e go ]; do :; done; set -m; {REPLAY}; stty -a > stopped; fg");
    let terminal = Tmux::start(80, 24, &script);
    recording::record(&terminal.path("recording"), 2, HOUR);
    std::fs::write(terminal.path("go"), "").expect("written");
    terminal.wait_for("sample 1 of 2");
    terminal.keys(&["C-z"]);
    let stopped = terminal.wait_for_file("stopped");
    assert!(
        stopped.contains(" icanon") && stopped.contains(" echo "),
        "{stopped}"
    );
    terminal.wait_for("sample 1 of 2");
    terminal.text(".");
    terminal.wait_for("sample 2 of 2 - held");
}

#[test]
fn a_panic_gives_the_terminal_back() {
    if !tmux::is_there() {
        return;
    }
    let test = std::env::current_exe().expect("the path of this test");
    let test = test.display();
    let command = format!("\"{test}\" --ignored --exact panics_with_an_open_screen --nocapture");
    let terminal = watched(&command);
    is_restored(&terminal, "101");
    let stderr = std::fs::read_to_string(terminal.path("stderr")).expect("written");
    assert!(stderr.contains("the screen is open"), "{stderr}");
}

/// Run by the test above, in a terminal.
#[test]
#[ignore = "takes over the terminal"]
fn panics_with_an_open_screen() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut screen = offwatch::tui::Screen::open(true).expect("a terminal");
        screen
            .draw(|_| panic!("the screen is open"))
            .expect("drawn");
    });
}

#[test]
fn a_bad_recording_is_one_line_and_no_screen() {
    if !tmux::is_there() {
        return;
    }
    let terminal = watched("\"$BIN\" top --replay pid");
    is_restored(&terminal, "1");
    let stderr = std::fs::read_to_string(terminal.path("stderr")).expect("written");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("not a recording"), "{stderr}");
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    if !tmux::is_there() {
        return;
    }
    let terminal = watched(REPLAY);
    terminal.wait_for("sample 1 of 2");
    let pid = pid(&terminal);
    let directory = terminal.end();
    let deadline = std::time::Instant::now() + tmux::PATIENCE;
    while kill(pid, None).is_ok() {
        assert!(std::time::Instant::now() < deadline, "it goes on");
        std::thread::sleep(tmux::LOOK_AGAIN);
    }
    drop(directory);
}

#[test]
fn a_screen_ends_after_so_many_samples() {
    if !tmux::is_there() {
        return;
    }
    let terminal = watched(&format!("{REPLAY} -n 1"));
    is_restored(&terminal, "0");
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
