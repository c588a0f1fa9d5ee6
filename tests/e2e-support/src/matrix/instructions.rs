//! `docs/kernel-instructions.json`: what a boot whose clock counts instructions has
//! counted. The numbers are for pages to show; the limits are those of the test.

use super::results::Run;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

const NAME: &str = "kernel-instructions.json";

/// Writes it beside `page`, if there is such a run.
pub(super) fn write(page: &Path, runs: &[&Run]) -> Result<()> {
    let Some(counted) = runs.iter().find_map(|run| run.instructions.as_ref()) else {
        return Ok(());
    };
    let path = page.with_file_name(NAME);
    let text = format!("{counted:#}\n");
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
