//! The guests' root file system: an initramfs with busybox, iperf3, the kernel
//! modules and `/init`. Every guest boots the same one; what differs between
//! guests is on the kernel command line.

use crate::cpio::Archive;
use crate::programs::add_program;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

const INIT: &str = include_str!("guest-init.sh");

/// Builds the initramfs. It is not compressed: unpacking under emulation costs
/// more than it saves.
pub(crate) fn build(modules: &[PathBuf]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["proc", "sys", "dev", "tmp", "var/log", "var/run"] {
        archive.directory(directory);
    }
    archive.file("init", 0o755, INIT.as_bytes());
    add_program(&mut archive, "busybox")?;
    add_program(&mut archive, "iperf3")?;
    for module in modules {
        let name = module.file_name().context("module without a name")?;
        archive.file(
            Path::new("modules").join(name),
            0o644,
            &fs::read(module).with_context(|| format!("read {}", module.display()))?,
        );
    }
    Ok(archive.finish())
}
