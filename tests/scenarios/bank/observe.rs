//! Lets offwatch look at a scene while there is traffic.

use std::{sync::Arc, thread, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use offwatch::{
    facts::Facts,
    inventory::setup,
    record::Replay,
    sample::{Sample, offloads::Fact},
};
use offwatch_tests::{observer::offwatch, quiet::wait_until};

use super::{Going, Scene, Seen};

/// How long offwatch looks.
const WINDOW_SECONDS: &str = "2";

/// Traffic has begun at the latest then.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is seen of a scene with its traffic.
pub(super) fn observe(scene: &Scene, traffic: fn(&Scene, &Going) -> Result<()>) -> Result<Seen> {
    let going = Going::default();
    let samples = thread::scope(|scope| {
        let before = packets(scene);
        let sending = scope.spawn(|| traffic(scene, &going));
        let begun = wait_until("traffic", PATIENCE, || {
            Ok(packets(scene) > before || sending.is_finished())
        });
        let samples = begun.and_then(|()| look(scene));
        going.end();
        let sent = sending
            .join()
            .map_err(|_| anyhow!("the traffic panicked"))?;
        sent.context("traffic")?;
        samples
    })?;
    Ok(Seen::new(samples))
}

fn packets(scene: &Scene) -> u64 {
    let guests = scene.lab.guests().iter();
    guests.map(|guest| guest.total_packets()).sum()
}

fn look(scene: &Scene) -> Result<(Sample, Sample)> {
    let facts = || -> Result<Arc<Facts>> {
        scene.lab.host().run(|| {
            Arc::new(Facts {
                devices: setup::devices(),
                host: setup::host(),
                domains: Fact::Known(Vec::new()),
                ..Facts::default()
            })
        })
    };
    let libvirt = scene.libvirt()?;
    let directory = tempfile::tempdir().context("a temporary directory")?;
    let recording = directory.path().join("window");
    let path = recording.to_str().context("a path of plain text")?;
    let uri = libvirt.uri();
    let args = [
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
    let before = facts()?;
    let output = offwatch(scene.lab.host(), &args)?.output()?;
    let after = facts()?;
    let says = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "offwatch failed: {says}");
    let mut replay = Replay::open(&recording)?;
    let mut next = || -> Result<Sample> {
        let next = replay.next_sample()?.context("a sample is missing")?;
        Ok(next.sample)
    };
    let (mut earlier, mut later) = (next()?, next()?);
    earlier.facts = Some(before);
    later.facts = Some(after);
    Ok((earlier, later))
}
