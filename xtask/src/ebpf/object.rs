//! From the linked object to the one that is embedded: without DWARF, which is
//! five sixths of it, and with BTF that is the same wherever it was built.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::btf;
use crate::run;

pub(super) fn finish(objcopy: &str, linked: &Path, finished: &Path) -> Result<()> {
    let types_file = finished.with_extension("btf");
    let lines_file = finished.with_extension("btf_ext");
    let stripped = finished.with_extension("stripped");
    run::run(
        Command::new(objcopy)
            .arg("--strip-debug")
            .arg(section("--dump-section", ".BTF", &types_file))
            .arg(section("--dump-section", ".BTF.ext", &lines_file))
            .args([linked, &stripped]),
    )?;
    let (types, lines) = btf::portable(&read(&types_file)?, &read(&lines_file)?)
        .with_context(|| format!("the BTF of {}", linked.display()))?;
    write(&types_file, &types)?;
    write(&lines_file, &lines)?;
    run::run(
        Command::new(objcopy)
            .arg(section("--update-section", ".BTF", &types_file))
            .arg(section("--update-section", ".BTF.ext", &lines_file))
            .args([&stripped, finished]),
    )?;
    for file in [types_file, lines_file, stripped] {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

fn section(option: &str, name: &str, file: &Path) -> String {
    format!("{option}={name}={}", file.display())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}
