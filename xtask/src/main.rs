//! Developer commands of offwatch. Run them as `cargo xtask COMMAND`.

mod as_root;
mod bench;
mod demo;
mod dist;
mod docs;
mod e2e;
mod ebpf;
mod fuzz;
mod interrupt;
mod run;
mod setup;
mod test;
mod vm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of offwatch
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need and this machine lacks
    Setup(setup::Args),
    /// Build the BPF object that offwatch embeds
    Ebpf(ebpf::Args),
    /// Show offwatch on a demonstration host: three guests with traffic
    Demo(demo::Args),
    /// Write the documents that are made from the code: rules, schemas, manual pages
    Docs,
    /// Make packages: .deb, .rpm and an archive, in target/dist
    Dist(dist::Args),
    /// Run the whole test suite
    Test(test::Args),
    /// Give any bytes to what reads input from elsewhere
    Fuzz(fuzz::Args),
    /// Test against real QEMU guests under a real libvirtd
    E2e(e2e::Args),
    /// Run the lab tests on a matrix of real kernels
    Vm(vm::Args),
    /// Measure the cost of observing, as ratios
    Bench(bench::Args),
    /// Run a program as root, through sudo where needed
    #[command(hide = true)]
    AsRoot {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    interrupt::outlive_children();
    let result = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Ebpf(args) => ebpf::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Docs => docs::run(),
        Command::Dist(args) => dist::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::E2e(args) => e2e::run(&args),
        Command::Vm(args) => vm::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::AsRoot { command } => as_root::run(&command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            interrupt::exit_code().unwrap_or(ExitCode::FAILURE)
        }
    }
}
