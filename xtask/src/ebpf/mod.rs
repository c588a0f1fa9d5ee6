//! `cargo xtask ebpf`: the BPF object that the offwatch crate embeds. It is
//! committed, so that users need no BPF toolchain; this rebuilds it, to the
//! same bytes wherever the toolchain is the same.

mod btf;
mod build;
mod object;
mod toolchain;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

pub(crate) use self::toolchain::{BPF_LINKER_RELEASE, BpfLinker, Compiler, objcopy};
use self::toolchain::{Tools, Versions};
use crate::workspace::Workspace;

const REMEDY: &str = "run `cargo xtask ebpf` and commit offwatch/prebuilt";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rebuild, but only compare with the committed object
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.check {
        check()?
    } else {
        update()?
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a rebuilt object is put.
pub(crate) fn rebuilt_object(workspace: &Workspace) -> PathBuf {
    workspace.target.join("ebpf/offwatch.bpf.o")
}

/// Where [`build`] leaves the baselines of `bench`.
pub(crate) fn empty_object(workspace: &Workspace) -> PathBuf {
    build::output(workspace).join("offwatch-empty")
}

/// Clippy on the BPF programs, by the compiler that builds them.
pub(crate) fn lint() -> Result<()> {
    let workspace = Workspace::find_with_dependencies()?;
    build::lint(&workspace, &Tools::find(&workspace)?)
}

/// Rebuilds the object and requires the committed bytes, where they can be
/// required.
pub(crate) fn check() -> Result<()> {
    let workspace = Workspace::find_with_dependencies()?;
    let (object, here) = rebuild(&workspace)?;
    let prebuilt = Prebuilt::of(&workspace);
    let recorded = fs::read_to_string(&prebuilt.toolchain)
        .with_context(|| format!("cannot read {}; {REMEDY}", prebuilt.toolchain.display()))?;
    let recorded: Versions = recorded
        .parse()
        .with_context(|| format!("{}; {REMEDY}", prebuilt.toolchain.display()))?;
    let committed = fs::read(&prebuilt.object)
        .with_context(|| format!("cannot read {}; {REMEDY}", prebuilt.object.display()))?;
    if committed == object {
        println!("the committed BPF object is what its source builds to");
    } else if here == recorded {
        bail!("the committed BPF object is not what its source builds to: {REMEDY}");
    } else {
        let difference = here.difference(&recorded);
        println!("another toolchain than the recorded one, so only built: {difference}");
    }
    Ok(())
}

/// Builds every program, the baselines of `bench` included.
pub(crate) fn build() -> Result<()> {
    rebuild(&Workspace::find_with_dependencies()?).map(drop)
}

fn update() -> Result<()> {
    let workspace = Workspace::find_with_dependencies()?;
    let (object, versions) = rebuild(&workspace)?;
    let prebuilt = Prebuilt::of(&workspace);
    let size = object.len();
    write(&prebuilt.object, &object)?;
    write(&prebuilt.toolchain, versions.to_string().as_bytes())?;
    println!("{}: {size} bytes", prebuilt.object.display());
    Ok(())
}

fn rebuild(workspace: &Workspace) -> Result<(Vec<u8>, Versions)> {
    let tools = Tools::find(workspace)?;
    let versions = tools.versions()?;
    let linked = build::build(workspace, &tools)?;
    let object = rebuilt_object(workspace);
    object::finish(tools.objcopy, &linked, &object)?;
    let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    Ok((bytes, versions))
}

/// Leaves a file alone that is right already: cargo rebuilds what embeds it.
fn write(path: &PathBuf, contents: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|known| known == contents) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

struct Prebuilt {
    object: PathBuf,
    toolchain: PathBuf,
}

impl Prebuilt {
    fn of(workspace: &Workspace) -> Self {
        let directory = workspace.root.join("offwatch/prebuilt");
        Self {
            object: directory.join("offwatch.bpf.o"),
            toolchain: directory.join("toolchain.txt"),
        }
    }
}
