//! Where things are: the checkout, the target directory, the packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run;

/// The package that holds the tests which need root and a lab.
pub(crate) const TESTS_PACKAGE: &str = "offwatch-tests";
/// The package that boots real VMs.
pub(crate) const VM_PACKAGE: &str = "offwatch-e2e";
/// The test targets, of either, that need real VMs.
pub(crate) const VM_TESTS: &[&str] = &[
    "e2e",
    "e2e_advise",
    "e2e_enforce",
    "e2e_facts",
    "e2e_stats",
    "e2e_trial",
    "harness",
];

/// Makes the offwatch crate embed another BPF object than the committed one.
const OBJECT_VARIABLE: &str = "OFFWATCH_EBPF_OBJECT";

pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Follows CARGO_TARGET_DIR and cargo's configuration.
    pub(crate) target: PathBuf,
    /// The BPF object to embed, if not the committed one.
    pub(crate) object: Option<PathBuf>,
    metadata: Value,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        Self::read(&["--no-deps"])
    }

    /// With every dependency, downloading what is not here yet.
    pub(crate) fn find_with_dependencies() -> Result<Self> {
        Self::read(&[])
    }

    fn read(flags: &[&str]) -> Result<Self> {
        // Not the directory we were started in, nor where we were compiled:
        // cargo tells a running xtask where its package is now.
        let root = std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .and_then(|xtask| xtask.parent().map(Path::to_owned))
            .context("run this as `cargo xtask`")?;
        let mut command = run::cargo("metadata");
        command
            .args(["--format-version", "1"])
            .args(flags)
            .current_dir(root);
        Self::parse(&run::output(&mut command)?)
    }

    fn parse(metadata: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata).context("cargo metadata")?;
        let path = |field: &str| {
            let path = metadata[field].as_str().map(PathBuf::from);
            path.with_context(|| format!("cargo metadata has no {field}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            object: None,
            metadata,
        })
    }

    /// The directories that hold the downloaded (or vendored) dependencies.
    pub(crate) fn dependency_directories(&self) -> BTreeSet<PathBuf> {
        self.packages()
            .filter(|package| package["source"].is_string())
            .filter_map(|package| {
                Path::new(package["manifest_path"].as_str()?)
                    .parent()?
                    .parent()
            })
            .map(Path::to_owned)
            .collect()
    }

    /// The names of a package's targets of a kind: "bin", "test", ...
    pub(crate) fn targets(&self, package: &str, kind: &str) -> Vec<String> {
        self.packages()
            .filter(|candidate| candidate["name"] == package)
            .flat_map(|package| package["targets"].as_array().into_iter().flatten())
            .filter(|target| {
                target["kind"]
                    .as_array()
                    .is_some_and(|kinds| kinds.contains(&kind.into()))
            })
            .filter_map(|target| target["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// A command that is run in the checkout's root.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = run::cargo(subcommand);
        command.current_dir(&self.root);
        if let Some(object) = &self.object {
            command.env(OBJECT_VARIABLE, object);
        }
        command
    }

    /// Builds the program itself; returns its path.
    pub(crate) fn build_offwatch(&self, release: bool) -> Result<PathBuf> {
        let (flags, directory): (&[&str], _) = match release {
            true => (&["--release"], "release"),
            false => (&[], "debug"),
        };
        let mut build = self.cargo("build");
        build.args(["--package", "offwatch", "--bin", "offwatch"]);
        run::run(build.args(flags))?;
        Ok(self.target.join(directory).join("offwatch"))
    }

    /// The version of a package of the checkout.
    pub(crate) fn version(&self, package: &str) -> Option<String> {
        let mut packages = self.packages();
        let found = packages
            .find(|candidate| candidate["name"] == package && candidate["source"].is_null())?;
        found["version"].as_str().map(str::to_owned)
    }

    /// Where a package's files are.
    pub(crate) fn directory(&self, package: &str, version: &str) -> Option<PathBuf> {
        let mut packages = self.packages();
        let found = packages
            .find(|candidate| candidate["name"] == package && candidate["version"] == version)?;
        let manifest = Path::new(found["manifest_path"].as_str()?);
        manifest.parent().map(Path::to_owned)
    }

    fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "workspace_root": "/checkout", "target_directory": "/elsewhere/target",
        "packages": [
            {"name": "offwatch-tests", "version": "0.1.0", "source": null, "manifest_path": "/checkout/tests/Cargo.toml",
             "targets": [{"name": "offwatch_tests", "kind": ["lib"]},
                         {"name": "lab", "kind": ["test"]}, {"name": "e2e", "kind": ["test"]}]},
            {"name": "anyhow", "version": "1.0.0", "source": "registry+x", "targets": [],
             "manifest_path": "/home/me/registry/src/index/anyhow-1.0.0/Cargo.toml"}]}"#;

    #[test]
    fn metadata_is_read() {
        let workspace = Workspace::parse(METADATA).unwrap();
        assert_eq!(workspace.root, Path::new("/checkout"));
        assert_eq!(workspace.target, Path::new("/elsewhere/target"));
        assert_eq!(workspace.targets("offwatch-tests", "test"), ["lab", "e2e"]);
        assert!(workspace.targets("offwatch-tests", "bin").is_empty());
        let directories = workspace.dependency_directories();
        assert_eq!(directories.len(), 1);
        assert!(directories.contains(Path::new("/home/me/registry/src/index")));
        assert_eq!(workspace.version("offwatch-tests").unwrap(), "0.1.0");
        assert_eq!(workspace.version("anyhow"), None);
        assert_eq!(
            workspace.directory("anyhow", "1.0.0").unwrap(),
            Path::new("/home/me/registry/src/index/anyhow-1.0.0")
        );
        assert_eq!(workspace.directory("anyhow", "2.0.0"), None);
    }

    #[test]
    fn other_text_is_refused() {
        assert!(Workspace::parse("{}").is_err());
        assert!(Workspace::parse("error").is_err());
    }
}
