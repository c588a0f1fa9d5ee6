//! What goes where.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::release::Release;

/// What packages are made of, beside the program.
pub(super) struct Sources<'a> {
    pub(super) root: &'a Path,
    /// Those of the libraries in the program.
    pub(super) licences: &'a str,
    pub(super) release: &'a Release,
}

/// A file of a package.
pub(super) struct Entry {
    pub(super) content: Content,
    /// Below the prefix, such as `bin/offwatch`.
    pub(super) to: String,
    pub(super) program: bool,
    pub(super) compressed: bool,
}

pub(super) enum Content {
    File(PathBuf),
    Text(String),
}

/// Where distributions differ.
pub(super) struct Places {
    pub(super) zsh: &'static str,
    pub(super) compressed: bool,
    /// The directory of the licences; none where `copyright` stands for them.
    pub(super) licences: Option<&'static str>,
}

pub(super) const DOC: &str = "share/doc/offwatch";
/// What contrib is called there.
pub(super) const EXAMPLES: &str = "examples";
pub(super) const MAN: &str = "share/man/man1";
pub(super) const UNITS: &str = "lib/systemd/system";

impl Entry {
    pub(super) fn file(from: PathBuf, to: String) -> Self {
        Self {
            content: Content::File(from),
            to,
            program: false,
            compressed: false,
        }
    }

    pub(super) fn text(text: String, to: String) -> Self {
        Self {
            content: Content::Text(text),
            to,
            program: false,
            compressed: false,
        }
    }

    pub(super) fn compressed(self, compressed: bool) -> Self {
        Self { compressed, ..self }
    }
}

impl Sources<'_> {
    /// All that packages have in common.
    pub(super) fn entries(&self, program: &Path, places: &Places) -> Result<Vec<Entry>> {
        let contrib = self.root.join("contrib");
        let mut entries = vec![Entry {
            program: true,
            ..Entry::file(program.to_owned(), "bin/offwatch".into())
        }];
        for page in files(&contrib.join("man"))? {
            let entry = Entry::file(page.0, format!("{MAN}/{}", page.1));
            entries.push(entry.compressed(places.compressed));
        }
        for (file, to) in [
            (
                "offwatch.bash",
                "share/bash-completion/completions/offwatch".to_owned(),
            ),
            ("_offwatch", format!("{}/_offwatch", places.zsh)),
            (
                "offwatch.fish",
                "share/fish/vendor_completions.d/offwatch.fish".to_owned(),
            ),
        ] {
            entries.push(Entry::file(contrib.join("completions").join(file), to));
        }
        for (from, name) in files(&contrib.join("systemd"))? {
            entries.push(Entry::file(from, format!("{UNITS}/{name}")));
        }
        entries.push(document(&self.root.join("README.md"), "README.md")?);
        for (from, name) in files(&self.root.join("docs"))? {
            entries.push(document(&from, &format!("docs/{name}"))?);
        }
        entries.extend(self.examples()?);
        if let Some(directory) = places.licences {
            for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
                let from = self.root.join(name);
                entries.push(Entry::file(from, format!("{directory}/{name}")));
            }
        }
        let licences = places.licences.unwrap_or(DOC);
        entries.push(
            Entry::text(
                self.licences.to_owned(),
                format!("{licences}/third-party-licenses.txt"),
            )
            .compressed(places.compressed),
        );
        entries.sort_by(|one, other| one.to.cmp(&other.to));
        Ok(entries)
    }

    /// All of contrib that has no place of its own, and the units, which documents
    /// refer to.
    fn examples(&self) -> Result<Vec<Entry>> {
        let contrib = self.root.join("contrib");
        let placed = ["man/", "completions/"];
        let examples = files(&contrib)?
            .into_iter()
            .filter(|(_, name)| !placed.iter().any(|directory| name.starts_with(directory)));
        Ok(examples
            .map(|(from, name)| Entry::file(from, format!("{DOC}/{EXAMPLES}/{name}")))
            .collect())
    }
}

/// A document, whose links to contrib lead to where that is packed.
fn document(from: &Path, name: &str) -> Result<Entry> {
    let to = format!("{DOC}/{name}");
    if !name.ends_with(".md") {
        return Ok(Entry::file(from.to_owned(), to));
    }
    let text = fs::read_to_string(from).with_context(|| format!("{}", from.display()))?;
    Ok(Entry::text(with_links_to_examples(&text), to))
}

fn with_links_to_examples(text: &str) -> String {
    let mut text = text.to_owned();
    for up in ["", "../"] {
        for end in [")", "/"] {
            let (link, packed) = (
                format!("]({up}contrib{end}"),
                format!("]({up}{EXAMPLES}{end}"),
            );
            text = text.replace(&link, &packed);
        }
    }
    text
}

/// The units that are packed, of a kind (`.service`) or, with an empty one, all.
pub(super) fn units(entries: &[Entry], kind: &str) -> String {
    let units = entries.iter().filter_map(|entry| {
        let unit = entry.to.strip_prefix(UNITS)?.strip_prefix('/')?;
        unit.ends_with(kind).then_some(unit)
    });
    units.collect::<Vec<_>>().join(" ")
}

/// All files below a directory, with their path in it.
fn files(directory: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        let entries = fs::read_dir(&next).with_context(|| format!("{}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(directory)?.to_str();
            let name = name.with_context(|| format!("{} is not UTF-8", path.display()))?;
            found.push((path.clone(), name.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_contrib_lead_to_examples() {
        let text = "[a](contrib), [b](../contrib/x.yml#y), [contrib](docs/contrib.md)";
        let packed = "[a](examples), [b](../examples/x.yml#y), [contrib](docs/contrib.md)";
        assert_eq!(with_links_to_examples(text), packed);
    }

    #[test]
    fn units_are_found_by_their_place() {
        let at = |to: &str| Entry::text(String::new(), to.into());
        let entries = [
            at("bin/offwatch"),
            at("lib/systemd/system/a.service"),
            at("lib/systemd/system/a.socket"),
        ];
        assert_eq!(units(&entries, ""), "a.service a.socket");
        assert_eq!(units(&entries, ".service"), "a.service");
    }
}
