//! `cargo xtask setup`: what building and testing need beyond Rust itself.

mod apt;
mod downgrade;
mod machine;
mod needs;
mod os;
mod rust;
mod service;

use std::process::ExitCode;

use anyhow::Result;

use self::machine::Machine;
use self::needs::{BPF_ADVICE, GROUPS, Group, Kind};
use self::os::Family;
use crate::ebpf::BpfLinker;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only report: one line for each item, exit code 1 if one is missing
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    if !args.check {
        install(&workspace)?;
    }
    let machine = Machine::read()?;
    let incomplete = report(&workspace, &machine);
    if incomplete.is_empty() {
        println!("nothing is missing");
        return Ok(ExitCode::SUCCESS);
    }
    advise(&machine, &incomplete, args.check);
    Ok(ExitCode::FAILURE)
}

/// Each step does what it can: what stays missing is reported afterwards, with
/// what to do about it.
fn install(workspace: &Workspace) -> Result<()> {
    let machine = Machine::read()?;
    if machine.family == Family::Debian {
        apt::install(&machine)?;
    }
    rust::install_components();
    if rust::bpf_linker_can_be_built() && BpfLinker::find(workspace).is_none() {
        rust::install_bpf_linker(workspace)?;
    }
    Ok(())
}

/// Prints a line for each item; returns the groups in which one is missing.
fn report(workspace: &Workspace, machine: &Machine) -> Vec<&'static Group> {
    let mut incomplete = Vec::new();
    for group in GROUPS {
        println!("{}", group.title);
        let mut complete = true;
        for need in group.needs {
            if let Some(name) = machine.packages(need).first() {
                complete &= line(machine.has(need), name, need.purpose);
            }
        }
        for (found, name, purpose) in rust::tools(workspace, group.kind) {
            complete &= line(found, name, &purpose);
        }
        if !complete {
            incomplete.push(group);
        }
    }
    incomplete
}

fn line(found: bool, name: &str, purpose: &str) -> bool {
    println!(
        "  {:<8} {name:<27} {purpose}",
        if found { "ok" } else { "missing" }
    );
    found
}

/// What to do about what is still missing.
fn advise(machine: &Machine, incomplete: &[&Group], only_checked: bool) {
    println!();
    if machine.family == Family::Debian && only_checked {
        println!("`cargo xtask setup` installs what is missing");
        return;
    }
    let packages: Vec<&str> = incomplete
        .iter()
        .flat_map(|group| machine.missing(group))
        .collect();
    let packages = packages.join(" ");
    match machine.family.install_command() {
        _ if packages.is_empty() => {}
        Some(command) => println!("install by hand: {command} {packages}"),
        // Tried just now, and why it failed was said.
        None if machine.family == Family::Debian => println!("could not install {packages}"),
        None => println!("install what Debian calls {packages}"),
    }
    if incomplete.iter().any(|group| group.kind == Kind::Bpf) {
        println!("{BPF_ADVICE}");
    }
}
