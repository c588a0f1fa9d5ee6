//! Lets offwatch look at a scene while there is traffic.

use std::{process::Stdio, thread, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use offwatch::{record::Replay, sample::Sample};
use offwatch_tests::{observer::offwatch, quiet::wait_until};

use super::{Going, Scene, Seen};

/// How long offwatch looks.
const WINDOW_SECONDS: &str = "2";

/// Traffic has begun at the latest then.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is seen of a scene with its traffic.
pub(super) fn observe(scene: &Scene, traffic: fn(&Scene, &Going) -> Result<()>) -> Result<Seen> {
    let going = Going::default();
    thread::scope(|scope| {
        let before = packets(scene);
        let sending = scope.spawn(|| traffic(scene, &going));
        let begun = wait_until("traffic", PATIENCE, || {
            Ok(packets(scene) > before || sending.is_finished())
        });
        let seen = begun.and_then(|()| look(scene));
        going.end();
        let sent = sending
            .join()
            .map_err(|_| anyhow!("the traffic panicked"))?;
        sent.context("traffic")?;
        seen
    })
}

fn packets(scene: &Scene) -> u64 {
    let guests = scene.lab.guests().iter();
    guests.map(|guest| guest.total_packets()).sum()
}

/// Lets `offwatch advise` look, and at the same time keeps a window of which the
/// same can be told without a rule.
fn look(scene: &Scene) -> Result<Seen> {
    let libvirt = scene.libvirt()?;
    let uri = libvirt.uri();
    let directory = tempfile::tempdir().context("a temporary directory")?;
    let recording = directory.path().join("window");
    let path = recording.to_str().context("a path of plain text")?;
    let advise = ["advise", "--json", "--window", WINDOW_SECONDS, "-c", &uri];
    let advise = offwatch(scene.lab.host(), &advise)?
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start offwatch")?;
    let top = [
        "top",
        "--stream",
        "--json",
        "-d",
        WINDOW_SECONDS,
        "-n",
        "2",
        "--record",
        path,
        "-c",
        &uri,
    ];
    let top = offwatch(scene.lab.host(), &top)?.output();
    let advised = advise.wait_with_output().context("waiting for advise")?;
    let top = top?;
    ensure!(
        top.status.success(),
        "top: {}",
        String::from_utf8_lossy(&top.stderr)
    );
    ensure!(advised.status.success(), "advise failed");
    let mut replay = Replay::open(&recording)?;
    let mut next = || -> Result<Sample> {
        let next = replay.next_sample()?.context("a sample is missing")?;
        Ok(next.sample)
    };
    Ok(Seen {
        samples: (next()?, next()?),
        report: serde_json::from_slice(&advised.stdout).context("a report")?,
        printed: advised.stdout,
    })
}
