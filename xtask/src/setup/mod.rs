//! `cargo xtask setup`: what building and testing need beyond Rust itself.

mod apt;
mod needs;
mod os;
mod rust;

use std::process::ExitCode;

use anyhow::Result;

use self::needs::{GROUPS, Group, Kind, Need};
use self::os::Family;
use crate::ebpf::{BpfLinker, Compiler};
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only report: one line for each item, exit code 1 if one is missing
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let family = Family::of_this_machine();
    if !args.check {
        install(&workspace, family)?;
    }
    let missing = report(&workspace, family)?;
    if missing.is_empty() {
        println!("nothing is missing");
        return Ok(ExitCode::SUCCESS);
    }
    advise(family, &missing, args.check);
    Ok(ExitCode::FAILURE)
}

/// Each step does what it can: what stays missing is reported afterwards, with
/// what to do about it.
fn install(workspace: &Workspace, family: Family) -> Result<()> {
    if family == Family::Debian {
        apt::install()?;
    }
    rust::install_components()?;
    if rust::bpf_linker_can_be_built() && BpfLinker::find(workspace).is_none() {
        rust::install_bpf_linker(workspace)?;
    }
    Ok(())
}

/// Prints a line for each item; returns the groups in which one is missing and
/// the packages that would provide it.
fn report(workspace: &Workspace, family: Family) -> Result<Vec<(&'static Group, Vec<Need>)>> {
    let installed = (family == Family::Debian)
        .then(apt::Installed::read)
        .transpose()?;
    let has = |need: &Need| match &installed {
        Some(installed) => need
            .packages(family)
            .iter()
            .any(|package| installed.has(package)),
        None => need.presence.found(),
    };
    let mut all_missing = Vec::new();
    for group in GROUPS {
        println!("{}", group.title);
        let mut missing = Vec::new();
        let instead = if group.kind == Kind::Bpf {
            other_bpf_compiler(&has)
        } else {
            None
        };
        for need in group
            .needs
            .iter()
            .filter(|need| !need.packages(family).is_empty())
        {
            let found = has(need) || (need.compiles_bpf && instead.is_some());
            line(found, need.packages(family)[0], need.purpose);
            if !found {
                missing.push(*need);
            }
        }
        let mut tools_missing = false;
        for (found, name, purpose) in rust::tools(workspace, group.kind) {
            line(found, name, &purpose);
            tools_missing |= !found;
        }
        if tools_missing || !missing.is_empty() {
            all_missing.push((group, missing));
        }
    }
    Ok(all_missing)
}

/// A compiler that makes the packages for it unnecessary.
fn other_bpf_compiler(has: &impl Fn(&Need) -> bool) -> Option<Compiler> {
    let packages = GROUPS
        .iter()
        .flat_map(|group| group.needs)
        .filter(|need| need.compiles_bpf);
    if packages.into_iter().all(has) {
        None
    } else {
        Compiler::find()
    }
}

fn line(found: bool, name: &str, purpose: &str) {
    println!(
        "  {:<8} {name:<27} {purpose}",
        if found { "ok" } else { "missing" }
    );
}

/// What to do about what is still missing.
fn advise(family: Family, missing: &[(&Group, Vec<Need>)], only_checked: bool) {
    println!();
    if family == Family::Debian && only_checked {
        println!("`cargo xtask setup` installs what is missing");
        return;
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|(_, needs)| needs)
        .filter_map(|need| need.packages(family).first().copied())
        .collect();
    if !packages.is_empty() {
        match family.install_command() {
            Some(command) => println!("install by hand: {command} {}", packages.join(" ")),
            None => println!(
                "install what your distribution calls: {}",
                packages.join(" ")
            ),
        }
    }
    if missing.iter().any(|(group, _)| group.kind == Kind::Bpf) {
        println!("{}", needs::BPF_ADVICE);
    }
}
