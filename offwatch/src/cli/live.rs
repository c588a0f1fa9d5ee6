//! How this host is observed: arguments that `top`, `advise` and `export` share.

use clap::Args;

use super::{HookChoice, WorkChoice, local_uri};
use crate::collector::{Options, Packets};

/// How to observe this host.
#[derive(Debug, Args)]
pub struct LiveArgs {
    /// How to count packets
    #[arg(long, value_enum, default_value_t = HookChoice::Auto, conflicts_with = "replay")]
    pub hook: HookChoice,
    /// How to count software work where it is done
    #[arg(long, value_enum, default_value_t = WorkChoice::Auto, conflicts_with = "replay")]
    pub exact: WorkChoice,
    /// libvirt to ask for VMs; without it qemu:///system if it answers
    #[arg(short, long, value_name = "URI", conflicts_with = "replay", value_parser = local_uri)]
    pub connect: Option<String>,
}

impl LiveArgs {
    /// The same, for the source of samples.
    pub(crate) fn options(&self, packets: Packets) -> Options {
        Options {
            hooks: self.hook.hooks(),
            exact: self.exact.into(),
            packets,
            connect: self.connect.clone(),
            bpf_log: false,
        }
    }
}
