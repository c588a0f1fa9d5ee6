//! Stored screens.

use std::{
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use super::tmux::{LOOK_AGAIN, PATIENCE, Tmux};

impl Tmux {
    /// Waits until the screen is the one that is stored, or stores it if
    /// `OFFWATCH_BLESS` is set.
    #[track_caller]
    pub(crate) fn expect(&self, golden: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(format!("{golden}.txt"));
        if std::env::var_os("OFFWATCH_BLESS").is_some() {
            // Whoever looks at it afterwards sees whether it was complete.
            sleep(Duration::from_secs(1));
            std::fs::write(&path, self.screen()).expect("stored");
            return;
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if screen == stored {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not the stored screen {}:\n{screen}\nbut\n{stored}",
                path.display()
            );
            sleep(LOOK_AGAIN);
        }
    }
}
