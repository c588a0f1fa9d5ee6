//! The command line of `advise`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::LiveArgs;
use crate::advise::{catalogue, rule::Rule};

/// Arguments of `advise`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AdviseArgs {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<AdviseCommand>,
    /// How long to observe, such as 30s or 2m; of a recording, how much of its end
    /// to look at [default: 30s; of a recording, its last run]
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub window: Option<Duration>,
    /// Only advice about VMs whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub vm: Vec<String>,
    /// Only advice about interfaces whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub dev: Vec<String>,
    /// Print JSON, as docs/advice.schema.json has it
    #[arg(long)]
    pub json: bool,
    /// Evaluate a recording instead of this host (- for stdin)
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// A trial as evidence, as `offwatch trial --json` printed it (may be given more
    /// than once)
    #[arg(long, value_name = "FILE")]
    pub trial: Vec<PathBuf>,
    /// End with code 3 if there is something to do
    #[arg(long)]
    pub exit_code: bool,
    /// How to observe this host
    #[command(flatten)]
    pub live: LiveArgs,
}

/// Subcommands of `advise`.
#[derive(Debug, Subcommand)]
pub enum AdviseCommand {
    /// Print what is behind a rule, with its sources; without RULE list all
    Explain {
        /// Id of the rule, as advice names it.
        #[arg(value_parser = rule)]
        rule: Option<&'static Rule>,
    },
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Reads a time of 1 s to 24 h, such as 30s, 2m or 30.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse::<u32>()
        .ok()
        .map(|seconds| Duration::from_secs(seconds.into()));
    let parsed = || Duration::try_from(text.parse::<SignedDuration>().ok()?).ok();
    let time = seconds
        .or_else(parsed)
        .ok_or("not a time; write 30s or 2m")?;
    if (SHORTEST..=LONGEST).contains(&time) {
        Ok(time)
    } else {
        Err("must be from 1s to 24h".into())
    }
}

fn rule(id: &str) -> Result<&'static Rule, String> {
    catalogue::find(id).ok_or_else(|| match catalogue::nearest(id) {
        Some(rule) => format!("there is no such rule; did you mean {}?", rule.id),
        None => "there is no such rule; 'offwatch advise explain' lists all".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_times() {
        assert_eq!(time("30"), Ok(Duration::from_secs(30)));
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["0", "0.2s", "-5s", "25h", "soon", ""] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_rule_is_answered_with_the_nearest() {
        assert!(rule("keep-on").is_ok());
        let error = rule("tap-notso").expect_err("no such rule");
        assert!(error.ends_with("did you mean tap-no-tso?"), "{error}");
        assert!(rule("zzzzzzzzzzzzzzzz").is_err_and(|error| error.contains("lists all")));
    }
}
