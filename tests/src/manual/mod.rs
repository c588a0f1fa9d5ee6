//! The manual, README.md and docs/*.md, put to the test: each of its commands runs on
//! the demonstration host, what it prints has the shape that the manual shows, and
//! each of its links leads somewhere.

pub mod known;
pub mod links;
pub mod markdown;
pub mod place;
pub mod play;
mod running;
pub mod session;
pub mod shape;
pub mod stand_in;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub use self::{
    markdown::Document,
    place::Place,
    session::{Step, sessions},
};

/// The checkout.
pub fn root() -> Result<PathBuf> {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = tests.parent().context("the checkout")?;
    Ok(root.to_owned())
}

/// Every document of the manual, by name.
pub fn documents() -> Result<Vec<Document>> {
    let root = root()?;
    let mut names = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(root.join("docs")).context("docs")? {
        let name = entry?.file_name();
        let name = name.to_str().context("a name of plain text")?;
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    let read = |name: String| {
        let text = std::fs::read_to_string(root.join(&name)).with_context(|| name.clone())?;
        Ok(Document::parse(&name, &text))
    };
    names.into_iter().map(read).collect()
}
