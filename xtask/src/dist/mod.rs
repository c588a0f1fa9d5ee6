//! `cargo xtask dist`: packages of the program. They are made on Debian, for Debian
//! and for distributions of rpm, and as an archive that needs only glibc.

mod build;
mod check;
mod deb;
mod layout;
mod licences;
mod release;
mod rpm;
mod stage;
mod tarball;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use self::release::Release;
use crate::run;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also install, use and remove them in a clean Debian (as root), and try `cargo
    /// install`
    #[arg(long)]
    check: bool,
}

/// The files that were made.
struct Packages {
    directory: PathBuf,
    release: Release,
    deb: PathBuf,
    rpm: PathBuf,
    tarball: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(
        is_debian(),
        "packages are made on Debian or Ubuntu: their tools tell what the program needs"
    );
    let workspace = Workspace::find_with_dependencies()?;
    let packages = make(&workspace)?;
    if args.check {
        check::all(&workspace, &packages)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// As a step of `cargo xtask test`.
pub(crate) fn checked() -> Result<()> {
    if !is_debian() {
        println!("skipped: packages are made on Debian or Ubuntu, and this is neither");
        return Ok(());
    }
    run(&Args { check: true }).map(|_| ())
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn make(workspace: &Workspace) -> Result<Packages> {
    let release = Release::read(workspace)?;
    let directory = workspace.target.join("dist");
    if directory.exists() {
        fs::remove_dir_all(&directory).context("cannot empty target/dist")?;
    }
    let work = directory.join("work");
    fs::create_dir_all(&work).context("cannot make target/dist")?;
    let binaries = build::binaries(workspace, &work)?;
    let licences = licences::text(workspace)?;
    let sources = layout::Sources {
        root: &workspace.root,
        licences: &licences,
        release: &release,
    };
    let packages = Packages {
        deb: deb::make(&sources, &binaries.full, &work, &directory)?,
        rpm: rpm::make(&sources, &binaries.full, &work, &directory)?,
        tarball: tarball::make(&sources, &binaries.portable, &work, &directory)?,
        directory,
        release,
    };
    fs::remove_dir_all(&work).context("cannot remove target/dist/work")?;
    packages.sum()?;
    for file in packages.files() {
        let size = fs::metadata(file).map_or(0, |file| file.len());
        println!("{:>9} KiB  {}", size.div_ceil(1024), file.display());
    }
    Ok(packages)
}

impl Packages {
    fn files(&self) -> [&Path; 3] {
        [&self.deb, &self.rpm, &self.tarball]
    }

    fn sum(&self) -> Result<()> {
        let mut command = Command::new("sha256sum");
        command.current_dir(&self.directory);
        for file in self.files() {
            command.arg(file.file_name().context("a package without a name")?);
        }
        let sums = run::output(&mut command)?;
        fs::write(self.directory.join("SHA256SUMS"), sums).context("cannot write SHA256SUMS")
    }
}
