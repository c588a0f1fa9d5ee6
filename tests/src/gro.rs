//! GRO of a device that receives frames one by one, as if they had come in one
//! interrupt.

use std::fs;

use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{Netns, link};

/// How long GRO waits for more of a flow.
const WAIT_NS: u64 = 2_000_000;

/// Switches GRO of `device` on, and lets it wait for more frames of a flow.
pub fn enable(ns: &Netns, device: &str) -> Result<()> {
    link::set_features(ns, device, &["gro", "on"])?;
    ns.try_run(|| {
        // The namespace's own sysfs, for this thread alone.
        unshare(CloneFlags::CLONE_NEWNS).context("unshare(CLONE_NEWNS)")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("private mounts")?;
        mount(
            Some("sysfs"),
            "/sys",
            Some("sysfs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("sysfs of the namespace")?;
        let path = format!("/sys/class/net/{device}/gro_flush_timeout");
        fs::write(&path, WAIT_NS.to_string()).context(path)
    })
}
