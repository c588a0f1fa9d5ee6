//! The command line. Types only, so that manuals and completions can be made
//! from them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{inventory::uri, sample::Hook};

/// Shows, VM by VM and from evidence inside the kernel, what network offloads
/// (TSO, GSO, checksum) do on this KVM host.
#[derive(Debug, Parser)]
#[command(
    name = "offwatch",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each VM's traffic, segment sizes and the software work it causes
    #[command(after_help = TOP_HELP)]
    Top(Box<TopArgs>),
    /// Tell what can be observed on this host, and why not
    Doctor(DoctorArgs),
}

const TOP_HELP: &str = "\
RX and TX of a VM are from the guest's side, as in virt-top: RX is what the guest \
receives. Those of other interfaces are from the host's side.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage.";

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one interval and exit
    #[arg(long, conflicts_with = "stream")]
    pub once: bool,
    /// Print every interval one after the other instead of a live screen
    #[arg(long)]
    pub stream: bool,
    /// Print JSON: one object, or with --stream or -n one object a line
    #[arg(long)]
    pub json: bool,
    /// Seconds between samples
    #[arg(short = 'd', long, visible_alias = "delay", value_name = "SECONDS",
          default_value = "3", value_parser = seconds)]
    pub interval: Duration,
    /// Stop after this many intervals (0: never)
    #[arg(
        short = 'n',
        long = "iterations",
        value_name = "COUNT",
        default_value_t = 0,
        conflicts_with = "once"
    )]
    pub iterations: u64,
    /// Only VMs whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub vm: Vec<String>,
    /// Only interfaces whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub dev: Vec<String>,
    /// How to count packets
    #[arg(long, value_enum, default_value_t = HookChoice::Auto, conflicts_with = "replay")]
    pub hook: HookChoice,
    /// libvirt to ask for VM names; without it qemu:///system if it answers
    #[arg(short, long, value_name = "URI", conflicts_with = "replay", value_parser = local_uri)]
    pub connect: Option<String>,
    /// Also write every sample to this file (- for stdout)
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Read samples from a recording instead of this host (- for stdin)
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Have the BPF programs log every packet to stderr; slow
    #[arg(long, hide = true, conflicts_with = "replay")]
    pub bpf_log: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// libvirt to ask for VM names
    #[arg(short, long, value_name = "URI", value_parser = local_uri)]
    pub connect: Option<String>,
}

/// How to count packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookChoice {
    /// The first of tp, raw and tc that works
    Auto,
    /// BTF tracepoints
    Tp,
    /// Raw tracepoints
    Raw,
    /// tcx programs on every interface; sees neither software work nor drops
    Tc,
}

impl HookChoice {
    /// The hooks to try, in order.
    pub fn hooks(self) -> &'static [Hook] {
        match self {
            Self::Auto => &[Hook::Tp, Hook::Raw, Hook::Tc],
            Self::Tp => &[Hook::Tp],
            Self::Raw => &[Hook::Raw],
            Self::Tc => &[Hook::Tc],
        }
    }
}

fn local_uri(text: &str) -> Result<String, String> {
    uri::local(text).map(|()| text.to_owned())
}

const SHORTEST_SECONDS: f64 = 0.1;
const LONGEST_SECONDS: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    if (SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!(
            "must be from {SHORTEST_SECONDS} to {LONGEST_SECONDS}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn intervals_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "0.05", "1e9", "NaN", "inf", "abc", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
