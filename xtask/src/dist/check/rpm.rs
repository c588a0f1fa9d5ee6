//! The package for distributions of rpm, by Debian's rpm: no distribution of rpm can be
//! had from Debian's archives. So what it needs is looked at as text, and rpm, whose
//! database here knows of no other package, is told not to mind.

use anyhow::{Result, ensure};

use super::deb::in_use;
use super::files::difference;
use super::root::Root;

/// Sonames, as Fedora's and openSUSE's packages provide them.
const REQUIRED: &[&str] = &[
    "libc.so.6()(64bit)",
    "libvirt.so.0()(64bit)",
    "libvirt.so.0(LIBVIRT_",
    "/bin/sh",
];

pub(super) fn check(root: &Root, rpm: &str, version: &str) -> Result<()> {
    println!("{rpm}");
    // Directories that distributions of rpm have.
    const DIRECTORIES: &str = "/usr/share/licenses /usr/share/zsh/site-functions";
    root.run(
        "rpm has its own database",
        &format!("rpm --initdb; mkdir {DIRECTORIES}"),
    )?;
    let before = root.files()?;
    let required = root.run(
        "rpm reads it",
        &format!("rpm --query --requires --package /mnt/{rpm}"),
    )?;
    for need in REQUIRED {
        ensure!(
            required.contains(need),
            "{rpm} does not require {need}:\n{required}"
        );
    }
    ensure!(
        !required.to_lowercase().contains("debian"),
        "{rpm} requires something of Debian:\n{required}"
    );
    root.run(
        "rpm installs it",
        &format!("rpm --install --nodeps /mnt/{rpm}"),
    )?;
    let printed = root.run("runs", "offwatch --version")?;
    ensure!(printed == format!("offwatch {version}\n"), "{printed}");
    root.run(
        "no file differs from the package",
        "rpm --verify --nodeps offwatch",
    )?;
    // zsh's directory of Fedora is not one of Debian's.
    root.run(
        "zsh's completions",
        "test -s /usr/share/zsh/site-functions/_offwatch
         ln -s /usr/share/zsh/site-functions/_offwatch /usr/share/zsh/vendor-completions/",
    )?;
    in_use(root)?;
    root.run(
        "rpm removes it, and what was enabled with it",
        "rm /usr/share/zsh/vendor-completions/_offwatch
         systemctl --quiet enable offwatch-enforce.service
         rpm --erase offwatch",
    )?;
    let left = difference(&before, &root.files()?);
    ensure!(left.is_empty(), "{rpm} leaves:\n{}", left.join("\n"));
    root.run(
        "no directory of it is left",
        &format!("rmdir {DIRECTORIES}"),
    )?;
    Ok(())
}
