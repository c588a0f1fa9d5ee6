//! The licences of the libraries that are in the program: whoever passes it on must
//! pass them on, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run;
use crate::workspace::Workspace;

const HEAD: &str = "\
offwatch contains the libraries below, and Rust's standard library (MIT or Apache-2.0,
https://github.com/rust-lang/rust). After the list come the texts of their licences, each
once, with the libraries that carry it.
";

/// Names that files with terms begin with.
const NAMES: &[&str] = &[
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// The packages whose dependencies end in the program: the BPF object is embedded.
const PACKED: &[&str] = &["offwatch", "offwatch-ebpf"];

pub(super) fn text(workspace: &Workspace) -> Result<String> {
    let mut libraries = BTreeSet::new();
    for package in PACKED {
        let mut tree = workspace.cargo("tree");
        tree.args([
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]);
        libraries.extend(listed(&run::output(tree.args(["--format", "{p}|{l}"]))?));
    }
    let mut text = format!("{HEAD}\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Library {
        name,
        version,
        licence,
    } in &libraries
    {
        text += &format!("{name} {version}: {licence}\n");
        let directory = workspace.directory(name, version);
        let directory = directory.with_context(|| format!("{name} {version} is not here"))?;
        for terms in terms(&directory)? {
            texts
                .entry(terms)
                .or_default()
                .push(format!("{name} {version}"));
        }
    }
    let mut texts: Vec<(String, Vec<String>)> = texts.into_iter().collect();
    texts.sort_by(|one, other| one.1.cmp(&other.1));
    for (terms, of) in texts {
        let rule = "-".repeat(72);
        text += &format!(
            "\n{rule}\n{}\n{rule}\n{}\n",
            of.join(", "),
            terms.trim_end()
        );
    }
    Ok(text)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Library {
    name: String,
    version: String,
    licence: String,
}

/// Reads `NAME vVERSION [(...)] [(*)]|LICENCE` lines, without those of the checkout.
fn listed(tree: &str) -> Vec<Library> {
    let lines = tree.lines().filter_map(|line| {
        let (package, licence) = line.split_once('|')?;
        let licence = licence.trim_end_matches(" (*)");
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let ours = name.starts_with("offwatch");
        (!ours).then(|| Library {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
        })
    });
    lines.collect()
}

/// The files with terms in the directory of a package.
fn terms(directory: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let entries = fs::read_dir(directory).with_context(|| format!("{}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            let bytes = fs::read(&path).with_context(|| format!("{}", path.display()))?;
            found.insert(String::from_utf8_lossy(&bytes).replace('\r', ""));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_others_are_listed() {
        let tree = "offwatch v0.1.0 (/checkout/offwatch)|MIT OR Apache-2.0\n\
                    anyhow v1.0.0|MIT OR Apache-2.0\n\
                    thiserror-impl v2.0.0 (proc-macro)|MIT\n\
                    anyhow v1.0.0|MIT OR Apache-2.0 (*)\n\n";
        let found = listed(tree);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], found[2]);
        assert_eq!(
            (&*found[1].name, &*found[1].version),
            ("thiserror-impl", "2.0.0")
        );
        assert_eq!(found[1].licence, "MIT");
    }
}
