//! `cargo xtask test`: everything that must hold, cheapest first.

mod room;
mod summary;

use std::io::{IsTerminal, Read, Write, stdout};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

use self::summary::Summary;
use crate::as_root::{cargo_as_root, is_root};
use crate::workspace::{TESTS_PACKAGE, VM_PACKAGE, VM_TESTS, Workspace};
use crate::{dist, e2e, ebpf, fuzz, interrupt, run, vm};

/// Built for another target, by `ebpf`.
const BPF_PACKAGE: &str = "offwatch-ebpf";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out what takes minutes: packages, the tests on real VMs and on other kernels
    #[arg(long)]
    quick: bool,
}

struct Step {
    title: &'static str,
    run: fn(&mut Workspace, &mut Summary) -> Result<()>,
    slow: bool,
}

const STEPS: &[Step] = &[
    Step {
        title: "formatting",
        run: formatting,
        slow: false,
    },
    Step {
        title: "clippy",
        run: clippy,
        slow: false,
    },
    Step {
        title: "BPF object: clippy, rebuild, compare",
        run: bpf_object,
        slow: false,
    },
    Step {
        title: "unit and command line tests",
        run: unit_tests,
        slow: false,
    },
    Step {
        title: "fuzzing, a bounded run",
        run: fuzzing,
        slow: false,
    },
    Step {
        title: "tests on the lab host (as root)",
        run: lab_tests,
        slow: false,
    },
    Step {
        title: "packages, in a clean Debian (as root)",
        run: packages,
        slow: true,
    },
    Step {
        title: "tests on real VMs (as root)",
        run: vm_tests,
        slow: true,
    },
    Step {
        title: "tests on a matrix of real kernels",
        run: kernel_tests,
        slow: true,
    },
];

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut workspace = Workspace::find()?;
    let steps: Vec<&Step> = STEPS
        .iter()
        .filter(|step| !(args.quick && step.slow))
        .collect();
    let mut summary = Summary::default();
    let mut code = ExitCode::SUCCESS;
    for (index, step) in steps.iter().enumerate() {
        heading(&format!("{}/{} {}", index + 1, steps.len(), step.title))?;
        if let Err(error) = (step.run)(&mut workspace, &mut summary) {
            eprintln!("xtask: {error:#}");
            room::tell_if_none(&workspace);
            println!("\nstopped at step {}: {}", index + 1, step.title);
            code = interrupt::exit_code().unwrap_or(ExitCode::FAILURE);
            break;
        }
    }
    if steps.len() < STEPS.len() {
        let slow = STEPS.iter().filter(|step| step.slow);
        let titles: Vec<&str> = slow.map(|step| step.title).collect();
        println!("\nleft out by --quick: {}", titles.join("; "));
    }
    // Last, and nothing after it: people and CI read the tail.
    print!("{summary}");
    stdout().flush().context("cannot write the summary")?;
    Ok(code)
}

fn heading(text: &str) -> Result<()> {
    let mut out = stdout();
    let (bold, plain) = if out.is_terminal() {
        ("\x1b[1m", "\x1b[0m")
    } else {
        ("", "")
    };
    // Flushed, because the step's own output does not pass through our buffer.
    writeln!(out, "\n{bold}=== {text}{plain}")
        .and_then(|()| out.flush())
        .context("stdout")
}

fn formatting(workspace: &mut Workspace, _: &mut Summary) -> Result<()> {
    let mut command = Command::new(run::cargo_path());
    command
        .args(["fmt", "--all", "--check"])
        .current_dir(&workspace.root);
    run::run(&mut command).context("run `cargo fmt --all`")
}

fn clippy(workspace: &mut Workspace, _: &mut Summary) -> Result<()> {
    let mut command = workspace.cargo("clippy");
    command.args(["--workspace", "--exclude", BPF_PACKAGE, "--all-targets"]);
    run::run(command.args(["--", "--deny", "warnings"]))
}

/// What is tested from here on is the object just rebuilt.
fn bpf_object(workspace: &mut Workspace, _: &mut Summary) -> Result<()> {
    ebpf::lint()?;
    ebpf::check()?;
    workspace.object = Some(ebpf::rebuilt_object(workspace));
    Ok(())
}

fn unit_tests(workspace: &mut Workspace, summary: &mut Summary) -> Result<()> {
    let mut command = workspace.cargo("test");
    command.args(["--workspace", "--no-fail-fast"]);
    for package in [BPF_PACKAGE, TESTS_PACKAGE, VM_PACKAGE] {
        command.args(["--exclude", package]);
    }
    tests(&mut command, summary)
}

fn fuzzing(workspace: &mut Workspace, _: &mut Summary) -> Result<()> {
    fuzz::bounded(workspace)
}

/// All that the two packages have but what needs real VMs.
fn lab_tests(workspace: &mut Workspace, summary: &mut Summary) -> Result<()> {
    if !is_root() {
        eprintln!("xtask: the test programs need root: building as you, running through sudo");
    }
    let offwatch = workspace.build_offwatch(false)?;
    let mut command = cargo_as_root(workspace, "test")?;
    command.args(["--no-fail-fast", "--lib", "--bins"]);
    for package in [TESTS_PACKAGE, VM_PACKAGE] {
        command.args(["--package", package]);
        for target in workspace.targets(package, "test") {
            if !VM_TESTS.contains(&target.as_str()) {
                command.args(["--test", &target]);
            }
        }
    }
    command.env("OFFWATCH_BIN", offwatch);
    // As root a lab must be possible: a test that skips itself has failed.
    tests(command.env("OFFWATCH_REQUIRE_LAB", "1"), summary)
}

fn packages(_: &mut Workspace, _: &mut Summary) -> Result<()> {
    dist::checked()
}

fn vm_tests(workspace: &mut Workspace, summary: &mut Summary) -> Result<()> {
    tests(&mut e2e::command(workspace)?, summary)
}

fn kernel_tests(workspace: &mut Workspace, summary: &mut Summary) -> Result<()> {
    tests(&mut vm::checked(workspace)?, summary)
}

/// Runs `cargo test`, or what reports as it does, and counts what it reports.
fn tests(command: &mut Command, summary: &mut Summary) -> Result<()> {
    let before = summary.runs();
    // Where a test fails its message tells; the stack of the test runner hides that.
    let result = stream(command.env("RUST_BACKTRACE", "0"), summary);
    ensure!(!interrupt::seen(), "interrupted");
    result?;
    // A name that matches no test target would otherwise pass.
    ensure!(summary.runs() > before, "no test was run");
    Ok(())
}

/// Passes the output through as it comes, chunk by chunk: a test that hangs
/// has printed its name but no newline.
fn stream(command: &mut Command, summary: &mut Summary) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run the tests")?;
    let mut from = child.stdout.take().context("the tests have no stdout")?;
    let mut chunk = [0; 8192];
    let mut line = Vec::new();
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => &chunk[..read],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot read the output of the tests"),
        };
        let mut out = stdout();
        out.write_all(read)
            .and_then(|()| out.flush())
            .context("stdout")?;
        for &byte in read {
            if byte == b'\n' {
                summary.read_line(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(byte);
            }
        }
    }
    summary.read_line(&String::from_utf8_lossy(&line));
    let status = child.wait().context("cannot wait for the tests")?;
    ensure!(status.success(), "the tests failed ({status})");
    Ok(())
}
