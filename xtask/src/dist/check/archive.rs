//! The archive for any distribution, where libvirt's library is not.

use anyhow::{Result, ensure};

use super::files::difference;
use super::root::Root;

pub(super) fn check(root: &Root, archive: &str, version: &str) -> Result<()> {
    println!("{archive}");
    let before = root.files()?;
    root.run(
        "libvirt's library is not in the root",
        "! ldconfig -p | grep libvirt",
    )?;
    let unpack = format!("tar -C /usr/local --strip-components=1 -xf /mnt/{archive}");
    root.run("unpacks at /usr/local", &unpack)?;
    let printed = root.run("runs", "/usr/local/bin/offwatch --version")?;
    ensure!(printed == format!("offwatch {version}\n"), "{printed}");
    root.run(
        "`top --once` looks at the host without libvirt",
        "offwatch top --once --interval 0.1 --json | grep -q '\"schema\"'",
    )?;
    let told = root.run("`doctor` tells that libvirt is left out", "offwatch doctor")?;
    ensure!(
        told.contains("built without"),
        "doctor does not tell that libvirt is left out:\n{told}"
    );
    root.run(
        "manual and units are there",
        "man -w offwatch-top offwatch-enforce-status >/dev/null
         systemd-analyze verify /usr/local/lib/systemd/system/offwatch-*",
    )?;
    // As docs/install.md has it.
    let remove = format!(
        "tar -tf /mnt/{archive} | sed 's,^[^/]*,/usr/local,' | grep -v '/$' | xargs -d '\\n' rm
         find /usr/local -depth -type d -name '*offwatch*' -exec rm -r {{}} +"
    );
    root.run("is removed", &remove)?;
    let left: Vec<String> = difference(&before, &root.files()?)
        .into_iter()
        // Directories of the prefix that others use as well.
        .filter(|line| !line.contains(" d 755 0:0 "))
        .collect();
    ensure!(left.is_empty(), "the archive leaves {}", left.join("\n"));
    Ok(())
}
