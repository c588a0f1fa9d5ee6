//! The command line of `enforce`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::local_uri;

/// Where the journal and the audit log are kept, unless the user says otherwise.
pub const STATE_DIRECTORY: &str = "/var/lib/offwatch";
/// The policy, unless the user names one.
pub const POLICY_FILE: &str = "/etc/offwatch/policy.toml";

/// Below the help of `enforce`.
pub(super) const HELP: &str = "\
--confirm, --detach, --canary and --write-xml are of --apply alone; --exit-code is of \
--dry-run. While --watch runs, SIGHUP has it read the policy again. docs/policy.md tells \
how to write a policy, docs/enforce.md what holds.\n\n\
Exit codes: 0 ok; 1 failure, and nothing was changed; 2 usage; 3 with --exit-code if there \
is something to change; 4 not all that was asked for is so, or it was taken back.";
const ENDS: &str = "Exit codes: 0 ok, 1 failure, 2 usage.";
const ENDS_TAKEN_BACK: &str = "\
Exit codes: 0 ok, 1 failure, 2 usage, 4 not all of it could be taken back.";

/// Arguments of `enforce`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EnforceArgs {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<EnforceCommand>,
    /// The policy [default: /etc/offwatch/policy.toml, unless --from is given]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// What `offwatch advise --json` printed (- for stdin): its changes are made, with
    /// --policy those that the policy names
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Only tell what would be changed (the default)
    #[arg(long, group = "mode")]
    pub dry_run: bool,
    /// Change it once, verify it, and take it back if anything else changes with it
    #[arg(long, group = "mode")]
    pub apply: bool,
    /// Change it and keep it so: for new interfaces, and after each negotiation of a guest
    #[arg(long, group = "mode")]
    pub watch: bool,
    /// Take it back unless it is confirmed within this time, such as 120s or 2m; a
    /// plain number is seconds
    // What an argument requires is not missed where it conflicts with another one of
    // the mode: so the other ones are named.
    #[arg(long, value_name = "TIME", requires = "apply",
          conflicts_with_all = ["watch", "dry_run"], value_parser = deadline,
          allow_hyphen_values = true)]
    pub confirm: Option<Duration>,
    /// Do not wait for the confirmation; the watchdog does
    #[arg(long, requires = "apply", conflicts_with_all = ["watch", "dry_run"])]
    pub detach: bool,
    /// Change one interface first, then few, then all, and take it back if one fares
    /// worse than those that are not changed
    #[arg(long, requires = "apply", conflicts_with_all = ["watch", "dry_run"])]
    pub canary: bool,
    /// Also change the definitions of VMs where only they decide; it takes effect at the
    /// next cold start
    #[arg(long, requires = "apply",
          conflicts_with_all = ["watch", "dry_run", "detach"])]
    pub write_xml: bool,
    /// Only VMs whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub vm: Vec<String>,
    /// Only interfaces whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub dev: Vec<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,
    /// End with code 3 if there is something to change; of --dry-run
    #[arg(long, conflicts_with_all = ["apply", "watch"])]
    pub exit_code: bool,
    /// libvirt to ask for VMs; without it qemu:///system if it answers
    #[arg(short, long, value_name = "URI", value_parser = local_uri)]
    pub connect: Option<String>,
    /// Where the journal and the audit log are
    #[arg(long, value_name = "DIR", default_value = STATE_DIRECTORY)]
    pub state_dir: PathBuf,
}

/// Subcommands of `enforce`.
#[derive(Debug, Subcommand)]
pub enum EnforceCommand {
    /// Keep what was applied with --confirm
    #[command(after_help = ENDS)]
    Confirm(StateArgs),
    /// Take back what is not confirmed
    #[command(after_help = ENDS_TAKEN_BACK)]
    Rollback(StateArgs),
    /// Tell what was changed, and how it stands
    #[command(after_help = ENDS)]
    Status {
        /// All commits: otherwise the last 20 and those that can still be taken back;
        /// JSON has all
        #[arg(long)]
        all: bool,
        /// Where they are.
        #[command(flatten)]
        state: StateArgs,
    },
    /// Take back what was confirmed: the last commit, or those named
    #[command(after_help = ENDS_TAKEN_BACK)]
    Undo {
        /// Numbers of commits, as status tells them.
        #[arg(value_name = "COMMIT", conflicts_with = "all")]
        commits: Vec<u64>,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Where they are.
        #[command(flatten)]
        state: StateArgs,
    },
    /// Wait for the end of the enforcer or of the time to confirm, and take the commit
    /// back whose number comes from stdin; enforce starts it by itself
    #[command(hide = true)]
    Watchdog(StateArgs),
}

/// Arguments of all of them.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// Where the journal and the audit log are
    #[arg(long, value_name = "DIR", default_value = STATE_DIRECTORY)]
    pub state_dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Reads the time in which a change is to be confirmed.
pub(crate) fn deadline(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<u32>()
        .ok()
        .map(|seconds| Duration::from_secs(seconds.into()));
    let parsed = || Duration::try_from(text.parse::<SignedDuration>().ok()?).ok();
    let time = seconds
        .or_else(parsed)
        .ok_or("not a time; write 120s or 2m")?;
    match (SHORTEST..=LONGEST).contains(&time) {
        true => Ok(time),
        false => Err("must be from 1s to 24h".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(args: &[&str]) -> Result<EnforceArgs, clap::Error> {
        let words = ["offwatch", "enforce"].iter().chain(args);
        match Cli::try_parse_from(words)?.command {
            Command::Enforce(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_of_apply_is_of_no_other_mode() {
        let own = ["--confirm=2s", "--detach", "--canary", "--write-xml"];
        for own in own {
            assert!(parsed(&["--apply", own]).is_ok(), "{own}");
            for mode in [&["--watch"][..], &["--dry-run"], &[]] {
                let error = parsed(&[mode, &[own]].concat()).expect_err(own);
                assert_eq!(error.exit_code(), 2, "{own} with {mode:?}: {error}");
            }
        }
    }

    #[test]
    fn each_help_has_the_exit_codes() {
        let command = Cli::command();
        let enforce = command.find_subcommand("enforce").expect("enforce");
        let help = |command: &clap::Command| {
            let help = command.get_after_help();
            help.map(ToString::to_string).unwrap_or_default()
        };
        let own = help(enforce);
        for word in ["Exit codes: 0", "SIGHUP", "docs/policy.md", "--canary"] {
            assert!(own.contains(word), "{word}: {own}");
        }
        let all = enforce.get_subcommands();
        for command in all.filter(|command| !command.is_hide_set()) {
            assert!(help(command).contains("Exit codes: 0"), "{command}");
        }
    }

    #[test]
    fn deadlines_are_times() {
        assert_eq!(deadline("120"), Ok(Duration::from_secs(120)));
        assert_eq!(deadline("2m"), Ok(Duration::from_secs(120)));
        for bad in ["0", "-5s", "25h", "soon", ""] {
            assert!(deadline(bad).is_err(), "{bad}");
        }
    }
}
