//! The guests' kernel: Debian's cloud kernel of this suite, unpacked but not
//! installed, with the modules that a virtio-net guest needs.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the kernel package of the suite by depending on it.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// virtio-net over PCI; the ACPI power button and the input device by which
/// busybox's acpid reads it. Dependencies are found in the modules themselves.
const MODULES: &[&str] = &["virtio_pci", "virtio_net", "button", "evdev"];

/// A kernel image and its modules in the order in which they must be loaded.
pub(crate) struct Kernel {
    pub(crate) image: PathBuf,
    pub(crate) modules: Vec<PathBuf>,
}

impl Kernel {
    /// Takes the kernel from `cache`, after downloading it there if needed.
    pub(crate) fn fetch(cache: &Path) -> Result<Self> {
        let home = cache.join("kernel");
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
    let depends = run(Command::new("apt-cache").args(["depends", "--important", META_PACKAGE]))?;
    let package = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("{META_PACKAGE} names no kernel package; run apt-get update"))?;
    run(Command::new("apt-get")
        .args(["download", "--quiet", package])
        .current_dir(work))?;
    let package_file = find(work, &|name| name.ends_with(".deb")).context("no package came")?;
    let tree = work.join("tree");
    run(Command::new("dpkg-deb")
        .arg("-x")
        .args([&package_file, &tree]))?;

    let ready = work.join("ready");
    fs::create_dir_all(ready.join("modules"))?;
    let image = find(&tree.join("boot"), &|name| name.starts_with("vmlinuz-"))
        .context("the package holds no kernel image")?;
    fs::copy(image, ready.join("vmlinuz")).context("copy the kernel image")?;

    let mut order = Vec::new();
    for module in MODULES {
        resolve(&tree, module, &mut order)?;
    }
    for (index, (name, data)) in order.iter().enumerate() {
        fs::write(ready.join(format!("modules/{index:02}-{name}.ko")), data)?;
    }
    Ok(ready)
}

/// Appends `name` to `order`, after everything that it depends on. The package
/// has no modules.dep (depmod writes it at installation), so the list comes
/// from each module's own `depends=` field.
fn resolve(tree: &Path, name: &str, order: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    if order.iter().any(|(loaded, _)| loaded == name) {
        return Ok(());
    }
    // File names may use either of "-" and "_".
    let wanted = |file: &str| {
        let stem = file.strip_suffix(".xz").unwrap_or(file);
        stem.strip_suffix(".ko")
            .is_some_and(|stem| stem.replace('-', "_") == name)
    };
    let Some(file) = find(&tree.join("lib/modules"), &wanted) else {
        let builtin = find(tree, &|file| file == "modules.builtin")
            .and_then(|path| fs::read_to_string(path).ok())
            .unwrap_or_default();
        let built_in = builtin
            .lines()
            .filter_map(|line| line.rsplit('/').next())
            .any(wanted);
        ensure!(built_in, "the kernel has no module {name}");
        return Ok(());
    };
    let data = if file.extension().is_some_and(|ext| ext == "xz") {
        let output = Command::new("xz")
            .args(["--decompress", "--stdout"])
            .arg(&file)
            .output()
            .context("run xz")?;
        ensure!(output.status.success(), "xz failed on {}", file.display());
        output.stdout
    } else {
        fs::read(&file)?
    };
    for dependency in module_info(&data, "depends")
        .split(',')
        .filter(|name| !name.is_empty())
    {
        resolve(tree, &dependency.replace('-', "_"), order)?;
    }
    order.push((name.to_owned(), data));
    Ok(())
}

/// A `key=value` string of the module's `.modinfo` section, or "".
fn module_info(data: &[u8], key: &str) -> String {
    let start = format!("\0{key}=");
    data.windows(start.len())
        .position(|window| window == start.as_bytes())
        .map(|at| &data[at + start.len()..])
        .and_then(|value| value.split(|byte| *byte == 0).next())
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

/// The first file below `directory` whose name `matches`.
fn find(directory: &Path, matches: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let entries: BTreeMap<_, _> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some((entry.as_ref().ok()?.path(), entry.ok()?.file_type().ok()?)))
        .collect();
    entries.into_iter().find_map(|(path, kind)| {
        if kind.is_dir() {
            return find(&path, matches);
        }
        let name = path.file_name()?.to_str()?;
        matches(name).then_some(path)
    })
}

fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{command:?} failed with {}: {}",
            output.status,
            message.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::module_info;

    #[test]
    fn reads_module_dependencies() {
        let data = b"\x7fELF\0license=GPL\0depends=virtio_ring,virtio\0name=virtio_net\0";
        assert_eq!(module_info(data, "depends"), "virtio_ring,virtio");
        assert_eq!(module_info(data, "absent"), "");
    }
}
