//! A real terminal: a tmux server of its own, with one window.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// What is waited for comes at once on an idle machine; this is for others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The terminal; it ends with this.
pub(crate) struct Tmux {
    directory: Option<tempfile::TempDir>,
}

/// Whether tmux is there; tells if it is not.
pub(crate) fn is_there() -> bool {
    let found = Command::new("tmux").arg("-V").output().is_ok();
    if !found {
        eprintln!("skipped: no tmux (cargo xtask setup installs it)");
    }
    found
}

impl Tmux {
    /// A place for files; nothing runs yet.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let settings = "set -g status off\nset -g remain-on-exit on\n";
        std::fs::write(directory.path().join("tmux.conf"), settings).expect("written");
        Self {
            directory: Some(directory),
        }
    }

    /// Runs a shell script in a terminal of that size, among those files. `$BIN`
    /// is offwatch.
    pub(crate) fn run(&self, width: u16, height: u16, script: &str) {
        std::fs::write(self.path("script"), script).expect("written");
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&[
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "sh",
            "script",
        ]);
    }

    /// A path among the files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    fn directory(&self) -> &Path {
        self.directory
            .as_ref()
            .map_or(Path::new("."), |found| found.path())
    }

    /// Ends the terminal; its files stay until what is returned is dropped.
    pub(crate) fn end(mut self) -> Option<tempfile::TempDir> {
        self.tmux(&["kill-server"]);
        self.directory.take()
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-S", "socket", "-f", "tmux.conf"])
            .args(args)
            .current_dir(self.directory())
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env("BIN", crate::binary())
            // Where the init file is.
            .env("HOME", self.directory())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .output()
            .expect("tmux runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types keys, by the names that tmux has for them.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", ":0"], keys].concat());
    }

    /// Types text as it is.
    pub(crate) fn text(&self, text: &str) {
        self.tmux(&["send-keys", "-t", ":0", "-l", text]);
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-t", ":0", "-x", &width, "-y", &height]);
    }

    /// What is on the screen, without spaces at the ends of lines.
    pub(crate) fn screen(&self) -> String {
        let text = self.tmux(&["capture-pane", "-p", "-t", ":0"]);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned() + "\n"
    }

    /// The same with the escape sequences of colours.
    pub(crate) fn coloured_screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-t", ":0"])
    }

    /// One of tmux's variables, as `alternate_on`.
    pub(crate) fn variable(&self, name: &str) -> String {
        let format = format!("#{{{name}}}");
        let value = self.tmux(&["display-message", "-p", "-t", ":0", &format]);
        value.trim_end().to_owned()
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(
                Instant::now() < deadline,
                "the screen never had {what}:\n{screen}"
            );
            sleep(LOOK_AGAIN);
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Waits until a file has a whole line, and returns it.
    #[track_caller]
    pub(crate) fn wait_for_file(&self, name: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let content = std::fs::read_to_string(self.path(name)).unwrap_or_default();
            if content.ends_with('\n') {
                return content;
            }
            assert!(Instant::now() < deadline, "no {name}:\n{}", self.screen());
            sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        if self.directory.is_some() {
            self.tmux(&["kill-server"]);
        }
    }
}
