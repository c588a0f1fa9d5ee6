//! virt-top's options, with its names and meanings.

use std::path::PathBuf;

use clap::Args;

use super::key::KeyParser;
use crate::{rank::Key, settings::end_time::EndTime};

/// What `top` has from virt-top. Options that are not given are looked up in
/// the init file.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "As in virt-top")]
pub struct VirtTopArgs {
    /// Start with physical CPUs
    #[arg(short = '1', overrides_with_all = ["nics", "disks", "offload"])]
    pub pcpus: bool,
    /// Start with network cards
    #[arg(short = '2', overrides_with_all = ["pcpus", "disks", "offload"])]
    pub nics: bool,
    /// Start with disks
    #[arg(short = '3', overrides_with_all = ["pcpus", "nics", "offload"])]
    pub disks: bool,
    /// Start with what offloads do (not in virt-top)
    #[arg(short = '4', overrides_with_all = ["pcpus", "nics", "disks"])]
    pub offload: bool,
    /// Ignore keys
    #[arg(short, long)]
    pub batch: bool,
    /// Sort by cpu, mem, time, id, name, netrx, nettx, blockrdrq or blockwrrq,
    /// or by gso, swseg, csum, pps, drops, cost or causes
    #[arg(short = 'o', long, value_name = "KEY", value_parser = KeyParser,
          hide_possible_values = true)]
    pub sort: Option<Key>,
    /// Sort the other way round (not in virt-top)
    #[arg(short, long)]
    pub reverse: bool,
    /// Does nothing
    #[arg(short, long)]
    pub secure: bool,
    /// Seconds between the %CPU figures at the top right [default: 20]
    #[arg(long, value_name = "SECONDS")]
    pub hist_cpu: Option<u64>,
    /// Write virt-top's CSV to this file (- for stdout)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["once", "json"])]
    pub csv: Option<PathBuf>,
    /// No CPU in the CSV
    #[arg(long)]
    pub no_csv_cpu: bool,
    /// No memory in the CSV
    #[arg(long)]
    pub no_csv_mem: bool,
    /// No disks in the CSV
    #[arg(long)]
    pub no_csv_block: bool,
    /// No network cards in the CSV
    #[arg(long)]
    pub no_csv_net: bool,
    /// Bytes of disks instead of requests
    #[arg(long)]
    pub block_in_bytes: bool,
    /// Print nothing; with --csv
    #[arg(long, conflicts_with_all = ["once", "json"])]
    pub script: bool,
    /// End then: 'YYYY-MM-DD HH:MM:SS', HH:MM:SS, +HH:MM:SS or +SECONDS
    #[arg(long, value_name = "TIME")]
    pub end_time: Option<EndTime>,
    /// Send errors and what libvirt says to this file
    #[arg(long, value_name = "FILE")]
    pub debug: Option<PathBuf>,
    /// Read this file instead of ~/.virt-toprc
    #[arg(long, value_name = "FILE")]
    pub init_file: Option<PathBuf>,
    /// Read no init file
    #[arg(long, conflicts_with = "init_file")]
    pub no_init_file: bool,
}
