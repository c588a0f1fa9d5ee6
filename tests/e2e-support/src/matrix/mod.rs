//! The lab tests on a matrix of real kernels: each boots in QEMU, under
//! software emulation, with an initramfs that holds the test binaries.
//!
//! Kernels are Debian's, fetched by apt from the archive that the machine is
//! configured with ([`sources`] derives other suites from it), never installed.

mod apt;
mod console;
mod docs;
mod initramfs;
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

use kernels::Kernel;
use results::Run;

/// The kernel for the boot with lockdown, if none is asked for.
const LOCKDOWN_KERNEL: &str = "6.12";

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
    /// Every kernel, and one of them with `lockdown=confidentiality`, too.
    All,
    /// Some kernels.
    Kernels {
        /// Their names, see [`kernel_names`]; if empty, one with which lockdown is
        /// tested.
        names: Vec<String>,
        /// Whether they boot with `lockdown=confidentiality`.
        lockdown: bool,
    },
}

impl Selection {
    /// Name and lockdown of each boot.
    fn boots(&self) -> Vec<(&str, bool)> {
        match self {
            Self::All => kernels::names()
                .map(|name| (name, false))
                .chain([(LOCKDOWN_KERNEL, true)])
                .collect(),
            Self::Kernels { names, lockdown } if names.is_empty() => {
                vec![(LOCKDOWN_KERNEL, *lockdown)]
            }
            Self::Kernels { names, lockdown } => names
                .iter()
                .map(|name| (name.as_str(), *lockdown))
                .collect(),
        }
    }
}

/// One boot of one kernel.
struct Boot<'a> {
    label: String,
    kernel: &'a Kernel,
    lockdown: bool,
    /// Names of tests that are not run.
    without: &'static [&'static str],
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
    let programs = initramfs::Programs::pack(options).context("pack the initramfs")?;
    let boots: Vec<_> = selected
        .iter()
        .map(|(name, lockdown)| Boot::new(&kernels[name], *lockdown, &options.selection))
        .collect();

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
    fn new(kernel: &'a Kernel, lockdown: bool, selection: &Selection) -> Self {
        let suffix = if lockdown { "-lockdown" } else { "" };
        let without = match selection {
            Selection::All if lockdown => WITHOUT_BEARING,
            _ => &[],
        };
        Self {
            label: format!("{}{suffix}", kernel.name),
            kernel,
            lockdown,
            without,
        }
    }
}

fn boot_one(boot: &Boot<'_>, programs: &initramfs::Programs, options: &Options) -> Result<Run> {
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
