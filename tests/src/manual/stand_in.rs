//! What `offwatch` and `sudo` are while the manual is tested: the test program under
//! their names.
//!
//! `sudo` runs what it is given. `offwatch` is the program under test, and what the
//! manual has take minutes takes seconds.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::observer;

/// An option that says how long something takes, and a value of seconds.
struct Shorter {
    option: &'static str,
    value: &'static str,
}

/// Of `trial`: with these every verdict can still come, and what other work on this
/// machine takes ends none.
const TRIAL: [Shorter; 4] = [
    Shorter {
        option: "--max-loss",
        value: "99.9",
    },
    Shorter {
        option: "--rounds",
        value: "4",
    },
    Shorter {
        option: "--seconds",
        value: "0.2",
    },
    Shorter {
        option: "--settle",
        value: "0.1",
    },
];
/// Of `advise`: rules that count frames in the window still have enough of them.
const ADVISE: [Shorter; 1] = [Shorter {
    option: "--window",
    value: "5s",
}];
/// Of `top`, where it is to end by the clock.
const TOP: [Shorter; 1] = [Shorter {
    option: "--end-time",
    value: "+4",
}];

/// Does what the program is called for by its name, if that is another one than its own.
/// To be called before anything else.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = env::args_os();
    let name = args.next()?;
    let name = Path::new(&name).file_name()?.to_str()?.to_owned();
    let args: Vec<OsString> = args.collect();
    let mut command = match name.as_str() {
        "sudo" => {
            let (program, args) = args.split_first()?;
            let mut command = Command::new(program);
            command.args(args);
            command
        }
        "offwatch" | "virt-top" => {
            let program = observer::binary().ok()?;
            let mut command = Command::new(program);
            command.arg0(&name).args(shortened(&name, args));
            command
        }
        _ => return None,
    };
    // It returns only if it has failed.
    let error = command.exec();
    eprintln!("{name}: {:?}: {error}", command.get_program());
    Some(ExitCode::from(127))
}

fn shortened(name: &str, mut args: Vec<OsString>) -> Vec<OsString> {
    let has = |wanted: &str| args.iter().any(|arg| arg == wanted);
    let first = args.first().and_then(|arg| arg.to_str());
    let (shorter, always): (&[Shorter], bool) = match first {
        Some("trial") => (&TRIAL, true),
        Some("advise") if !has("explain") && !has("--replay") => (&ADVISE, true),
        Some("top") => (&TOP, false),
        _ if name == "virt-top" => (&TOP, false),
        _ => (&[], false),
    };
    for Shorter { option, value } in shorter {
        match args.iter().position(|arg| arg == option) {
            Some(at) if at + 1 < args.len() => args[at + 1] = value.into(),
            Some(_) => {}
            None if always => args.extend([option, value].map(|text| OsStr::new(text).into())),
            None => {}
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str, line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let args = shortened(name, args);
        let texts = args.iter().filter_map(|arg| arg.to_str());
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_takes_long_is_changed() {
        assert_eq!(
            args("offwatch", "trial --vm db --rounds 20"),
            "trial --vm db --rounds 4 --max-loss 99.9 --seconds 0.2 --settle 0.1"
        );
        assert_eq!(
            args("offwatch", "advise --json"),
            "advise --json --window 5s"
        );
        for same in ["advise explain x", "advise --replay x", "top -4 --once"] {
            assert_eq!(args("offwatch", same), same);
        }
        assert_eq!(args("virt-top", "--end-time +00:01:00"), "--end-time +4");
    }
}
