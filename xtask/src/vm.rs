//! `cargo xtask vm`: the lab tests on real kernels, each in an emulated machine.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::workspace::{TESTS_PACKAGE, VM_PACKAGE, VM_TESTS, Workspace};
use crate::{ebpf, run};

const RUNNER: &str = "offwatch-matrix";
/// Tests that other kernels are left out of, by why.
const LEFT_OUT: [(&str, &[&str]); 6] = [
    ("they find the same on every kernel", &["screen"]),
    (
        "they judge by rates or CPU time, which an emulated machine does not have",
        &[
            "scenarios",
            "enforce_canary",
            "retransmits",
            "trial",
            "trial_forecast",
            "trial_kill",
            "trial_safety",
        ],
    ),
    (
        "they take programs of a whole system",
        &["enforce_watch", "instructions", "ten_thousand"],
    ),
    ("they take the checkout", &["manual"]),
    (
        "they take Prometheus, systemd or openssl",
        &[
            "dashboards",
            "export",
            "export_access",
            "export_unit",
            "fleet",
            "prometheus_rules",
        ],
    ),
    ("their many clients take a server's time", &["export_http"]),
];

/// The test for boots that count instructions, which also takes the empty programs.
const INSTRUCTIONS: &str = "kernel_instructions";

/// The kernels that the runner knows.
const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "newest"];

#[derive(clap::Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Args {
    /// Only this kernel; may be repeated
    #[arg(long, value_name = "KERNEL", value_parser = KERNELS)]
    kernel: Vec<String>,

    /// Boot with lockdown=confidentiality only; 6.12 if no kernel is given
    #[arg(long)]
    lockdown: bool,

    /// Boot with a clock that counts instructions only; 6.12 if no kernel is given
    #[arg(long, conflicts_with = "lockdown")]
    icount: bool,

    /// Only this test target (tests/tests/TARGET.rs); may be repeated
    #[arg(long, value_name = "TARGET")]
    test: Vec<String>,

    /// What the tests divide their amounts of traffic by [default: 20]
    #[arg(long, value_name = "N")]
    scale: Option<u32>,

    /// Kernels that run at a time [default: 2]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// Give up on a kernel that says nothing for so long [default: 600]
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,

    /// Where kernels and results are kept [default: vm-cache in the target directory]
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,

    /// Look for newer kernel packages than those kept
    #[arg(long)]
    refresh: bool,

    /// Write docs/kernels.md from what the whole matrix shows, and
    /// docs/kernel-instructions.json from the boot with --icount
    #[arg(long, conflicts_with_all = ["kernel", "lockdown", "test", "filter"])]
    write_docs: bool,

    /// Part of a test's name, and options for the test programs
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

const DETAILS: &str = "\
Boots Debian's cloud kernels 5.10, 6.1, 6.12 and the newest one, and 6.12 with
lockdown=confidentiality, under software emulation, with an initramfs that holds
offwatch and the lab's test programs, and runs those there. 6.12 boots once more, with
a clock that counts instructions, for the test of what hooks cost. With --kernel,
--lockdown or --icount, boots only what they say. Needs neither root nor KVM, but qemu-system-x86_64, busybox,
iproute2, ethtool, and apt with a Debian archive among its sources: kernel packages
are taken from there, checked as apt does, unpacked into the cache and never
installed.

Every line of a guest is printed as it comes: \"6.1 | ...\" is the tests' output,
\"6.1 [kernel] ...\" the kernel's log. Fails if a test fails, if a test program does
not end, and on any warning, oops, soft lockup, stall or panic of a kernel.

  cargo xtask vm                                     the whole matrix
  cargo xtask vm --kernel 5.10                       one kernel
  cargo xtask vm --lockdown                          6.12 with lockdown
  cargo xtask vm --icount                            what hooks cost, in instructions
  cargo xtask vm --kernel 6.1 --test counts          one test target
  cargo xtask vm --kernel 6.1 -- raw_tracepoints     tests with this in their name
  cargo xtask vm --kernel 6.1 -- --exact NAME        one test
  cargo xtask vm --refresh                           with the newest packages";

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let counts = args.icount || args.kernel.is_empty() && !args.lockdown;
    let only = match args.icount && args.test.is_empty() {
        true => &[INSTRUCTIONS.to_owned()],
        false => &args.test[..],
    };
    let mut command = matrix(&workspace, only, counts)?;
    for kernel in &args.kernel {
        command.args(["--kernel", kernel]);
    }
    if args.lockdown {
        command.arg("--lockdown");
    }
    if args.icount {
        command.arg("--icount");
    }
    let numbers = [
        ("--scale", args.scale.map(u64::from)),
        ("--jobs", args.jobs.map(|jobs| jobs as u64)),
        ("--limit", args.limit),
    ];
    for (option, number) in numbers {
        if let Some(number) = number {
            command.args([option, &number.to_string()]);
        }
    }
    if let Some(cache) = &args.cache {
        command.arg("--cache").arg(cache);
    }
    if args.refresh {
        command.arg("--refresh");
    }
    if args.write_docs {
        command.arg("--write-docs").arg(docs(&workspace));
    }
    if !args.filter.is_empty() {
        command.arg("--").args(&args.filter);
    }
    run::become_command(&mut command)
}

/// The whole matrix, and that docs/kernels.md says what it shows.
pub(crate) fn checked(workspace: &Workspace) -> Result<Command> {
    let mut command = matrix(workspace, &[], true)?;
    command.arg("--check-docs").arg(docs(workspace));
    Ok(command)
}

fn docs(workspace: &Workspace) -> PathBuf {
    workspace.root.join("docs/kernels.md")
}

/// The runner, with all that it puts into the guests. In release, because under
/// emulation the difference is minutes. `counts` says whether a boot counts
/// instructions.
fn matrix(workspace: &Workspace, only: &[String], counts: bool) -> Result<Command> {
    let mut targets = targets(workspace, only)?;
    targets.retain(|target| counts || target != INSTRUCTIONS || !only.is_empty());
    let counts = counts && targets.iter().any(|target| target == INSTRUCTIONS);
    let offwatch = workspace.build_offwatch(true)?;
    let mut build = workspace.cargo("build");
    build.args(["--release", "--package", VM_PACKAGE, "--bin", RUNNER]);
    run::run(&mut build)?;
    let mut command = Command::new(offwatch.with_file_name(RUNNER));
    command.arg("--program").arg(&offwatch);
    if counts {
        ebpf::build()?;
        command
            .arg("--empty-object")
            .arg(ebpf::empty_object(workspace));
    }
    for test in build_tests(workspace, &targets)? {
        command.arg("--test").arg(test);
    }
    Ok(command)
}

/// Every test of the lab but those that boot VMs of their own, and [`LEFT_OUT`].
fn targets(workspace: &Workspace, only: &[String]) -> Result<Vec<String>> {
    let mut known = workspace.targets(TESTS_PACKAGE, "test");
    known.retain(|target| !VM_TESTS.contains(&target.as_str()));
    for (because, left_out) in LEFT_OUT {
        for target in left_out {
            let is_wanted = only.iter().any(|only| only == target);
            ensure!(!is_wanted, "{target} is left out: {because}");
            let place = known.iter().position(|known| known == target);
            known.remove(place.with_context(|| format!("no test target {target}"))?);
        }
    }
    for target in only {
        ensure!(
            known.contains(target),
            "no test target {target}; there are {}",
            known.join(", ")
        );
    }
    known.retain(|target| only.is_empty() || only.contains(target));
    Ok(known)
}

fn build_tests(workspace: &Workspace, targets: &[String]) -> Result<Vec<PathBuf>> {
    let mut build = workspace.cargo("test");
    build.args(["--release", "--no-run", "--package", TESTS_PACKAGE]);
    build.arg("--message-format=json-render-diagnostics");
    for target in targets {
        build.args(["--test", target]);
    }
    let programs = test_programs(&run::stdout_of(&mut build)?);
    ensure!(
        programs.len() == targets.len(),
        "cargo built {} test programs of {}",
        programs.len(),
        targets.len()
    );
    Ok(programs)
}

/// The programs among cargo's messages, one a line.
fn test_programs(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines();
    let artifacts = messages.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    artifacts
        .filter(|message| message["target"]["kind"] == serde_json::json!(["test"]))
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_found_among_messages() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"]},"executable":"/t/offwatch-lab"}
{"reason":"compiler-artifact","target":{"kind":["test"]},"executable":"/t/counts-0123456789abcdef"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(
            test_programs(messages),
            [PathBuf::from("/t/counts-0123456789abcdef")]
        );
    }
}
