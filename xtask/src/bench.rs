//! `cargo xtask bench`: what observing costs.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::as_root::cargo_as_root;
use crate::workspace::{TESTS_PACKAGE, Workspace};
use crate::{ebpf, run};

const BENCH: &str = "offwatch-bench";

const AFTER_HELP: &str = "\
Needs root (sudo is used) and takes half an hour on a machine with nothing else to do. Figures go to
target/bench.json (--quick: target/bench-quick.json), and, if all parts were measured, to
docs/overhead.md. --only replaces the figures of its parts and keeps the others.

Other tools are measured where they are installed: bpftrace, virt-top, virsh, netqtop (bcc). Those in
the directory that OFFWATCH_PEERS names are taken first.";

#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Fewer repetitions: a rough number in some minutes; docs/overhead.md stays as it is
    #[arg(long)]
    quick: bool,

    /// Only these parts of it: end-to-end, paths, bodies, exact, multiqueue, control, scale,
    /// peers, advise, enforce, watch; docs/overhead.md stays as it is
    #[arg(long, value_name = "PART,...")]
    only: Option<String>,

    /// Only write docs/overhead.md, of what was measured before
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    write_docs: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    // Rough numbers never mix with others.
    let name = match args.quick {
        true => "bench-quick.json",
        false => "bench.json",
    };
    let results = workspace.target.join(name);
    let write_docs = || {
        let mut command = bench(workspace.cargo("run"));
        command.arg("--write-docs").arg(&results);
        run::run(&mut command)?;
        println!("wrote docs/overhead.md");
        Ok(ExitCode::SUCCESS)
    };
    if args.write_docs {
        return write_docs();
    }
    // The empty programs that offwatch is held against.
    ebpf::build()?;
    // As it is installed: what it costs with thousands of interfaces is measured, too.
    workspace.build_offwatch(true)?;
    let mut command = bench(cargo_as_root(&workspace, "run")?);
    command.arg("--json").arg(&results);
    if args.quick {
        command.arg("--quick");
    }
    if let Some(parts) = &args.only {
        command.args(["--only", parts]);
    }
    if args.quick || args.only.is_some() {
        return run::become_command(&mut command);
    }
    run::run(&mut command)?;
    write_docs()
}

fn bench(mut command: Command) -> Command {
    command.args(["--release", "--package", TESTS_PACKAGE, "--bin", BENCH]);
    command.arg("--");
    command
}
