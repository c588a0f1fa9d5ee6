//! The program under its two names.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The names: `offwatch top` and a link `virt-top`.
pub(crate) const NAMES: [Name; 2] = [Name::OffwatchTop, Name::VirtTop];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    OffwatchTop,
    VirtTop,
}

/// A directory to run in, which is also the user's home.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let link = directory.path().join("virt-top");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_offwatch"), link).expect("a link");
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    fn command(&self, name: Name, args: &[&str]) -> Command {
        let mut command = match name {
            Name::OffwatchTop => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_offwatch"));
                command.arg("top");
                command
            }
            Name::VirtTop => Command::new(self.path("virt-top")),
        };
        command
            .args(args)
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env("TZ", "UTC")
            .env_remove("LIBVIRT_DEFAULT_URI")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, name: Name, args: &[&str]) -> Output {
        self.run_with(name, args, b"")
    }

    /// Replays a recording.
    pub(crate) fn replay(&self, name: Name, args: &[&str], recording: &[u8]) -> Output {
        let args = [&["--replay", "-"], args].concat();
        let output = self.run_with(name, &args, recording);
        assert!(output.status.success(), "{name:?} {args:?}: {output:?}");
        output
    }

    fn run_with(&self, name: Name, args: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(name, args).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // It need not read to the end.
        let _ = stdin.write_all(input);
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("plain text")
}

/// A golden file.
pub(crate) fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/virt-top");
    std::fs::read_to_string(path.join(name)).expect("a golden file")
}
