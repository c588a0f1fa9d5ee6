//! apt sources for other suites, derived from those of the machine.
//!
//! Which archive, which keyring and how to reach it is the machine's choice and
//! stays so; only the suite differs. Options that weaken the check of
//! signatures are not taken over.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Names that a Debian suite may begin with. Third parties' archives use
/// others, or the same ones with something in front.
const RELEASES: &[&str] = &[
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// Options of a source that hold for every suite of the same archive.
const INHERITED: &[&str] = &["signed-by", "by-hash", "check-valid-until", "check-date"];

/// One of Debian's two archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Archive {
    Main,
    Security,
}

/// A configured source of packages. Options are named as in deb822 files, in
/// lower case; a value may have several lines (an embedded key).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Source {
    uris: String,
    suites: Vec<String>,
    components: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Source {
    /// Which of Debian's archives this is, if it is one.
    fn archive(&self) -> Option<Archive> {
        if !self.components.iter().any(|component| component == "main") {
            return None;
        }
        self.suites.iter().find_map(|suite| {
            let (release, rest) = suite.split_at(suite.find(['-', '/']).unwrap_or(suite.len()));
            match rest {
                _ if !RELEASES.contains(&release) => None,
                "-security" | "/updates" => Some(Archive::Security),
                "" | "-updates" | "-proposed-updates" | "-backports" => Some(Archive::Main),
                _ => None,
            }
        })
    }
}

/// Sources in a file of the one-line format (`*.list`).
pub(super) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line
        .strip_prefix("deb")
        .filter(|rest| rest.starts_with([' ', '\t', '[']))?
        .trim_start();
    let mut options = BTreeMap::new();
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (inside, after) = bracketed.split_once(']')?;
        for option in inside.split_whitespace() {
            let (name, value) = option.split_once('=')?;
            options.insert(name.to_lowercase(), value.replace(',', " "));
        }
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        options,
    })
}

/// Sources in a file of the deb822 format (`*.sources`).
pub(super) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    // The empty line at the end closes the last stanza.
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: Vec<(String, String)>) -> Option<Source> {
    let mut options: BTreeMap<_, _> = fields.into_iter().collect();
    let words =
        |value: String| -> Vec<String> { value.split_whitespace().map(str::to_owned).collect() };
    let types = words(options.remove("types")?);
    let disabled = ["no", "false", "0"];
    let enabled = options.remove("enabled").unwrap_or_default();
    if !types.iter().any(|kind| kind == "deb") || disabled.contains(&enabled.as_str()) {
        return None;
    }
    Some(Source {
        uris: options.remove("uris")?,
        suites: words(options.remove("suites")?),
        components: words(options.remove("components").unwrap_or_default()),
        options,
    })
}

/// A deb822 file for `suites`, or `None` if the machine has no Debian archive.
/// A suite of an archive that it does not have is left out.
pub(super) fn derive(sources: &[Source], suites: &[(Archive, &str)]) -> Option<String> {
    let mut text = String::new();
    for (archive, suite) in suites {
        let from = sources
            .iter()
            .find(|source| source.archive() == Some(*archive));
        let Some(from) = from else { continue };
        let _ = write!(
            text,
            "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n",
            from.uris
        );
        for name in INHERITED {
            if let Some(value) = from.options.get(*name) {
                let _ = writeln!(text, "{name}: {value}");
            }
        }
        text.push('\n');
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a snapshot would be here
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Trusted: yes
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://off.example
Suites: bookworm
Components: main
Enabled: no
";

    #[test]
    fn deb822_sources_keep_uri_and_key() {
        let sources = parse_deb822(DEB822);
        assert_eq!(sources.len(), 2, "{sources:?}");
        let text = derive(
            &sources,
            &[
                (Archive::Main, "trixie"),
                (Archive::Security, "trixie-security"),
            ],
        )
        .unwrap();
        assert_eq!(
            text,
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n\
             signed-by: /keys/debian.gpg\n\n\
             Types: deb\nURIs: http://mirror.example/debian-security\nSuites: trixie-security\n\
             Components: main\n\
             signed-by: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n\n"
        );
        assert!(!text.to_lowercase().contains("trusted"));
    }

    #[test]
    fn one_line_sources_keep_uri_and_key() {
        let sources = parse_list(
            "# deb http://no.example bookworm main\n\
             deb-src http://no.example bookworm main\n\
             deb http://other.example cloud-sdk-bookworm main\n\
             deb [arch=amd64 signed-by=/a.gpg,/b.gpg trusted=yes] http://mirror.example/debian stable main contrib # why\n\
             deb http://mirror.example/security bullseye/updates main\n",
        );
        let text = derive(
            &sources,
            &[
                (Archive::Main, "sid"),
                (Archive::Security, "bullseye-security"),
            ],
        )
        .unwrap();
        assert_eq!(
            text,
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\n\
             signed-by: /a.gpg /b.gpg\n\n\
             Types: deb\nURIs: http://mirror.example/security\nSuites: bullseye-security\n\
             Components: main\n\n"
        );
    }

    #[test]
    fn other_archives_are_not_debian() {
        let sources = parse_list(
            "deb http://other.example nodistro main\n\
             deb http://other.example bookworm stable\n\
             deb http://other.example jammy-updates main\n",
        );
        assert_eq!(derive(&sources, &[(Archive::Main, "sid")]), None);
    }
}
