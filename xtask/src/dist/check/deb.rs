//! Debian's package, by apt.

use anyhow::{Result, ensure};

use super::files::difference;
use super::root::Root;

const INSTALL: &str = "apt-get --quiet=2 --yes --no-install-recommends install";

/// What an administrator makes.
const STATE: &str = "
mkdir -p /etc/offwatch /var/lib/offwatch/journal
cp /usr/share/doc/offwatch/examples/policy.toml /etc/offwatch/
touch /var/lib/offwatch/journal/000001.jsonl
systemctl --quiet enable offwatch-enforce.service";

/// Installed, reinstalled, upgraded and purged; the libraries that it needs stay.
pub(super) fn check(root: &Root, deb: &str, version: &str) -> Result<()> {
    println!("{deb}");
    let before = root.files()?;
    // Lists that are out of date name files that are gone.
    let install = format!(
        "{INSTALL} /mnt/{deb} 2>&1 || {{ apt-get --quiet=2 update; {INSTALL} /mnt/{deb}; }}"
    );
    root.with_network("apt installs it, with what it needs", &install)?;
    let printed = root.run("runs", "offwatch --version")?;
    ensure!(printed == format!("offwatch {version}\n"), "{printed}");
    root.run("no file differs from the package", "dpkg --verify offwatch")?;
    in_use(root)?;
    root.run(
        "units are neither enabled nor started",
        "if systemctl --quiet is-enabled offwatch-enforce.service; then exit 1; fi
         ! find /etc/systemd /run/systemd -name '*offwatch*' | grep .",
    )?;
    let with_package = root.files()?;

    root.run("the administrator sets it up", STATE)?;
    let set_up = root.files()?;
    let again = format!("{INSTALL} --reinstall /mnt/{deb}");
    root.with_network("apt installs it again", &again)?;
    let upgrade = format!(
        "cd /tmp
         dpkg-deb --raw-extract /mnt/{deb} new
         sed -i 's/^Version: .*/&+next/' new/DEBIAN/control
         dpkg-deb --root-owner-group -Znone --build new offwatch-next.deb >&2
         {INSTALL} ./offwatch-next.deb
         rm -r new offwatch-next.deb
         dpkg-query --show --showformat '${{Version}}' offwatch | grep -q next
         systemctl --quiet is-enabled offwatch-enforce.service"
    );
    root.with_network("apt upgrades it", &upgrade)?;
    same("an upgrade", difference(&set_up, &root.files()?))?;

    root.run("apt removes it", "apt-get --quiet=2 --yes remove offwatch")?;
    root.run("apt purges it", "apt-get --quiet=2 --yes purge offwatch")?;
    root.run(
        "what the administrator made is left",
        "test -s /etc/offwatch/policy.toml
         test -e /var/lib/offwatch/journal/000001.jsonl
         rm -r /etc/offwatch /var/lib/offwatch",
    )?;
    let left: Vec<String> = difference(&before, &root.files()?);
    let own = left.iter().filter(|line| line.contains("offwatch"));
    same("a removal", own.cloned().collect())?;
    // The comparison can see the package.
    ensure!(
        difference(&before, &with_package)
            .iter()
            .any(|line| line.starts_with("+ ./usr/bin/offwatch ")),
        "the program is not among the files of the root"
    );
    Ok(())
}

fn same(after: &str, difference: Vec<String>) -> Result<()> {
    ensure!(
        difference.is_empty(),
        "{after} changes:\n{}",
        difference.join("\n")
    );
    Ok(())
}

/// What a package brings is of use, whichever package it is.
pub(super) fn in_use(root: &Root) -> Result<()> {
    let told = root.with_network("`doctor` tells what this host allows", "offwatch doctor")?;
    ensure!(told.contains("libvirt"), "doctor is silent: {told}");
    let page = root.run(
        "manual pages are found and shown",
        "man -w offwatch-enforce-status offwatch-fleet-top >/dev/null
         MANPAGER=cat man offwatch-top",
    )?;
    for section in ["EXIT STATUS", "EXAMPLES", "offwatch-top"] {
        ensure!(page.contains(section), "no {section} in:\n{page}");
    }
    root.run(
        "completions of bash, zsh and fish",
        r#"(set +eu
         . /usr/share/bash-completion/bash_completion
         _completion_loader offwatch
         COMP_WORDS=(offwatch enf) COMP_CWORD=1 COMP_LINE='offwatch enf' COMP_POINT=12
         _offwatch offwatch enf offwatch
         test "${COMPREPLY[*]}" = enforce)
         zsh -f -c 'autoload -U compinit && compinit -u -D &&
             [[ $_comps[offwatch] == _offwatch ]] && autoload -z +X _offwatch'
         fish -c 'complete --do-complete "offwatch enf"' | grep -q ^enforce"#,
    )?;
    root.run(
        "systemd finds no fault in the units",
        "systemd-analyze verify /usr/lib/systemd/system/offwatch-*",
    )?;
    Ok(())
}
