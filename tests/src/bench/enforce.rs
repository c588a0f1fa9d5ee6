//! What it takes to change features of many taps and to see that they are so: one
//! `offwatch enforce --apply`, with its journal and its watchdog, against a loop of
//! `ethtool -K` and `ethtool -k`.

use std::{
    fmt,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::report::Budget;
use crate::{
    command::{ip_batch, run},
    enforce::{Bed, tap},
};

const TURNS: usize = 5;
const QUICK_TURNS: usize = 2;
/// Enforcing takes at most one part of so many of what the loop takes.
const BUDGET_PARTS: f64 = 40.0;
/// As `offwatch` and `ethtool` call them.
const FEATURES: [&str; 2] = ["gso", "gro"];

/// Wall time, ms; the middle of several turns.
#[derive(Debug, Clone, Serialize)]
pub struct Enforcing {
    taps: usize,
    apply_ms: f64,
    undo_ms: f64,
    ethtool_ms: f64,
}

pub(super) fn measure(taps: usize, quick: bool) -> Result<Enforcing> {
    let bed = Bed::new(0)?;
    let made = (0..taps).map(|number| format!("tuntap add dev {} mode tap vnet_hdr", tap(number)));
    ip_batch(bed.ns(), &made.collect::<Vec<_>>())?;
    let names: Vec<String> = (0..taps).map(tap).collect();
    let off = FEATURES.map(|name| (name, false));
    let rules: Vec<(&str, &[(&str, bool)])> =
        names.iter().map(|name| (&**name, &off[..])).collect();
    let policy = bed.policy(&rules)?;
    let (mut applying, mut undoing, mut looping) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if quick { QUICK_TURNS } else { TURNS } {
        let before = bed.features()?;
        applying.push(timed(bed.apply(&policy, &[])?)?);
        ensure!(bed.features()? != before, "nothing was changed");
        undoing.push(timed(bed.enforce(&["undo"])?)?);
        ensure!(bed.features()? == before, "it is not undone");
        looping.push(ethtool(&bed, &names, "off")?);
        ethtool(&bed, &names, "on")?;
    }
    Ok(Enforcing {
        taps,
        apply_ms: middle(applying),
        undo_ms: middle(undoing),
        ethtool_ms: middle(looping),
    })
}

fn timed(mut command: Command) -> Result<f64> {
    let begin = Instant::now();
    let status = command.stdout(Stdio::null()).status()?;
    let took = begin.elapsed();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took.as_secs_f64() * 1e3)
}

fn ethtool(bed: &Bed, names: &[String], state: &str) -> Result<f64> {
    let begin = Instant::now();
    for name in names {
        let mut change = vec!["ethtool", "-K", name];
        change.extend(FEATURES.iter().flat_map(|feature| [feature, state]));
        run(bed.ns(), &change)?;
        run(bed.ns(), &["ethtool", "-k", name])?;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

impl Enforcing {
    pub(super) fn budget(&self) -> Budget {
        let name = format!(
            "enforce, {} taps: ethtool's loop / {BUDGET_PARTS}",
            self.taps
        );
        let parts = self.apply_ms * BUDGET_PARTS / self.ethtool_ms;
        Budget::below(name, parts, 1.0, "x")
    }
}

impl fmt::Display for Enforcing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Features of {} taps changed and verified, ms: enforce --apply {:.0}, undo {:.0}, \
             ethtool -K and -k of each {:.0}: {:.0} times as long as --apply",
            self.taps,
            self.apply_ms,
            self.undo_ms,
            self.ethtool_ms,
            self.ethtool_ms / self.apply_ms
        )
    }
}
