//! The command line of `fleet`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{advise::time, key::KeyParser, seconds};
use crate::rank::Key;

pub(super) const HELP: &str = "\
Hosts are those on which `offwatch export` runs and that Prometheus scrapes. Nothing is \
changed, nor asked of the hosts themselves.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage, 3 with --exit-code if a host is stale or, with \
`advise`, if there is something to do.";

const TOP_HELP: &str = "\
RX and TX are from the guest's side. OVER is the time that rates cover: less than \
--window for what is new.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage, 3 with --exit-code if a host is stale.";

const ADVISE_HELP: &str = "\
Evidence and fixes are on the hosts: the command that shows them is below each finding.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage, 3 with --exit-code if there is something to do, a \
host is stale or has no advice yet, or no host gives any.";

/// Arguments of `fleet`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// What to show.
    #[command(subcommand)]
    pub command: FleetCommand,
}

/// Subcommands of `fleet`.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Rank the VMs of all hosts, as `top` does those of one
    #[command(after_help = TOP_HELP)]
    Top(Box<FleetTopArgs>),
    /// List the advice of all hosts
    #[command(after_help = ADVISE_HELP)]
    Advise(Box<FleetAdviseArgs>),
}

/// Where the hosts are found.
#[derive(Debug, Args)]
pub struct PrometheusArgs {
    /// Prometheus, such as http://prometheus:9090
    #[arg(
        long,
        value_name = "URL",
        env = "OFFWATCH_PROMETHEUS",
        hide_env_values = true
    )]
    pub prometheus: String,
    /// File with the token that it wants (Authorization: Bearer)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates to trust beside those of the system, PEM
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Only hosts whose name, or Prometheus' instance, matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub host: Vec<String>,
    /// Only VMs whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub vm: Vec<String>,
    /// Time without a scrape after which a host is left out, and said to be stale (300s, 5m, 1h)
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "5m")]
    pub stale_after: Duration,
    /// Hosts that were seen within this time and are gone are told of
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1h")]
    pub remember: Duration,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    pub timeout: Duration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// End with code 3 instead of 0 where the codes below say so
    #[arg(long)]
    pub exit_code: bool,
}

/// Arguments of `fleet top`.
#[derive(Debug, Args)]
pub struct FleetTopArgs {
    /// Where the hosts are found.
    #[command(flatten)]
    pub prometheus: PrometheusArgs,
    /// Only interfaces whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub dev: Vec<String>,
    /// Time that rates cover (120s, 2m, 1h); two scrapes must lie in it
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "2m")]
    pub window: Duration,
    /// What VMs are ranked by: a key of `offwatch top`
    #[arg(short = 'o', long, value_name = "KEY", value_parser = KeyParser, default_value = "cost")]
    pub sort: Key,
    /// The other way around
    #[arg(short, long)]
    pub reverse: bool,
    /// So many VMs (0: all)
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub limit: usize,
    /// Show it again every so many seconds
    #[arg(short = 'd', long, value_name = "SECONDS", value_parser = seconds)]
    pub interval: Option<Duration>,
    /// Stop after so many
    #[arg(short = 'n', long, value_name = "COUNT", requires = "interval")]
    pub iterations: Option<u64>,
}

/// Arguments of `fleet advise`.
#[derive(Debug, Args)]
pub struct FleetAdviseArgs {
    /// Where the hosts are found.
    #[command(flatten)]
    pub prometheus: PrometheusArgs,
    /// Also what is to be left as it is
    #[arg(long)]
    pub keep: bool,
}
