//! The package for distributions of rpm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::layout::{DOC, Entry, Places, Sources, units};
use super::release::Release;
use super::stage;
use crate::run;

const LICENCES: &str = "share/licenses/offwatch";
const PLACES: Places = Places {
    zsh: "share/zsh/site-functions",
    compressed: true,
    licences: Some(LICENCES),
};

const SCRIPTLETS: &str = include_str!("scripts/rpm-scriptlets.spec");

pub(super) fn make(sources: &Sources, program: &Path, work: &Path, to: &Path) -> Result<PathBuf> {
    let release = sources.release;
    let entries = sources.entries(program, &PLACES)?;
    let top = work.join("rpm");
    let files = top.join("files");
    stage::write(&entries, &files.join("usr"))?;
    stage::settle(&files, release.epoch)?;
    let spec = top.join("offwatch.spec");
    fs::write(&spec, spec_file(release, &entries, &files)?).context("cannot write the spec")?;

    let mut build = Command::new("rpmbuild");
    build.env("SOURCE_DATE_EPOCH", release.epoch.to_string());
    build
        .arg("-bb")
        .args(["--quiet", "--target", release.machine]);
    build.arg("--buildroot").arg(top.join("root"));
    for (name, value) in [
        ("_topdir", top.to_str().context("a path that is not UTF-8")?),
        ("_rpmdir", to.to_str().context("a path that is not UTF-8")?),
        (
            "_rpmfilename",
            "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        ),
        ("_buildhost", "localhost"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
        // The program has been stripped, and nothing is to be changed in it.
        ("__os_install_post", "%{nil}"),
        ("debug_package", "%{nil}"),
        ("_build_id_links", "none"),
    ] {
        build.arg("--define").arg(format!("{name} {value}"));
    }
    run::output(build.arg(&spec))?;
    let name = format!("offwatch-{}-1.{}.rpm", release.version, release.machine);
    Ok(to.join(name))
}

/// What the program is linked to, rpmbuild finds by itself.
fn spec_file(release: &Release, entries: &[Entry], files: &Path) -> Result<String> {
    let scriptlets = SCRIPTLETS
        .replace("@UNITS@", &units(entries, ""))
        .replace("@SERVICES@", &units(entries, ".service"));
    Ok(format!(
        "\
Name: offwatch
Version: {version}
Release: 1
Summary: Shows what network offloads do for each VM of a KVM host
License: MIT OR Apache-2.0
URL: https://github.com/offwatch/offwatch
Packager: {maintainer}

%description
offwatch tells, VM by VM and from evidence inside the kernel (eBPF), how large the
segments of a VM are, who cuts them, who computes checksums, and what that costs. It
says what to change or to leave alone, tries a change and takes it back, keeps features
as a policy has them, and offers what it counts to Prometheus.

Only its commands trial and enforce change anything. No service is enabled or started
by the package.

%install
cp -a '{files}/.' '%{{buildroot}}/'

{scriptlets}
%files
{list}

%changelog
* {date} {maintainer} - {version}-1
- Release {version}.
",
        version = release.version,
        maintainer = release.maintainer,
        files = files.display(),
        list = list(entries),
        date = release.date("+%a %b %d %Y")?,
    ))
}

/// The files, and the directories that are the package's own.
fn list(entries: &[Entry]) -> String {
    let mut lines = vec![format!("/usr/{LICENCES}"), format!("/usr/{DOC}")];
    for entry in entries {
        let own = [LICENCES, DOC].iter().any(|own| entry.to.starts_with(own));
        let suffix = if entry.compressed { ".gz" } else { "" };
        if !own {
            lines.push(format!("/usr/{}{suffix}", entry.to));
        }
    }
    for (line, mark) in lines.iter_mut().zip(["%license", "%doc"]) {
        *line = format!("{mark} {line}");
    }
    lines.insert(0, "%defattr(-,root,root,-)".into());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_its_own_are_listed_once() {
        let at = |to: &str| Entry::text(String::new(), to.into());
        let entries = [
            at("bin/offwatch"),
            at("share/doc/offwatch/README.md"),
            at("share/man/man1/offwatch.1").compressed(true),
        ];
        assert_eq!(
            list(&entries),
            "%defattr(-,root,root,-)\n%license /usr/share/licenses/offwatch\n\
             %doc /usr/share/doc/offwatch\n/usr/bin/offwatch\n\
             /usr/share/man/man1/offwatch.1.gz"
        );
    }
}
