//! The archive for any distribution: to unpack at a prefix. Its program is built
//! without libvirt's library and needs glibc alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::layout::{Content, DOC, EXAMPLES, Entry, Places, Sources, UNITS};
use super::stage;
use crate::run;

const PLACES: Places = Places {
    zsh: "share/zsh/site-functions",
    compressed: false,
    licences: Some(DOC),
};

/// Parts of glibc, and GCC's support library, which is wherever glibc is.
const NEEDED: &[&str] = &["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux"];

pub(super) fn make(sources: &Sources, program: &Path, work: &Path, to: &Path) -> Result<PathBuf> {
    let release = sources.release;
    let mut printed = Command::new("objdump");
    let printed = run::output(printed.args(["-p", "-T"]).arg(program))?;
    let surplus = surplus(&printed);
    ensure!(
        surplus.is_empty(),
        "the program of the archive needs {}",
        surplus.join(", ")
    );
    let glibc = newest_glibc(&printed).context("the program of the archive needs no glibc")?;
    println!(
        "the program of the archive needs glibc {}.{}",
        glibc.0, glibc.1
    );

    let mut entries = sources.entries(program, &PLACES)?;
    let examples = format!("{DOC}/{EXAMPLES}/systemd");
    for entry in &mut entries {
        if [UNITS, &examples]
            .iter()
            .any(|place| entry.to.starts_with(place))
        {
            at_prefix(entry)?;
        }
    }
    let name = format!("offwatch-{}-{}", release.version, release.machine);
    let top = work.join("tarball");
    stage::write(&entries, &top.join(&name))?;
    stage::settle(&top, release.epoch)?;
    let archive = to.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0"]);
    tar.args(["--numeric-owner", "--format=gnu"]);
    tar.arg("--use-compress-program=gzip -9 --no-name");
    tar.arg("--file").arg(&archive).arg("--directory").arg(&top);
    run::run(tar.arg(&name))?;
    Ok(archive)
}

/// The program of a unit is where the archive is unpacked by the manual.
fn at_prefix(unit: &mut Entry) -> Result<()> {
    if let Content::File(path) = &unit.content {
        let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        unit.content = Content::Text(text.replace("/usr/bin/offwatch", "/usr/local/bin/offwatch"));
    }
    Ok(())
}

/// Libraries that are not of glibc.
fn surplus(objdump: &str) -> Vec<&str> {
    let needed = objdump
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("NEEDED"));
    needed
        .map(str::trim)
        .filter(|library| !NEEDED.iter().any(|allowed| library.starts_with(allowed)))
        .collect()
}

/// The version that the program cannot do without.
fn newest_glibc(objdump: &str) -> Option<(u32, u32)> {
    let versions = objdump.lines().filter_map(|line| {
        // Of weak symbols the program does without.
        let required = line.contains("*UND*") && !line.contains(" w ");
        let version = line.split("GLIBC_").nth(1).filter(|_| required)?;
        let version = version.split([')', ' ']).next()?;
        let mut parts = version.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJDUMP: &str = "\
Dynamic Section:
  NEEDED               libgcc_s.so.1
  NEEDED               libvirt.so.0
  NEEDED               libc.so.6
DYNAMIC SYMBOL TABLE:
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.34) pthread_join
0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.4)  __stack_chk_fail
0000000000000000  w   DF *UND*  0000000000000000 (GLIBC_2.39) pidfd_spawnp
";

    #[test]
    fn only_glibc_is_needed() {
        assert_eq!(surplus(OBJDUMP), ["libvirt.so.0"]);
    }

    #[test]
    fn the_newest_version_is_by_number() {
        assert_eq!(newest_glibc(OBJDUMP), Some((2, 34)));
        assert_eq!(newest_glibc(""), None);
    }
}
