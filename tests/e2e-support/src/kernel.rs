//! The guests' kernel: Debian's cloud kernel of this suite, unpacked but not
//! installed, with the modules that a virtio-net guest needs.

use crate::command;
use crate::modules::{closure, find};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the kernel package of the suite by depending on it.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// virtio cards and disks over PCI; the ACPI power button and the input device by
/// which busybox's acpid reads it. Dependencies are found in the modules themselves.
const MODULES: &[&str] = &["virtio_pci", "virtio_net", "virtio_blk", "button", "evdev"];

/// Name in the cache; another one whenever [`MODULES`] changes.
const CACHED: &str = "kernel-2";

/// A kernel image and its modules in the order in which they must be loaded.
pub(crate) struct Kernel {
    pub(crate) image: PathBuf,
    pub(crate) modules: Vec<PathBuf>,
}

impl Kernel {
    /// Takes the kernel from `cache`, after downloading it there if needed.
    pub(crate) fn fetch(cache: &Path) -> Result<Self> {
        let home = cache.join(CACHED);
        if !home.exists() {
            fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
            let work = tempfile::tempdir_in(cache).context("create a download directory")?;
            let ready = download(work.path()).context("fetch the guest kernel")?;
            // A directory appears complete or not at all. Losing a race against
            // another test is as good as winning it.
            if let Err(error) = fs::rename(&ready, &home)
                && !home.exists()
            {
                return Err(error).context("move the guest kernel into the cache");
            }
        }
        let mut modules: Vec<PathBuf> = fs::read_dir(home.join("modules"))
            .context("list the cached modules")?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        modules.sort();
        Ok(Self {
            image: home.join("vmlinuz"),
            modules,
        })
    }
}

/// Downloads and unpacks below `work`; returns a directory with `vmlinuz` and
/// `modules/NN-name.ko`.
fn download(work: &Path) -> Result<PathBuf> {
    let depends =
        command::text(Command::new("apt-cache").args(["depends", "--important", META_PACKAGE]))?;
    let package = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("{META_PACKAGE} names no kernel package; run apt-get update"))?;
    command::text(
        Command::new("apt-get")
            .args(["download", "--quiet", package])
            .current_dir(work),
    )?;
    let package_file = find(work, &|name| name.ends_with(".deb")).context("no package came")?;
    let tree = work.join("tree");
    command::text(
        Command::new("dpkg-deb")
            .arg("-x")
            .args([&package_file, &tree]),
    )?;

    let ready = work.join("ready");
    fs::create_dir_all(ready.join("modules"))?;
    let image = find(&tree.join("boot"), &|name| name.starts_with("vmlinuz-"))
        .context("the package holds no kernel image")?;
    fs::copy(image, ready.join("vmlinuz")).context("copy the kernel image")?;

    let closure = closure(&tree, MODULES)?;
    ensure!(
        closure.absent.is_empty(),
        "the kernel has no module {}",
        closure.absent.join(", ")
    );
    for (index, module) in closure.modules.iter().enumerate() {
        let file = format!("modules/{index:02}-{}.ko", module.name);
        fs::write(ready.join(file), &module.data)?;
    }
    Ok(ready)
}
