//! Doing what advice says by `offwatch enforce`.

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use offwatch::advise::advice::{Action, Fix};
use offwatch_tests::{ethtool, observer::offwatch};
use serde_json::Value;

use super::Scene;

/// Gives `offwatch enforce` what advise printed. ethtool then shows what the change
/// says, its command is the same change, and there is nothing more to do.
pub(super) fn enforced(scene: &Scene, fix: &Fix, printed: &[u8]) -> Result<()> {
    let Action::SetFeatures {
        dev,
        features,
        command,
        ..
    } = &fix.action
    else {
        bail!("no features are to be switched: {fix:?}");
    };
    let mut same = vec!["ethtool".to_owned(), "-K".into(), dev.clone()];
    for (name, on) in features {
        same.extend([name.to_string(), if *on { "on" } else { "off" }.to_owned()]);
    }
    let mut words: Vec<_> = command.split(' ').map(str::to_owned).collect();
    words.sort();
    same.sort();
    ensure!(words == same, "{command} is not {features:?}");

    let state = tempfile::tempdir().context("a state directory")?;
    let state = state.path().to_str().context("a path of plain text")?;
    let planned = enforce(scene, &["--exit-code", "--json"], printed)?;
    ensure!(
        planned.status.code() == Some(3),
        "a plan: {}",
        says(&planned)
    );
    let plan: Value = serde_json::from_slice(&planned.stdout)?;
    let interfaces = plan["interfaces"].as_array().context("interfaces")?;
    let devs: Vec<_> = interfaces.iter().map(|found| &found["dev"]).collect();
    ensure!(devs == [dev.as_str()], "{devs:?} are to be changed");
    let applied = enforce(scene, &["--apply", "--state-dir", state], printed)?;
    ensure!(applied.status.success(), "applied: {}", says(&applied));
    let now = ethtool::features(scene.lab.host(), dev)?;
    for (name, on) in features {
        let found = now.get(&**name).with_context(|| format!("no {name}"))?;
        ensure!(found.on == *on, "{name} is {found:?}");
    }
    let planned = enforce(scene, &["--exit-code"], printed)?;
    ensure!(planned.status.success(), "once more: {}", says(&planned));
    Ok(())
}

fn says(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}: {out}{err}", output.status)
}

/// Runs it with a report on its stdin.
fn enforce(scene: &Scene, args: &[&str], report: &[u8]) -> Result<Output> {
    let libvirt = scene.libvirt()?;
    let mut command = offwatch(scene.lab.host(), &["enforce", "--from", "-"])?;
    let mut child = command
        .args(["-c", &libvirt.uri()])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start offwatch")?;
    let written = child.stdin.take().context("its stdin")?.write_all(report);
    let output = child.wait_with_output().context("waiting for enforce")?;
    written.with_context(|| says(&output))?;
    Ok(output)
}
