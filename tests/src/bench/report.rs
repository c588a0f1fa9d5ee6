//! The results, as tables and as JSON.

use std::fmt;

use anyhow::{Context, Result};
use nix::sys::utsname::uname;
use offwatch::sample::Hook;
use serde::Serialize;

use super::{
    body::Body,
    control::{Control, READ_INTERFACES},
    enforce::Enforcing,
    enforce_watch::WatchCost,
    exact::ExactCost,
    path::Load,
    rounds::{Cost, baselines},
    scale::{Scale, Tick},
    stats::Estimate,
    variant::Variant,
};

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    kernel: String,
    cpu: String,
    pub(super) paths: Vec<PathReport>,
    pub(super) exact: Vec<ExactCost>,
    pub(super) bodies: Vec<Body>,
    pub(super) control: Vec<Control>,
    /// System calls to read [`READ_INTERFACES`] slots.
    pub(super) read_syscalls: Option<u64>,
    pub(super) scale: Vec<Scale>,
    pub(super) enforcing: Option<Enforcing>,
    pub(super) watch: Option<WatchCost>,
    pub(super) budgets: Vec<Budget>,
}

impl Report {
    pub(super) fn new() -> Result<Self> {
        let uname = uname().context("uname")?;
        let cpu = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let model = cpu.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == "model name").then(|| value.trim().to_owned())
        });
        Ok(Self {
            kernel: uname.release().to_string_lossy().into_owned(),
            cpu: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            paths: Vec::new(),
            exact: Vec::new(),
            bodies: Vec::new(),
            control: Vec::new(),
            read_syscalls: None,
            scale: Vec::new(),
            enforcing: None,
            watch: None,
            budgets: Vec::new(),
        })
    }

    /// Whether every budget is met.
    pub fn budgets_met(&self) -> bool {
        self.budgets.iter().all(|budget| budget.met)
    }
}

/// All variants on one way.
#[derive(Debug, Serialize)]
pub(super) struct PathReport {
    pub(super) load: Load,
    variants: Vec<VariantReport>,
}

/// One variant on one way. Ratios are those to the empty programs at the same
/// hook.
#[derive(Debug, Serialize)]
pub(super) struct VariantReport {
    #[serde(skip)]
    variant: Variant,
    name: String,
    path_ns: f64,
    added_ns: Option<Estimate>,
    /// The whole way, to that with the empty program that counts.
    path_ratio: Option<Estimate>,
    /// The added cost, to that of the empty program that counts.
    pub(super) added_ratio_count: Option<Estimate>,
    /// The added cost, to that of the empty program that returns.
    added_ratio_zero: Option<Estimate>,
}

impl PathReport {
    pub(super) fn new(load: Load, cost: &Cost) -> Self {
        let variants = Variant::ALL.map(|variant| {
            let against = match variant {
                Variant::Offwatch(hook) => Some(baselines(hook)),
                _ => None,
            };
            VariantReport {
                variant,
                name: variant.title(),
                path_ns: cost.path_ns(variant),
                added_ns: (variant != Variant::Nothing).then(|| cost.added_ns(variant)),
                path_ratio: against.map(|(count, _)| cost.path_ratio(variant, count)),
                added_ratio_count: against.map(|(count, _)| cost.added_ratio(variant, count)),
                added_ratio_zero: against.map(|(_, zero)| cost.added_ratio(variant, zero)),
            }
        });
        Self {
            load,
            variants: variants.into(),
        }
    }

    /// The hook that offwatch uses where it can.
    pub(super) fn default_hook(&self) -> Option<&VariantReport> {
        let default = Variant::Offwatch(Hook::default());
        self.variants
            .iter()
            .find(|report| report.variant == default)
    }
}

/// A promise, and what became of it.
#[derive(Debug, Serialize)]
pub(super) struct Budget {
    name: String,
    value: f64,
    limit: f64,
    unit: &'static str,
    met: bool,
}

impl Budget {
    pub(super) fn below(name: String, value: f64, limit: f64, unit: &'static str) -> Self {
        Self {
            name,
            value,
            limit,
            unit,
            met: value < limit,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Linux {}, {}", self.kernel, self.cpu)?;
        writeln!(
            f,
            "Medians; in brackets 95 % bootstrap intervals. Only ratios carry over."
        )?;
        for path in &self.paths {
            write!(f, "\n{path}")?;
        }
        writeln!(f, "\nExact hooks, for each call of __skb_gso_segment")?;
        for cost in &self.exact {
            writeln!(f, "{cost}")?;
        }
        writeln!(
            f,
            "\nProgram alone, ns a run (BTF tracepoints have no BPF_PROG_TEST_RUN, raw ones none that repeats)"
        )?;
        for body in &self.bodies {
            writeln!(
                f,
                "  {:<18} {:>8.1}  {}",
                body.program, body.run_ns, body.method
            )?;
        }
        writeln!(f, "\nStart and read, ms")?;
        writeln!(
            f,
            "  {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "interfaces",
            "attach",
            "= start",
            "+ observe",
            "own BTF",
            "aya BTF",
            "stop",
            "read 10k"
        )?;
        for row in &self.control {
            writeln!(
                f,
                "  {:>10} {:>9.1} {:>9.1} {:>9.2} {:>9.1} {:>9.1} {:>9.1} {:>9.2}",
                row.interfaces,
                row.attach_ms(),
                row.start_ms,
                row.observe_ms,
                row.btf_ms,
                row.loader_btf_ms,
                row.stop_ms,
                row.read_ms
            )?;
        }
        match self.read_syscalls {
            Some(calls) => writeln!(f, "  system calls to read {READ_INTERFACES} slots: {calls}")?,
            None => writeln!(f, "  system calls: not measured, strace is not installed")?,
        }
        writeln!(f, "\n{}", Tick::HEADING)?;
        self.scale
            .iter()
            .try_for_each(|scale| write!(f, "{scale}"))?;
        if let Some(watch) = &self.watch {
            write!(f, "\noffwatch enforce --watch\n{watch}")?;
        }
        if let Some(enforcing) = &self.enforcing {
            write!(f, "\n{enforcing}")?;
        }
        writeln!(f, "\nBudgets")?;
        self.budgets.iter().try_for_each(|budget| {
            let met = if budget.met { "met" } else { "MISSED" };
            let Budget {
                name,
                value,
                limit,
                unit,
                ..
            } = budget;
            writeln!(
                f,
                "  {met:<6}  {name}: {value:.2}{unit}, limit {limit}{unit}"
            )
        })
    }
}

impl fmt::Display for PathReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.load.title())?;
        writeln!(
            f,
            "  {:<24} {:>9} {:>24} {:>20} {:>22} {:>22}",
            "",
            "path ns",
            "added ns",
            "path / (array + 1)",
            "added / (array + 1)",
            "added / (return)"
        )?;
        for row in &self.variants {
            let show = |estimate: Option<Estimate>, precision: usize| {
                estimate.map_or_else(String::new, |estimate| format!("{estimate:.precision$}"))
            };
            let line = format!(
                "  {:<24} {:>9.0} {:>24} {:>20} {:>22} {:>22}",
                row.name,
                row.path_ns,
                show(row.added_ns, 0),
                show(row.path_ratio, 2),
                show(row.added_ratio_count, 2),
                show(row.added_ratio_zero, 2)
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
