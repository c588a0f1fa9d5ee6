//! The lab tests on a matrix of real kernels: each boots in QEMU, under
//! software emulation, with an initramfs that holds the test binaries.
//!
//! Kernels are Debian's, fetched by apt from the archive that the machine is
//! configured with ([`sources`] derives other suites from it), never installed.

mod apt;
mod console;
mod initramfs;
mod kernels;
mod qemu;
mod report;
mod results;
mod sources;
mod version;

pub use kernels::names as kernel_names;

use anyhow::{Context, Result, ensure};
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use kernels::Kernel;
use results::Run;

/// The kernel for the boot with lockdown, if it is among those asked for.
const LOCKDOWN_KERNEL: &str = "6.12";

/// What to run, and on what.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of kernels, see [`kernel_names`].
    pub kernels: Vec<String>,
    /// Whether to boot once more with `lockdown=confidentiality`.
    pub lockdown: bool,
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
    /// When to give up on a kernel.
    pub limit: Duration,
    /// Where kernels and results are kept.
    pub cache: PathBuf,
    /// Whether to look for newer packages than those in the cache.
    pub refresh: bool,
}

/// One boot of one kernel.
struct Boot<'a> {
    label: String,
    kernel: &'a Kernel,
    lockdown: bool,
}

/// Runs the matrix, printing as it goes. Returns whether all is well; an error
/// means that it could not be run.
pub fn run(options: &Options) -> Result<bool> {
    let started = Instant::now();
    ensure!(!options.tests.is_empty(), "no test binary given");
    ensure!(!options.kernels.is_empty(), "no kernel given");
    let cache = &options.cache;
    fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;

    let mut kernels = Vec::new();
    for name in &options.kernels {
        let (kernel, cached) = kernels::fetch(cache, name, options.refresh)
            .with_context(|| format!("cannot get kernel {name}"))?;
        let origin = if cached { "cached" } else { "downloaded" };
        println!("{name}: {} {} ({origin})", kernel.package, kernel.version);
        kernels.push(kernel);
    }
    let programs = initramfs::Programs::pack(options).context("pack the initramfs")?;
    let boots = boots(&kernels, options.lockdown);

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
    Ok(report::summary(&runs, started.elapsed()))
}

fn boots(kernels: &[Kernel], lockdown: bool) -> Vec<Boot<'_>> {
    let mut boots: Vec<_> = kernels
        .iter()
        .map(|kernel| Boot {
            label: kernel.name.clone(),
            kernel,
            lockdown: false,
        })
        .collect();
    let preferred = kernels.iter().find(|kernel| kernel.name == LOCKDOWN_KERNEL);
    if let Some(kernel) = preferred.or(kernels.last()).filter(|_| lockdown) {
        boots.push(Boot {
            label: format!("{}-lockdown", kernel.name),
            kernel,
            lockdown: true,
        });
    }
    boots
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
