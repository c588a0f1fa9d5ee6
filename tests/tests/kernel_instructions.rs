//! What observing costs, in instructions of the kernel: nearly the same from run to run,
//! so that it cannot grow unnoticed. Needs a clock that counts instructions, which
//! `cargo xtask vm --icount` has.
//!
//! Limits are 1.5 times what was counted when they were set: another compiler or
//! another point release of the kernel may make a difference, but not such a one.

use std::path::Path;

use anyhow::{Context as _, Result};
use offwatch_tests::{
    bench::instructions::{self, Instructions},
    skip::skipped,
    skip_unless_lab,
};

/// What each hook may add to a frame, and that to what an empty program adds, on each
/// path in the order of the report.
const HOOKS: [[(&str, f64, f64); 3]; 3] = [
    [
        ("tp", 1_370.0, 4.7),
        ("raw", 1_640.0, 5.6),
        ("tc", 1_400.0, 4.6),
    ],
    [
        ("tp", 2_740.0, 4.7),
        ("raw", 3_280.0, 5.6),
        ("tc", 2_780.0, 4.6),
    ],
    [
        ("tp", 2_040.0, 7.0),
        ("raw", 2_500.0, 9.0),
        ("tc", 2_300.0, 8.0),
    ],
];

/// What exact hooks may add to a call: by fexit, and by kprobe.
const EXACT: [(&str, [f64; 2]); 4] = [
    ("64 KB cut into 45 segments", [1_170.0, 2_030.0]),
    ("64 KB cut into 45 segments and summed", [1_180.0, 2_060.0]),
    ("1.5 KB summed", [1_030.0, 1_880.0]),
    ("headers of 64 KB checked, nothing cut", [980.0, 1_800.0]),
];

/// What exact hooks may cost of the work to cut a super-frame, in percent.
const PERCENT_OF_CUTTING: [(&str, f64); 2] = [("fexit", 2.6), ("kprobe", 4.4)];

#[test]
fn hooks_cost_no_more_than_they_did() -> Result<()> {
    let Some(empty_object) = std::env::var_os("OFFWATCH_ICOUNT") else {
        skipped("the clock does not count instructions here: see `cargo xtask vm --icount`");
        return Ok(());
    };
    skip_unless_lab!();
    let counted = instructions::measure(Path::new(&empty_object))?;
    println!("\n{counted}");
    println!("kernel-instructions: {}", serde_json::to_string(&counted)?);
    let mut excesses = Vec::new();
    let mut check = |what: String, value: f64, limit: f64| {
        // Programs that were not called would add nothing.
        if !(value > 0.0 && value <= limit) {
            excesses.push(format!("{what}: {value:.2}, not above 0 to {limit}"));
        }
    };
    check_hooks(&counted, &mut check)?;
    check_exact(&counted, &mut check)?;
    assert!(excesses.is_empty(), "{}", excesses.join("\n"));
    Ok(())
}

fn check_hooks(counted: &Instructions, check: &mut impl FnMut(String, f64, f64)) -> Result<()> {
    assert_eq!(counted.paths.len(), HOOKS.len());
    for (path, limits) in counted.paths.iter().zip(HOOKS) {
        for (hook, added, ratio) in limits {
            let cost = path.hooks.iter().find(|cost| cost.hook == hook);
            let cost = cost.context(hook)?;
            let what = format!("{}, {hook}", path.path);
            check(format!("{what}, added"), cost.offwatch, added);
            check(format!("{what}, added to empty"), cost.ratio, ratio);
        }
    }
    Ok(())
}

fn check_exact(counted: &Instructions, check: &mut impl FnMut(String, f64, f64)) -> Result<()> {
    for (call, limits) in EXACT {
        for ((method, percent), added) in PERCENT_OF_CUTTING.into_iter().zip(limits) {
            let mut costs = counted.exact.iter();
            let cost = costs.find(|cost| cost.call == call && cost.method == method);
            let cost = cost.with_context(|| format!("{method}, {call}"))?;
            check(format!("{method}, {call}, added"), cost.added, added);
            if call.contains("cut into") {
                let cost = cost.percent.context("no work was timed")?;
                check(format!("{method}, {call}, percent"), cost, percent);
            }
        }
    }
    Ok(())
}
