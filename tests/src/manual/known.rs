//! What is to be known of commands of the manual: which run on until they are ended,
//! which are not run here and where they are instead, and which may end with another code
//! than 0.

/// A command that is not run here.
#[derive(Debug)]
pub struct Elsewhere {
    /// What it begins with.
    pub command: &'static str,
    /// What executes it, and how.
    pub by: &'static str,
}

/// What installs packages and takes them away again.
const IN_CLEAN_ROOTS: &str = "`cargo xtask dist --check`";

/// All of them. Each must be in the manual.
pub const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        command: "cargo xtask setup",
        by: ".ci/run, from a fresh clone",
    },
    Elsewhere {
        command: "cargo build --release",
        by: "`cargo xtask test`, step of the matrix of kernels",
    },
    Elsewhere {
        command: "cargo xtask demo",
        by: "this test: the host is the same, and `top -4` of it is in the README",
    },
    Elsewhere {
        command: "cargo xtask test",
        by: ".ci/run",
    },
    Elsewhere {
        command: "cargo xtask bench",
        by: "whoever measures: docs/overhead.md is what it wrote, which a test of the writer checks",
    },
    Elsewhere {
        command: "offwatch fleet",
        by: "tests/tests/fleet.rs: a Prometheus that scrapes three hosts",
    },
    Elsewhere {
        command: "apt install",
        by: IN_CLEAN_ROOTS,
    },
    Elsewhere {
        command: "apt remove",
        by: IN_CLEAN_ROOTS,
    },
    Elsewhere {
        command: "dnf install",
        by: IN_CLEAN_ROOTS,
    },
    Elsewhere {
        command: "dnf remove",
        by: IN_CLEAN_ROOTS,
    },
    Elsewhere {
        command: "tar -C /usr/local",
        by: IN_CLEAN_ROOTS,
    },
    Elsewhere {
        command: "tar -tf offwatch-0.1.0-x86_64.tar.gz",
        by: IN_CLEAN_ROOTS,
    },
    Elsewhere {
        command: "find /usr/local",
        by: IN_CLEAN_ROOTS,
    },
    Elsewhere {
        command: "cargo install --path offwatch",
        by: IN_CLEAN_ROOTS,
    },
];

/// Programs that are run here. Others are none that a test may start unseen: what they
/// change need not be inside the namespaces.
const PROGRAMS: [&str; 9] = [
    "offwatch",
    "target/release/offwatch",
    "virt-top",
    "ip",
    "ethtool",
    "ln",
    "cat",
    "head",
    "curl",
];

/// Commands that run until they are ended, by words that they all have, and words of
/// what they print first. Those on a terminal need one.
pub const LIVE: &[Live] = &[
    Live {
        words: &["enforce", "--watch"],
        first: "kept as asked",
        terminal: false,
    },
    Live {
        words: &["offwatch export"],
        first: "listening on",
        terminal: false,
    },
    Live {
        words: &["offwatch top"],
        first: "legacy",
        terminal: true,
    },
];

/// See [`LIVE`].
#[derive(Debug)]
pub struct Live {
    /// What the command has.
    pub words: &'static [&'static str],
    /// What it prints first.
    pub first: &'static str,
    /// Whether it needs a terminal.
    pub terminal: bool,
}

/// Options with which a command ends by itself.
const ENDING: [&str; 11] = [
    "--once",
    "--stream",
    "--json",
    "-n",
    "--script",
    "--end-time",
    "--textfile",
    "--help",
    "--apply",
    "--dry-run",
    "--replay",
];

/// What is different about some commands.
#[derive(Debug)]
pub struct Special {
    /// What the command has.
    pub words: &'static [&'static str],
    /// What its exit code may be.
    pub codes: &'static [i32],
    /// Whether measurements also decide what it says, so that only what the lines of its
    /// tables are about is compared.
    pub measured: bool,
}

/// All of them; the first one counts.
pub const SPECIAL: &[Special] = &[
    // With 4 something else on this machine has ended it.
    Special {
        words: &["offwatch trial"],
        codes: &[0, 4],
        measured: true,
    },
    Special {
        words: &["offwatch enforce", "--canary"],
        codes: &[4],
        measured: false,
    },
];

/// Documents whose commands are run elsewhere: by `offwatch/tests/manual.rs`.
pub const TO_THE_LETTER: &[&str] = &["docs/without-root.md"];

/// Who executes this command, if it is not this test.
pub fn elsewhere(command: &str) -> Option<&'static Elsewhere> {
    let command = command.strip_prefix("sudo ").unwrap_or(command);
    let mut all = ELSEWHERE.iter();
    all.find(|known| {
        let rest = command.strip_prefix(known.command);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    })
}

/// A program of this command that is not to be run here.
pub fn unknown_program(command: &str) -> Option<String> {
    let mut line = command.replace("\\\n", " ");
    for operator in [" | ", " && ", " || ", "; "] {
        line = line.replace(operator, "\n");
    }
    let programs = line.lines().filter_map(|part| {
        let mut words = part.split_whitespace();
        words.find(|word| !(*word == "sudo" || word.contains('=')))
    });
    let mut unknown = programs.filter(|program| !PROGRAMS.contains(program));
    unknown.next().map(str::to_owned)
}

/// What it prints first, if this command runs until it is ended.
pub fn live(command: &str) -> Option<&'static Live> {
    let words: Vec<&str> = command.split_whitespace().collect();
    if words.iter().any(|word| ENDING.contains(word)) {
        return None;
    }
    let mut all = LIVE.iter();
    all.find(|live| live.words.iter().all(|words| command.contains(words)))
}

/// What is different about this command.
pub fn special(command: &str) -> Option<&'static Special> {
    let mut all = SPECIAL.iter();
    all.find(|special| special.words.iter().all(|words| command.contains(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known_by_what_they_are() {
        assert!(elsewhere("cargo xtask setup").is_some());
        assert!(elsewhere("cargo xtask setup --check").is_some());
        assert!(elsewhere("cargo xtask setups").is_none());
        assert!(live("sudo target/release/offwatch top -4").is_some_and(|live| live.terminal));
        assert!(live("sudo offwatch top --once").is_none());
        assert!(live("sudo offwatch advise").is_none());
        let line = "offwatch advise --json \\\n    --window 5s | sudo offwatch enforce --from -";
        assert_eq!(unknown_program(line), None);
        assert_eq!(unknown_program("A=1 sudo ip link; ethtool -k x"), None);
        for line in [
            "sudo apt install ./x.deb",
            "cat x | sh",
            "ip link && reboot",
        ] {
            assert!(unknown_program(line).is_some(), "{line}");
        }
    }
}
