//! What is left of the screen afterwards.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    HOUR, recording,
    tmux::{self, Tmux},
};

/// Runs a command between two looks at the terminal's settings. It writes its
/// process id to `pid`, its exit code to `code`.
fn watched(command: &str) -> Tmux {
    let script = format!(
        "echo BEFORE\n\
         stty -a > before\n\
         sh -c 'echo $$ > pid; exec {command}' 2> stderr\n\
         echo $? > code\n\
         stty -a > after\n\
         echo AFTER > done\n\
         cat\n"
    );
    let terminal = Tmux::new();
    recording::record(&terminal.path("recording"), 2, HOUR);
    terminal.run(80, 24, &script);
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
    let script = format!("set -m; {REPLAY}; stty -a > stopped; fg");
    let terminal = Tmux::new();
    recording::record(&terminal.path("recording"), 2, HOUR);
    terminal.run(80, 24, &script);
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

/// Unlike ^Z, this stop cannot be prepared for.
#[test]
fn a_screen_that_was_stopped_from_outside_comes_back_whole() {
    if !tmux::is_there() {
        return;
    }
    let script = format!(
        "set -m; sh -c 'echo $$ > pid; exec {REPLAY}'; stty sane; clear; yes LEFT | head -30; \
         echo > stopped; cat go; fg"
    );
    let terminal = Tmux::new();
    recording::record(&terminal.path("recording"), 2, HOUR);
    nix::unistd::mkfifo(&terminal.path("go"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    terminal.run(80, 24, &script);
    terminal.wait_for("sample 1 of 2");
    kill(pid(&terminal), Signal::SIGSTOP).expect("it runs");
    terminal.wait_for_file("stopped");
    terminal.wait_for("LEFT");
    std::fs::write(terminal.path("go"), "").expect("it waits");
    terminal.wait("what it had", |screen| {
        screen.contains("sample 1 of 2") && !screen.contains("LEFT")
    });
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
    let command =
        format!("\"{test}\" --ignored --exact terminal::panics_with_an_open_screen --nocapture");
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

/// As a serial line: it never tells where the cursor is.
#[test]
fn a_terminal_that_answers_nothing_can_be_drawn_anew() {
    if Command::new("script").arg("-V").output().is_err() {
        eprintln!("skipped: no script (of util-linux)");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("recording");
    recording::record(&path, 2, HOUR);
    let command = format!(
        "stty rows 24 cols 80; exec \"$BIN\" top --replay \"{}\"",
        path.display()
    );
    // It would wait for ever for what is not drawn.
    let child = Command::new("timeout")
        .args(["60", "script", "-qefc", &command, "/dev/null"])
        .env("BIN", crate::binary())
        .env("HOME", directory.path())
        .env("TERM", "vt100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.expect("timeout, of coreutils");
    let mut keys = child.stdin.take().expect("a pipe");
    let mut screen = child.stdout.take().expect("a pipe");
    let mut drawn = Vec::new();
    let mut wait_for = |text: &str| {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&drawn).contains(text) {
            let count = screen.read(&mut buffer).expect("output");
            let told = String::from_utf8_lossy(&drawn);
            assert_ne!(count, 0, "it ended without {text:?}: {told:?}");
            drawn.extend_from_slice(&buffer[..count]);
        }
    };
    wait_for("RXBY");
    keys.write_all(b" ").expect("it reads keys");
    // The whole screen is erased and drawn anew.
    wait_for("\u{1b}[2J\u{1b}[1;1H");
    keys.write_all(b"q").expect("it reads keys");
    std::io::copy(&mut screen, &mut std::io::sink()).expect("output");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_screen_ends_after_so_many_samples() {
    if !tmux::is_there() {
        return;
    }
    let terminal = watched(&format!("{REPLAY} -n 1"));
    is_restored(&terminal, "0");
}
