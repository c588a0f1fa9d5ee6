//! What `offwatch doctor` says about a kernel is so. The kernel matrix makes a
//! page of it.

use anyhow::{Context as _, Result};
use offwatch_tests::{
    Lab,
    observer::{doctor, lacking, offwatch},
    skip_unless_lab,
};

/// Beginnings of the checks that depend on the kernel alone, and find the same on
/// all its point releases.
const OF_KERNEL: [&str; 5] = ["BTF", "lockdown", "hook ", "exact ", "drop "];

#[test]
fn a_hook_is_said_to_work_where_it_does() -> Result<()> {
    skip_unless_lab!();
    const HOOKS: [&str; 3] = ["tp", "raw", "tc"];
    let lab = Lab::new()?;
    let report = doctor(lab.host())?;
    assert_eq!(report["usable"], true, "{report}");
    for hook in HOOKS {
        let checks = report["checks"].as_array().context("checks")?;
        let name = format!("hook {hook}");
        let check = checks.iter().find(|check| check["name"] == *name);
        let said = check.with_context(|| format!("no check of {name}"))?["status"] == "ok";
        let args = ["top", "--once", "--json", "-d", "0.1", "--hook", hook];
        let output = offwatch(lab.host(), &args)?.output()?;
        assert_eq!(said, output.status.success(), "{hook}: {output:?}");
        // BTF tracepoints count by the fields of an skb where nothing else can be read.
        let works = hook == "tp" || lacking(hook).is_none();
        assert_eq!(said, works, "{hook}: {check:?}");
    }
    Ok(())
}

#[test]
fn what_it_finds_is_told() -> Result<()> {
    skip_unless_lab!();
    let report = doctor(Lab::new()?.host())?;
    for check in report["checks"].as_array().context("checks")? {
        let [name, status, found] =
            ["name", "status", "found"].map(|field| check[field].as_str().unwrap_or_default());
        assert!(!name.is_empty() && !found.is_empty(), "{check}");
        match status {
            "ok" | "unknown" => assert!(check["costs"].is_null(), "{check}"),
            "missing" => assert!(check["costs"].is_string(), "{check}"),
            _ => panic!("{check}"),
        }
        if OF_KERNEL.iter().any(|start| name.starts_with(start)) {
            let mark = match status {
                "ok" => String::new(),
                _ => format!("{status}: "),
            };
            println!("kernel-fact: {name} = {mark}{found}");
        }
    }
    Ok(())
}
