//! Programs of the host, copied into a guest with their shared libraries.

use crate::cpio::Archive;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
pub(crate) fn add_program(archive: &mut Archive, name: &str) -> Result<()> {
    let path = find_program(name).with_context(|| format!("{name} is not installed"))?;
    let data = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    archive.file(Path::new("bin").join(name), 0o755, &data);
    add_libraries(archive, &path)
}

/// Adds the shared libraries of the program at `path`.
pub(crate) fn add_libraries(archive: &mut Archive, path: &Path) -> Result<()> {
    let name = path.display();
    let output = Command::new("ldd").arg(path).output().context("run ldd")?;
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
