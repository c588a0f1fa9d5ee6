//! The kernels of the matrix: which there are, where Debian has them, and the
//! cache of unpacked packages.

use super::apt::{ARCHITECTURE, Apt, Candidate};
use super::sources::Archive::{self, Main, Security};
use super::version;
use crate::command;
use crate::modules::find;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel to be tested on.
struct Series {
    name: &'static str,
    /// Regular expression for the version in the package's name.
    pattern: &'static str,
    suites: &'static [(Archive, &'static str)],
}

/// Long-term kernels are those of a Debian release. Point releases reach its
/// security suite first, and old ones stay there alone. The newest kernel is
/// looked for wherever it may be, by code names: a mirror may lag with aliases
/// such as `stable-backports` (one was seen two weeks behind). A suite that does
/// not exist, yet or any longer, does no harm.
const SERIES: &[Series] = &[
    Series {
        name: "5.10",
        pattern: r"5\.10\.",
        suites: &[(Main, "bullseye"), (Security, "bullseye-security")],
    },
    Series {
        name: "6.1",
        pattern: r"6\.1\.",
        suites: &[(Main, "bookworm"), (Security, "bookworm-security")],
    },
    Series {
        name: "6.12",
        pattern: r"6\.12\.",
        suites: &[(Main, "trixie"), (Security, "trixie-security")],
    },
    Series {
        name: "newest",
        pattern: "[0-9]",
        suites: &[
            (Main, "trixie-backports"),
            (Main, "forky"),
            (Main, "forky-backports"),
            (Main, "sid"),
        ],
    },
];

/// Names of the kernels that [`super::run`] knows, oldest first.
pub fn names() -> impl Iterator<Item = &'static str> {
    SERIES.iter().map(|series| series.name)
}

/// What is remembered about a kernel in the cache.
#[derive(Serialize, Deserialize)]
struct Identity {
    package: String,
    version: String,
    release: String,
}

/// An unpacked kernel package.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) package: String,
    pub(super) version: String,
    /// What `uname -r` will say.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// The kernel's configuration, if the package has it.
    pub(super) config: Option<PathBuf>,
    /// Where the package is unpacked.
    pub(super) tree: PathBuf,
}

/// The kernel `name` and whether it was in the cache already.
pub(super) fn fetch(cache: &Path, name: &str, refresh: bool) -> Result<(Kernel, bool)> {
    let series = SERIES
        .iter()
        .find(|series| series.name == name)
        .with_context(|| {
            format!(
                "unknown; there are {}",
                names().collect::<Vec<_>>().join(", ")
            )
        })?;
    let home = cache.join(name);
    let cached = home.exists() && !refresh;
    if !cached {
        let work = tempfile::tempdir_in(cache).context("create a download directory")?;
        // apt drops privileges; a directory that nobody else may enter would
        // make it go on as root, with a warning.
        let ready = download(series, work.path())?;
        if home.exists() {
            fs::rename(&home, work.path().join("old")).context("move the old kernel away")?;
        }
        // A directory appears complete or not at all. Losing a race against
        // another run is as good as winning it.
        if let Err(error) = fs::rename(&ready, &home)
            && !home.exists()
        {
            return Err(error).context("move the kernel into the cache");
        }
    }
    open(name, &home).map(|kernel| (kernel, cached))
}

/// Downloads and unpacks below `work`; returns the directory to be kept.
fn download(series: &Series, work: &Path) -> Result<PathBuf> {
    let apt = Apt::update(&work.join("apt"), series.suites)?;
    let pattern = format!("^linux-image-{}.*-cloud-{ARCHITECTURE}$", series.pattern);
    let newest = apt
        .candidates(&pattern)?
        .into_iter()
        .max_by(|a, b| version::compare(&a.version, &b.version));
    let Some(image) = newest else {
        let suites: Vec<_> = series.suites.iter().map(|(_, suite)| *suite).collect();
        let reason = apt
            .complaint
            .map_or_else(String::new, |why| format!(": {why}"));
        bail!("no cloud kernel in {}{reason}", suites.join(", "));
    };
    let release = image.package.trim_start_matches("linux-image-").to_owned();
    // Since 6.19 the image package is empty and depends on the parts.
    let mut packages = vec![image.clone()];
    let depends = apt.field(&image, "Depends")?;
    packages.extend(parts(&depends, &image, &release));

    let ready = work.join("ready");
    fs::create_dir_all(&ready)?;
    apt.download(&packages, work)?;
    for file in fs::read_dir(work)?.flatten().map(|entry| entry.path()) {
        if file.extension().is_some_and(|extension| extension == "deb") {
            let mut command = Command::new("dpkg-deb");
            command::text(command.arg("-x").arg(&file).arg(ready.join("tree")))?;
        }
    }
    let identity = Identity {
        package: image.package,
        version: image.version,
        release,
    };
    fs::write(
        ready.join("kernel.json"),
        serde_json::to_string_pretty(&identity)?,
    )?;
    Ok(ready)
}

/// The dependencies that belong to the same kernel.
fn parts(depends: &str, image: &Candidate, release: &str) -> Vec<Candidate> {
    let names = depends
        .split(',')
        .filter_map(|dependency| dependency.split_whitespace().next())
        .filter(|name| name.starts_with("linux-") && name.ends_with(&format!("-{release}")));
    names
        .map(|name| Candidate {
            package: name.to_owned(),
            version: image.version.clone(),
        })
        .collect()
}

fn open(name: &str, home: &Path) -> Result<Kernel> {
    let path = home.join("kernel.json");
    let identity: Identity = fs::read_to_string(&path)
        .map_err(anyhow::Error::from)
        .and_then(|text| Ok(serde_json::from_str(&text)?))
        .with_context(|| format!("read {}: remove {}", path.display(), home.display()))?;
    let tree = home.join("tree");
    let image = find(&tree, &|file| file.starts_with("vmlinuz"))
        .with_context(|| format!("{} holds no kernel image", identity.package))?;
    let config = find(&tree, &|file| {
        file == "config" || file == format!("config-{}", identity.release)
    });
    Ok(Kernel {
        name: name.to_owned(),
        package: identity.package,
        version: identity.version,
        release: identity.release,
        image,
        config,
        tree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_same_kernel() {
        let image = Candidate {
            package: "linux-image-7.3.4-cloud-amd64".into(),
            version: "7.3.4-1".into(),
        };
        let depends = "dracut | initramfs-tools (>= 0.120), linux-base (>= 4.3~), \
                       linux-binary-7.3.4-cloud-amd64 (= 7.3.4-1), \
                       linux-modules-7.3.4-cloud-amd64 (= 7.3.4-1)";
        let found = parts(depends, &image, "7.3.4-cloud-amd64");
        let found: Vec<_> = found.iter().map(Candidate::to_string).collect();
        assert_eq!(
            found,
            [
                "linux-binary-7.3.4-cloud-amd64=7.3.4-1",
                "linux-modules-7.3.4-cloud-amd64=7.3.4-1"
            ]
        );
    }

    #[test]
    fn unknown_kernels_are_named() {
        let error = fetch(Path::new("/nonexistent"), "2.6", false).unwrap_err();
        assert!(error.to_string().contains("5.10, 6.1, 6.12, newest"));
    }
}
