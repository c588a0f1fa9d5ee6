//! The screen in a real terminal, played from recordings, and what is left of it
//! afterwards.
//!
//! `OFFWATCH_BLESS=1 cargo test --test screen` stores the screens again.

mod golden;
mod playing;
mod recording;
mod terminal;
mod tmux;
mod views;

use std::path::PathBuf;

use self::tmux::Tmux;

const HOUR: u64 = 3600;

/// The program under test.
fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_offwatch").into()
}

/// Shows a recording of so many samples, held at the last one. They are an hour
/// apart, so none comes by itself.
fn replay(width: u16, height: u16, samples: u64, options: &str) -> Tmux {
    let terminal = Tmux::new();
    recording::record(&terminal.path("recording"), samples, HOUR);
    let script = format!("exec \"$BIN\" top --replay recording {options}");
    terminal.run(width, height, &script);
    terminal.wait_for(&format!("sample 1 of {samples} - playing"));
    for number in 2..=samples {
        terminal.text(".");
        terminal.wait_for(&format!("sample {number} of {samples} - held"));
    }
    terminal
}
