//! Trials of a guest whose frames a process of its own carries, in a lab.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use offwatch::trial::{Effect, Measure, Trial};
use tempfile::TempDir;

use crate::{
    Backend, GuestConfig, Lab,
    guest::Family,
    observer,
    traffic::{TcpFlow, TcpOptions},
    vmm::Vmm,
};

const NAME: &str = "web";

/// A host that sends to its guest, and a place for the journal.
#[derive(Debug)]
pub struct Bench {
    lab: Lab,
    vmm: Vmm,
    directory: TempDir,
}

impl Bench {
    /// With a guest that accepts everything. The program calls
    /// [`crate::vmm::run_if_asked`].
    pub fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let config = GuestConfig {
            backend: Backend::Relay,
            ..GuestConfig::new(NAME, 1)
        };
        let vmm = Vmm::start(&lab, config)?;
        Ok(Self {
            lab,
            vmm,
            directory: TempDir::new()?,
        })
    }

    /// TCP from the host to the guest, by at most this rate.
    pub fn load(&self, bits_per_second: Option<u64>) -> Result<TcpFlow> {
        let options = TcpOptions {
            bits_per_second,
            ..TcpOptions::new(Family::V4, 0)
        };
        TcpFlow::start(&self.lab.host_endpoint()?, &self.vmm.endpoint(), options)
    }

    /// `offwatch trial` of the guest with these arguments, to its end.
    pub fn trial(&self, args: &[&str]) -> Result<Trial> {
        let output = self.output(&[&["--json"], args].concat())?;
        let says = String::from_utf8_lossy(&output.stderr);
        let trial: Trial = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{}: no report: {says}", output.status))?;
        ensure!(
            output.status.success(),
            "{}: {:?} {says}",
            output.status,
            trial.conclusion
        );
        Ok(trial)
    }

    /// The same for people: what it prints, however it ends.
    pub fn output(&self, args: &[&str]) -> Result<Output> {
        let mut command = observer::offwatch(self.lab.host(), &["trial", "--vm", NAME])?;
        command
            .arg("--state-dir")
            .arg(self.directory.path().join("state"))
            .args(args)
            .stdin(Stdio::null());
        command.output().context("cannot run offwatch")
    }
}

/// What a trial tells of a measure.
pub fn effect(trial: &Trial, measure: Measure) -> Result<&Effect> {
    let mut effects = trial.effects.iter();
    let found = effects.find(|effect| effect.measure == measure);
    found.with_context(|| format!("nothing is told of {measure:?}"))
}

/// All of which a difference is claimed.
pub fn claims(trial: &Trial) -> Vec<&Effect> {
    let effects = trial.effects.iter();
    effects
        .filter(|effect| effect.verdict.is_difference())
        .collect()
}

/// One line of what a trial tells.
pub fn summary(trial: &Trial) -> String {
    let each = trial.effects.iter().filter_map(|effect| {
        let of = effect.difference_percent?;
        let mark = match effect.verdict.is_difference() {
            true => "!",
            false => "",
        };
        Some(format!(
            "{mark}{:?} {:+.1} [{:+.1}, {:+.1}]",
            effect.measure, of.value, of.low, of.high
        ))
    });
    each.collect::<Vec<_>>().join("  ")
}
