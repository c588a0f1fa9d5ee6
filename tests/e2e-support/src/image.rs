//! The guests' root file system: an initramfs with busybox, iperf3, the kernel
//! modules and `/init`. Every guest boots the same one; what differs between
//! guests is on the kernel command line.

use crate::cpio::Archive;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The path of a program, searched as a root shell would.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Adds a program as `/bin/<name>` and its shared libraries at the paths where
/// its dynamic linker looks for them.
fn add_program(archive: &mut Archive, name: &str) -> Result<()> {
    let path = find_program(name).with_context(|| format!("{name} is not installed"))?;
    let data = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    archive.file(Path::new("bin").join(name), 0o755, &data);

    let output = Command::new("ldd").arg(&path).output().context("run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // ldd fails on a static program, which needs nothing.
    if !output.status.success() {
        return Ok(());
    }
    for library in libraries(&text) {
        let library = library.with_context(|| format!("{name} lacks a shared library: {text}"))?;
        let data = fs::read(library).with_context(|| format!("read {library}"))?;
        archive.file(library, 0o755, &data);
    }
    ensure!(
        text.contains("ld-linux") || libraries(&text).next().is_none(),
        "no dynamic linker in: {text}"
    );
    Ok(())
}

/// Paths in ldd's output; `None` for a library that was not found.
fn libraries(ldd: &str) -> impl Iterator<Item = Option<&str>> {
    ldd.lines().filter_map(|line| {
        if line.contains("not found") {
            return Some(None);
        }
        // "name => path (address)", "path (address)" or, for the vDSO, no path.
        let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(Some(path))
    })
}

#[cfg(test)]
mod tests {
    use super::libraries;

    #[test]
    fn reads_ldd_output() {
        let text = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld-linux-x86-64.so.2 (0x3)\n\tlibx.so => not found\n";
        let found: Vec<_> = libraries(text).collect();
        assert_eq!(
            found,
            [
                Some("/lib/libc.so.6"),
                Some("/lib64/ld-linux-x86-64.so.2"),
                None
            ]
        );
    }
}
