//! What it takes to change features of many taps and to see that they are so: one
//! `offwatch enforce --apply`, with its journal and its watchdog, against a shell's loop
//! of `ethtool -K` and `ethtool -k`.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{
    goals::{self, Outcome},
    report::Table,
};
use crate::{
    command::{ip_batch, run},
    enforce::{Bed, tap},
};

const TURNS: usize = 5;
const QUICK_TURNS: usize = 2;
/// As `offwatch` and `ethtool` call them.
const FEATURES: [&str; 2] = ["gso", "gro"];

/// Wall time, ms; the middle of several turns.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Enforcing {
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

/// In a shell, as administrators have it: a program as large as this one takes longer
/// to start another.
fn ethtool(bed: &Bed, names: &[String], state: &str) -> Result<f64> {
    let features = FEATURES.map(|feature| format!("{feature} {state}"));
    let script = format!(
        "for dev; do ethtool -K \"$dev\" {} && ethtool -k \"$dev\" || exit; done >/dev/null",
        features.join(" ")
    );
    let mut shell = vec!["sh", "-c", &script, "sh"];
    shell.extend(names.iter().map(String::as_str));
    let begin = Instant::now();
    run(bed.ns(), &shell)?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

pub(super) fn table(enforcing: &Enforcing) -> Table {
    let title = format!("Features of {} taps, changed and verified", enforcing.taps);
    let mut table = Table::new(title, &["", "ms"]);
    for (what, ms) in [
        ("offwatch enforce --apply", enforcing.apply_ms),
        ("offwatch enforce undo", enforcing.undo_ms),
        (
            "ethtool -K and ethtool -k of each, in a shell",
            enforcing.ethtool_ms,
        ),
    ] {
        table.row([what.to_owned(), format!("{ms:.0}")]);
    }
    table
}

pub(super) fn goals(enforcing: &Enforcing) -> Vec<Outcome> {
    let ratio = enforcing.apply_ms / enforcing.ethtool_ms;
    vec![goals::ENFORCE.outcome(Ok(ratio))]
}
