//! The command line of `export`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::{LiveArgs, key::KeyParser, seconds};
use crate::rank::Key;

pub(super) const HELP: &str = "\
Nothing on the host is changed. Without --listen, --textfile or --once it listens on \
127.0.0.1:9953, or on the sockets that systemd passes. docs/metrics.md lists the metrics.\n\n\
SIGHUP has the token and the certificate read again; SIGTERM and SIGINT end it.\n\n\
Exit codes: 0 ok, 1 failure, 2 usage.";

/// Where `export` listens if it is not told.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9953";

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Address and port for scrapes: /metrics (may be given more than once)
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen)]
    pub listen: Vec<SocketAddr>,
    /// Write the metrics to this file (NAME.prom) at every interval, for the textfile
    /// collector of node_exporter; the file is replaced, never half written
    #[arg(long, value_name = "FILE")]
    pub textfile: Option<PathBuf>,
    /// Print the metrics once, and exit
    #[arg(long, conflicts_with_all = ["listen", "textfile"])]
    pub once: bool,
    /// Only so many interfaces, those with the most of --sort; sums of all are there
    /// all the same (0: all)
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub top: usize,
    /// What --top ranks by: a key of `offwatch top`
    #[arg(long, value_name = "KEY", value_parser = KeyParser, default_value = "cost")]
    pub sort: Key,
    /// Only VMs whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub vm: Vec<String>,
    /// Only interfaces whose name matches (may be given more than once)
    #[arg(long, value_name = "GLOB")]
    pub dev: Vec<String>,
    /// Seconds between samples where no scrape asks for one [default: 15]; with --once, for
    /// how long to observe [default: 1]
    #[arg(short = 'd', long, value_name = "SECONDS", value_parser = seconds)]
    pub interval: Option<Duration>,
    /// No advice: offwatch_advice is not there
    #[arg(long)]
    pub no_advice: bool,
    /// Have the kernel time offwatch's BPF programs (some 20 ns more for each run of
    /// any BPF program on the host)
    #[arg(long, conflicts_with = "replay")]
    pub bpf_stats: bool,
    /// Directory of the journal of `enforce`
    #[arg(long, value_name = "DIR", default_value = "/var/lib/offwatch")]
    pub state_dir: PathBuf,
    /// Certificate chain, PEM: scrapes by https only
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Scrapes must bring the token that this file holds (Authorization: Bearer)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Listen also where others can reach it, without TLS and token
    #[arg(long)]
    pub insecure: bool,
    /// How many connections at once; further ones wait
    #[arg(long, value_name = "COUNT", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_connections: u16,
    /// How to observe this host
    #[command(flatten)]
    pub live: LiveArgs,
    /// The end of a recording instead of this host (- for stdin); with --once
    #[arg(long, value_name = "FILE", requires = "once")]
    pub replay: Option<PathBuf>,
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let wrong = "give an IP address and a port: 127.0.0.1:9953, 0.0.0.0:9953 or [::]:9953";
    text.parse().map_err(|_| wrong.to_owned())
}
