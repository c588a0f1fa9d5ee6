//! apt with a state of its own: the machine's configuration says how to reach
//! the archive, but neither its package lists nor its cache are touched.

use super::sources::{self, Archive, Source};
use crate::command;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// QEMU emulates this one, whatever the machine is.
pub(super) const ARCHITECTURE: &str = "amd64";

/// A private apt in a directory.
pub(super) struct Apt {
    home: PathBuf,
    /// What `apt-get update` complained about: some suite may be gone from the
    /// archive while the others are all that is needed.
    pub(super) complaint: Option<String>,
}

/// A package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) package: String,
    pub(super) version: String,
}

impl Apt {
    /// Reads the package lists of `suites` into `home`.
    pub(super) fn update(home: &Path, suites: &[(Archive, &str)]) -> Result<Self> {
        let configured = configured_sources()?;
        let list = sources::derive(&configured, suites)
            .context("none of the machine's apt sources is a Debian archive")?;
        for directory in ["lists/partial", "archives/partial", "empty"] {
            fs::create_dir_all(home.join(directory))?;
        }
        fs::write(home.join("debian.sources"), list)?;
        fs::write(home.join("status"), "")?;
        let dump = command::text(Command::new("apt-config").arg("dump"))?;
        fs::write(home.join("apt.conf"), configuration(&dump, home))?;
        let mut apt = Self {
            home: home.to_owned(),
            complaint: None,
        };
        let result = command::text(apt.command("apt-get").args(["-qq", "update"]));
        apt.complaint = result.err().map(|error| first_error(&format!("{error:#}")));
        Ok(apt)
    }

    /// Every version of the packages whose name matches `pattern`.
    pub(super) fn candidates(&self, pattern: &str) -> Result<Vec<Candidate>> {
        let found =
            command::text(
                self.command("apt-cache")
                    .args(["search", "--names-only", pattern]),
            )?;
        let names: Vec<_> = found
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let table = command::text(self.command("apt-cache").arg("madison").args(names))?;
        Ok(parse_madison(&table))
    }

    /// The value of a field of a package, or "".
    pub(super) fn field(&self, candidate: &Candidate, field: &str) -> Result<String> {
        let text = command::text(
            self.command("apt-cache")
                .arg("show")
                .arg(candidate.to_string()),
        )?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().trim().to_owned())
    }

    /// Downloads packages into `directory`; apt checks them against the lists,
    /// and those against the keyring.
    pub(super) fn download(&self, packages: &[Candidate], directory: &Path) -> Result<()> {
        let names = packages.iter().map(Candidate::to_string);
        command::text(
            self.command("apt-get")
                .args(["-qq", "download"])
                .args(names)
                .current_dir(directory),
        )
        .map(drop)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", self.home.join("apt.conf"))
            .env("LC_ALL", "C");
        command
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.package, self.version)
    }
}

/// All sources that the machine has, in apt's order.
fn configured_sources() -> Result<Vec<Source>> {
    let paths = command::text(Command::new("apt-config").args([
        "shell",
        "list",
        "Dir::Etc::sourcelist/f",
        "parts",
        "Dir::Etc::sourceparts/d",
    ]))?;
    let path = |name: &str| {
        paths.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix('=')?;
            Some(PathBuf::from(value.trim_matches('\'')))
        })
    };
    let mut files: Vec<_> = path("list").into_iter().collect();
    if let Some(Ok(entries)) = path("parts").map(fs::read_dir) {
        let mut parts: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.append(&mut parts);
    }
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(sources::parse_list(&text)),
            Some("sources") => sources.extend(sources::parse_deb822(&text)),
            _ => {}
        }
    }
    if sources.is_empty() {
        bail!("the machine has no apt sources");
    }
    Ok(sources)
}

/// An apt configuration that stands alone. Of the machine's (`apt-config dump`)
/// it takes how to reach archives, such as proxies, but neither what to fetch
/// besides packages, nor hooks, nor leave to do without signatures.
fn configuration(dump: &str, home: &Path) -> String {
    let refused = ["IndexTargets", "Languages", "Allow", "GzipIndexes"];
    let mut text: String = dump
        .lines()
        .filter(|line| {
            line.strip_prefix("Acquire::")
                .is_some_and(|rest| !refused.iter().any(|start| rest.starts_with(start)))
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let home = home.display();
    let _ = write!(
        text,
        r#"Acquire::Languages "none";
Acquire::Retries "3";
Acquire::AllowInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
APT::Architecture "{ARCHITECTURE}";
APT::Architectures {{ "{ARCHITECTURE}"; }};
Dir::Etc::main "/dev/null";
Dir::Etc::parts "{home}/empty";
Dir::Etc::sourcelist "{home}/debian.sources";
Dir::Etc::sourceparts "{home}/empty";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{home}/empty";
Dir::State "{home}";
Dir::State::lists "{home}/lists";
Dir::State::status "{home}/status";
Dir::Cache "{home}";
"#
    );
    text
}

/// The first error of apt in a longer message, which then fits on a line.
fn first_error(message: &str) -> String {
    let line = message
        .lines()
        .find_map(|line| line.split_once("E: "))
        .map_or(message, |(_, error)| error);
    line.trim().to_owned()
}

/// `apt-cache madison`: "package | version | origin".
fn parse_madison(table: &str) -> Vec<Candidate> {
    let rows = table.lines().filter_map(|line| {
        let mut columns = line.split('|').map(str::trim);
        Some(Candidate {
            package: columns.next()?.to_owned(),
            version: columns.next()?.to_owned(),
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_keeps_proxies_and_drops_hooks() {
        let dump = "Acquire::http::Proxy \"http://proxy.example\";\n\
                    Acquire::AllowInsecureRepositories \"1\";\n\
                    Acquire::IndexTargets::deb::DEP-11 \"\";\n\
                    APT::Update::Post-Invoke:: \"rm something\";\n\
                    APT::Get::AllowUnauthenticated \"1\";\n";
        let text = configuration(dump, Path::new("/cache/apt"));
        assert!(text.starts_with("Acquire::http::Proxy \"http://proxy.example\";\nAcquire::L"));
        for refused in ["DEP-11", "Post-Invoke", "\"1\""] {
            assert!(!text.contains(refused), "{refused}");
        }
        assert!(text.contains("Dir::State::lists \"/cache/apt/lists\";"));
    }

    #[test]
    fn reads_madison() {
        let table = " linux-image-7 | 7.3.4-1~bpo13+1 | http://x y/main amd64 Packages\n";
        let expected = Candidate {
            package: "linux-image-7".into(),
            version: "7.3.4-1~bpo13+1".into(),
        };
        assert_eq!(parse_madison(table), [expected]);
    }

    #[test]
    fn errors_fit_on_a_line() {
        let message = "\"apt-get\" failed: W: x\nE: The repository has no Release file.\nE: y";
        assert_eq!(first_error(message), "The repository has no Release file.");
        assert_eq!(first_error("odd"), "odd");
    }
}
