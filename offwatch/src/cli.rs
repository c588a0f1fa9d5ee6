//! The command line. Types only, so that manuals and completions can be made
//! from them.

mod advise;
pub mod enforce;
pub mod export;
mod features;
pub mod fleet;
mod key;
mod live;
pub mod trial;
mod virt_top;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::{
    advise::{AdviseArgs, AdviseCommand},
    features::FeaturesArgs,
    live::LiveArgs,
    virt_top::VirtTopArgs,
};
use crate::{
    inventory::uri,
    probe::ExactChoice,
    sample::{Hook, Method},
};

/// Shows, VM by VM and from evidence inside the kernel, what network offloads
/// (TSO, GSO, checksum) do on this KVM host.
#[derive(Debug, Parser)]
#[command(
    name = "offwatch",
    version,
    propagate_version = true,
    // An error is one line, this one as well.
    arg_required_else_help = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Shows what VMs use, as virt-top does: what the program is when it is called
/// by a link of that name.
#[derive(Debug, Parser)]
#[command(
    name = "virt-top",
    version = concat!("1.1.3 compatible, of offwatch ", env!("CARGO_PKG_VERSION")),
    after_help = TOP_HELP,
    args_override_self = true
)]
pub struct VirtTop {
    /// Those of `offwatch top`.
    #[command(flatten)]
    pub args: TopArgs,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what each VM uses, as virt-top does, and what offloads do for it
    #[command(after_help = TOP_HELP, args_override_self = true)]
    Top(Box<TopArgs>),
    /// Observe for a while and say what to change about offloads, or to leave them on
    #[command(after_help = ADVISE_HELP)]
    Advise(Box<AdviseArgs>),
    /// Keep offloads as a policy or an advice has them, with a way back
    #[command(after_help = enforce::HELP)]
    Enforce(Box<enforce::EnforceArgs>),
    /// Try a change on a live interface, measure what it does, and take it back
    #[command(after_help = trial::HELP)]
    Trial(Box<trial::TrialArgs>),
    /// Offer what is counted to Prometheus (OpenMetrics)
    #[command(after_help = export::HELP)]
    Export(Box<export::ExportArgs>),
    /// Show VMs and advice of many hosts, from Prometheus
    #[command(after_help = fleet::HELP, arg_required_else_help = false)]
    Fleet(Box<fleet::FleetArgs>),
    /// Tell what can be observed on this host, and why not
    Doctor(DoctorArgs),
    /// Tell which features interfaces have, and what keeps one off
    #[command(after_help = FEATURES_HELP)]
    Features(FeaturesArgs),
}

const TOP_HELP: &str = "\
RX and TX of a VM are from the guest's side, as in virt-top: RX is what the guest \
receives. Those of other interfaces are from the host's side.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage.";

const FEATURES_HELP: &str = "\
Nothing is changed. What is asked for is as in `ethtool -k`; features of a tap are those \
of what the host sends to the guest.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage.";

const ADVISE_HELP: &str = "\
Nothing is changed: each change is printed as a command or as libvirt XML.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage, 3 with --exit-code if there is something to do.";

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one interval and exit
    #[arg(long, conflicts_with = "stream")]
    pub once: bool,
    /// Print every interval one after the other instead of a live screen:
    /// virt-top's text blocks, with -4 tables, with --json JSON
    #[arg(long)]
    pub stream: bool,
    /// Print JSON: one object, or with --stream or -n one object a line
    #[arg(long)]
    pub json: bool,
    /// Seconds between samples [default: 3]
    #[arg(short = 'd', long, visible_alias = "delay", value_name = "SECONDS",
          value_parser = seconds, allow_negative_numbers = true)]
    pub interval: Option<Duration>,
    /// Stop after this many intervals (0 or -1: never)
    #[arg(
        short = 'n',
        long = "iterations",
        value_name = "COUNT",
        allow_negative_numbers = true,
        conflicts_with = "once"
    )]
    pub iterations: Option<i64>,
    /// Only VMs whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub vm: Vec<String>,
    /// Only interfaces whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub dev: Vec<String>,
    /// How to observe this host
    #[command(flatten)]
    pub live: LiveArgs,
    /// Also append every sample to this file, compressed (- for stdout, as JSON lines)
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Read samples from a recording instead of this host (- for stdin)
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Also write a CSV row for each VM interface and interval to this file (- for
    /// stdout)
    #[arg(long, value_name = "FILE")]
    pub csv_long: Option<PathBuf>,
    /// When to use colours on the screen
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,
    /// Scroll and select with the mouse
    #[arg(long)]
    pub mouse: bool,
    /// Have the BPF programs log every packet to stderr; slow
    #[arg(long, hide = true, conflicts_with = "replay")]
    pub bpf_log: bool,
    /// As in virt-top. Last, as their heading is that of all that follow.
    #[command(flatten)]
    pub virt_top: VirtTopArgs,
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

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Unless the variable NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
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
    /// tcx programs on every interface: 25 ms or so for each to start and to stop; sees
    /// no drops, and software work only where it is counted exactly
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

/// How to count software work where it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkChoice {
    /// At each kernel function the first of fexit and kprobe that works
    Auto,
    /// fentry and fexit programs
    Fexit,
    /// Kernel probes
    Kprobe,
    /// Only derive it from what enters and leaves
    Off,
}

impl From<WorkChoice> for ExactChoice {
    fn from(choice: WorkChoice) -> Self {
        match choice {
            WorkChoice::Auto => Self::Auto,
            WorkChoice::Fexit => Self::Only(Method::Fexit),
            WorkChoice::Kprobe => Self::Only(Method::Kprobe),
            WorkChoice::Off => Self::Off,
        }
    }
}

/// A URI of this host.
pub(crate) fn local_uri(text: &str) -> Result<String, String> {
    uri::local(text).map(|()| text.to_owned())
}

const SHORTEST_SECONDS: f64 = 0.1;
const LONGEST_SECONDS: f64 = 86_400.0;

/// Reads a number of seconds between samples.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
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
        VirtTop::command().debug_assert();
    }

    #[test]
    fn what_virt_top_lacks_is_not_under_its_heading() {
        let command = Cli::command();
        let top = command.find_subcommand("top").unwrap();
        let heading = |id: &str| {
            let mut args = top.get_arguments();
            let arg = args.find(|arg| arg.get_id() == id).unwrap();
            arg.get_help_heading().map(str::to_owned)
        };
        assert_eq!(heading("csv"), Some("As in virt-top".into()));
        for id in ["vm", "dev", "hook", "exact", "record", "replay", "csv_long"] {
            assert_eq!(heading(id), None, "{id}");
        }
    }

    #[test]
    fn intervals_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "0.05", "1e9", "NaN", "inf", "abc", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
