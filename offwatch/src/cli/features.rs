//! The command line of `features`.

use clap::Args;

use super::local_uri;

/// Arguments of `features`.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// Interfaces, or VMs whose interfaces are meant, by name; * and ? stand for any text
    /// and character [default: all interfaces]
    #[arg(value_name = "DEV|VM")]
    pub names: Vec<String>,
    /// Also print features that have no part in offloads, and those that are off for good
    #[arg(long)]
    pub all: bool,
    /// Print JSON: always all features
    #[arg(long)]
    pub json: bool,
    /// libvirt to ask for VM names; without it qemu:///system if it answers
    #[arg(short, long, value_name = "URI", value_parser = local_uri)]
    pub connect: Option<String>,
}
