//! The lab tests on a matrix of real kernels: each boots in QEMU, under
//! software emulation, with an initramfs that holds the test binaries.
//!
//! Kernels are Debian's, fetched by apt from the archive that the machine is
//! configured with ([`sources`] derives other suites from it), never installed.

mod apt;
mod console;
mod docs;
mod initramfs;
mod instructions;
mod kernels;
mod qemu;
mod report;
mod results;
mod sources;
mod version;

pub use docs::Docs;
pub use kernels::names as kernel_names;

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use initramfs::Programs;
use kernels::Kernel;
use results::Run;

/// The kernel for the boot with lockdown, if none is asked for.
const LOCKDOWN_KERNEL: &str = "6.12";

/// The kernel for the boot that counts instructions, if none is asked for. Not the
/// newest: another kernel has other counts.
const ICOUNT_KERNEL: &str = "6.12";

/// Tests for the boot that counts instructions, and for no other.
const COUNT_INSTRUCTIONS: &[&str] = &["kernel_instructions"];

/// Tests that lockdown has no bearing on, as it changes how BPF programs read
/// memory: left out of the boot with lockdown, unless that is what was asked for.
const WITHOUT_BEARING: &[&str] = &[
    "advise",
    "churn",
    "enforce_apply",
    "enforce_kill",
    "enforce_plan",
    "facts",
    "features",
    "features_command",
    "kill",
    "lab",
    "measure_cpu",
    "namespaces",
    "policing",
    "predict",
    "set_features",
    "setup",
    "shaping",
    "vhost",
    "vhost_cpu",
];

/// What to run, and on what.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to boot.
    pub selection: Selection,
    /// The `offwatch` under test.
    pub program: PathBuf,
    /// The BPF object with programs that do nothing, which instructions are counted
    /// of, too.
    pub empty_object: Option<PathBuf>,
    /// Test binaries, as `cargo test --no-run` leaves them.
    pub tests: Vec<PathBuf>,
    /// Arguments for each test binary, such as a filter.
    pub arguments: Vec<String>,
    /// Further `NAME=VALUE` for the tests' environment.
    pub environment: Vec<String>,
    /// Divides the amounts of traffic: emulation is slow.
    pub scale: u32,
    /// How many kernels run at a time.
    pub jobs: usize,
    /// When to give up on a kernel that says nothing.
    pub limit: Duration,
    /// Where kernels and results are kept.
    pub cache: PathBuf,
    /// Whether to look for newer packages than those in the cache.
    pub refresh: bool,
    /// What to do with `docs/kernels.md`, if anything.
    pub docs: Option<Docs>,
}

/// What to boot.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Every kernel, and one of them in each other mode, too.
    All,
    /// Some kernels.
    Kernels {
        /// Their names, see [`kernel_names`]; if empty, the one for the mode.
        names: Vec<String>,
        /// How they boot.
        mode: Mode,
    },
}

/// How a kernel boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it is.
    Plain,
    /// With `lockdown=confidentiality`.
    Lockdown,
    /// On one processor, the clock of which counts instructions.
    Icount,
}

impl Mode {
    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Lockdown => "-lockdown",
            Self::Icount => "-icount",
        }
    }

    fn kernel(self) -> &'static str {
        match self {
            Self::Plain | Self::Lockdown => LOCKDOWN_KERNEL,
            Self::Icount => ICOUNT_KERNEL,
        }
    }
}

impl Selection {
    /// Name and mode of each boot.
    fn boots(&self) -> Vec<(&str, Mode)> {
        match self {
            Self::All => kernels::names()
                .map(|name| (name, Mode::Plain))
                .chain([Mode::Lockdown, Mode::Icount].map(|mode| (mode.kernel(), mode)))
                .collect(),
            Self::Kernels { names, mode } if names.is_empty() => vec![(mode.kernel(), *mode)],
            Self::Kernels { names, mode } => {
                names.iter().map(|name| (name.as_str(), *mode)).collect()
            }
        }
    }
}

/// One boot of one kernel.
struct Boot<'a> {
    label: String,
    kernel: &'a Kernel,
    mode: Mode,
    /// Names of tests that are not run, as the mode has no bearing on them.
    without: &'static [&'static str],
    /// Names of those that are.
    tests: Vec<&'a str>,
}

/// Runs the matrix, printing as it goes. Returns whether all is well; an error
/// means that it could not be run.
pub fn run(options: &Options) -> Result<bool> {
    let started = Instant::now();
    ensure!(!options.tests.is_empty(), "no test binary given");
    let cache = &options.cache;
    fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;

    let selected = options.selection.boots();
    let mut kernels: BTreeMap<&str, Kernel> = BTreeMap::new();
    for (name, _) in &selected {
        if kernels.contains_key(name) {
            continue;
        }
        let (kernel, cached) = kernels::fetch(cache, name, options.refresh)
            .with_context(|| format!("cannot get kernel {name}"))?;
        let origin = if cached { "cached" } else { "downloaded" };
        println!("{name}: {} {} ({origin})", kernel.package, kernel.version);
        kernels.insert(name, kernel);
    }
    let programs = Programs::pack(options).context("pack the initramfs")?;
    let boots: Vec<_> = selected
        .iter()
        .map(|(name, mode)| Boot::new(&kernels[name], *mode, options, &programs))
        .filter(|boot| !boot.tests.is_empty())
        .collect();
    ensure!(
        !boots.is_empty(),
        "no test is for this: {} are for boots with --icount, and nothing else is",
        COUNT_INSTRUCTIONS.join(", ")
    );

    let queue = Mutex::new(boots.iter().collect::<VecDeque<_>>());
    let runs = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, boots.len()) {
            scope.spawn(|| {
                loop {
                    // In a statement of its own: `while let` would keep the lock.
                    let next = lock(&queue).pop_front();
                    let Some(boot) = next else { break };
                    let run = boot_one(boot, &programs, options);
                    lock(&runs).push((boot.label.clone(), run));
                }
            });
        }
    });

    let mut runs: Vec<_> = lock(&runs).drain(..).collect();
    // In the order asked for, whichever ended first.
    runs.sort_by_key(|(label, _)| boots.iter().position(|boot| &boot.label == label));
    let passed = report::summary(&runs, started.elapsed());
    if let Some(docs) = options.docs.as_ref().filter(|_| passed) {
        let runs: Vec<_> = runs
            .iter()
            .filter_map(|(_, run)| run.as_ref().ok())
            .collect();
        docs.handle(&runs, &cache.join("results/kernels.md"))?;
    }
    Ok(passed)
}

impl<'a> Boot<'a> {
    fn new(kernel: &'a Kernel, mode: Mode, options: &Options, programs: &'a Programs) -> Self {
        let is_all = matches!(options.selection, Selection::All);
        let without = match mode {
            Mode::Lockdown if is_all => WITHOUT_BEARING,
            _ => &[],
        };
        // A filter is for other tests, unless this boot is what was asked for.
        let is_filtered = is_all && mode == Mode::Icount && !options.arguments.is_empty();
        let tests = programs.tests().filter(|name| {
            let counts = COUNT_INSTRUCTIONS.contains(name);
            counts == (mode == Mode::Icount) && !without.contains(name) && !is_filtered
        });
        Self {
            label: format!("{}{}", kernel.name, mode.suffix()),
            kernel,
            mode,
            without,
            tests: tests.collect(),
        }
    }
}

fn boot_one(boot: &Boot<'_>, programs: &Programs, options: &Options) -> Result<Run> {
    let modules = initramfs::Modules::pack(boot.kernel)?;
    let initramfs = initramfs::write(&options.cache, programs, &modules, boot, options)?;
    let run = qemu::run(boot, &initramfs, modules.absent, options.limit)?;
    results::save(&options.cache, &run)?;
    Ok(run)
}

/// A thread that panicked has printed why; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
