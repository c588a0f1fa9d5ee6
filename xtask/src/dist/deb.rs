//! Debian's package.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::layout::{DOC, Entry, Places, Sources, units};
use super::release::Release;
use super::stage;
use crate::run;

const PLACES: Places = Places {
    zsh: "share/zsh/vendor-completions",
    compressed: true,
    licences: None,
};

const COPYRIGHT: &str = include_str!("scripts/copyright");
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("scripts/deb-postinst.sh")),
    ("prerm", include_str!("scripts/deb-prerm.sh")),
    ("postrm", include_str!("scripts/deb-postrm.sh")),
];

pub(super) fn make(sources: &Sources, program: &Path, work: &Path, to: &Path) -> Result<PathBuf> {
    let release = sources.release;
    let mut entries = sources.entries(program, &PLACES)?;
    entries.push(Entry::text(
        copyright(sources.root)?,
        format!("{DOC}/copyright"),
    ));
    let changelog = Entry::text(changelog(release)?, format!("{DOC}/changelog"));
    entries.push(changelog.compressed(true));

    let root = work.join("deb");
    stage::write(&entries, &root.join("usr"))?;
    let kib = stage::settle(&root, release.epoch)?;
    let control = root.join("DEBIAN");
    fs::create_dir(&control).context("cannot make DEBIAN")?;
    let depends = depends(program, work)?;
    fs::write(
        control.join("control"),
        control_file(release, &depends, kib),
    )?;
    fs::write(control.join("md5sums"), sums(&root)?)?;
    for (name, script) in SCRIPTS {
        let script = script
            .replace("@UNITS@", &units(&entries, ""))
            .replace("@SERVICES@", &units(&entries, ".service"));
        let path = control.join(name);
        fs::write(&path, script)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    let package = to.join(format!(
        "offwatch_{}_{}.deb",
        release.version, release.debian_machine
    ));
    let mut build = Command::new("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", release.epoch.to_string());
    build.args(["--root-owner-group", "-Zxz", "--build"]);
    run::output(build.arg(&root).arg(&package))?;
    Ok(package)
}

/// The packages of the libraries that the program is linked to, with their versions.
fn depends(program: &Path, work: &Path) -> Result<String> {
    // It wants to be in the source of a Debian package.
    let source = work.join("shlibdeps");
    fs::create_dir_all(source.join("debian"))?;
    fs::write(
        source.join("debian/control"),
        "Source: offwatch\n\nPackage: offwatch\nArchitecture: any\n",
    )?;
    let mut command = Command::new("dpkg-shlibdeps");
    let printed = run::output(command.arg("-O").arg(program).current_dir(source))?;
    let depends = printed.trim().strip_prefix("shlibs:Depends=");
    Ok(depends.context("dpkg-shlibdeps tells nothing")?.to_owned())
}

fn control_file(release: &Release, depends: &str, kib: u64) -> String {
    format!(
        "\
Package: offwatch
Version: {version}
Architecture: {machine}
Maintainer: {maintainer}
Installed-Size: {kib}
Depends: {depends}
Suggests: ethtool, prometheus
Section: admin
Priority: optional
Homepage: https://github.com/offwatch/offwatch
Description: shows what network offloads do for each VM of a KVM host
 offwatch tells, VM by VM and from evidence inside the kernel (eBPF), how large
 the segments of a VM are, who cuts them, who computes checksums, and what that
 costs. It says what to change or to leave alone, tries a change and takes it
 back, keeps features as a policy has them, and offers what it counts to
 Prometheus.
 .
 Only its commands trial and enforce change anything. No service is enabled or
 started by the package.
",
        version = release.version,
        machine = release.debian_machine,
        maintainer = release.maintainer,
    )
}

fn changelog(release: &Release) -> Result<String> {
    Ok(format!(
        "offwatch ({}) unstable; urgency=medium\n\n  * Release {}.\n\n -- {}  {}\n",
        release.version,
        release.version,
        release.maintainer,
        release.date("--rfc-email")?,
    ))
}

/// With the text of the licence that is not on every Debian.
fn copyright(root: &Path) -> Result<String> {
    let mit = fs::read_to_string(root.join("LICENSE-MIT")).context("LICENSE-MIT")?;
    let lines = mit.trim().lines().map(|line| match line.trim_end() {
        "" => " .".to_owned(),
        line => format!(" {line}"),
    });
    Ok(COPYRIGHT.replace("@MIT@", &lines.collect::<Vec<_>>().join("\n")))
}

fn sums(root: &Path) -> Result<String> {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum",
    ]);
    run::output(command.current_dir(root))
}
