//! Models of this host.

use std::time::Instant;

use super::{Commands, Live, Tick, Update, Updates, Wanted};
use crate::{advise::Watch, error::Error, memory, source::Source};

pub(super) async fn run(
    mut source: Source,
    mut live: Live,
    wanted: Wanted,
    updates: &Updates,
    commands: Commands,
) -> Result<(), Error> {
    source.obey(commands);
    source.want_pcpus(live.want_pcpus);
    if let Some(recorder) = live.recorder.take() {
        source.record_to(recorder);
    }
    let mut watch = Watch::default();
    let mut shown = 0;
    while let Some(tick) = source.tick().await? {
        if shown == 0 {
            wanted.filter.check_sample(tick.sample)?;
        }
        let rest = (live.each)(&tick)?;
        let mut model = tick.model();
        wanted.filter.apply(&mut model);
        let began = Instant::now();
        if tick.advance(&mut watch) {
            watch.took(began.elapsed());
            // A window is large on a large host, and the next one is a while away.
            memory::give_back();
        }
        let tick = Tick {
            model,
            findings: watch.findings().cloned(),
            position: None,
            jumped: false,
        };
        // Not waited for: a terminal that is stopped must not stop a recording.
        let _ = updates.try_send(Ok(Update::Tick(Box::new(tick))));
        shown += 1;
        if wanted.is_done(shown) {
            break;
        }
        if let Some(rest) = rest {
            tokio::time::sleep(rest).await;
            break;
        }
    }
    Ok(())
}
