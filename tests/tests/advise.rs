//! `offwatch advise` on a host without libvirt and QEMU: what it does before its
//! window is over.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use offwatch_tests::{Lab, observer::offwatch, quiet::wait_until, skip_unless_lab};

/// On an idle machine; the window is far longer on any.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_name_that_matches_nothing_is_told_before_the_window_is_over() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    for wrong in [["--vm", "wbe"], ["--dev", "etj0"]] {
        let mut command = offwatch(lab.host(), &["advise", "--window", "24h"])?;
        command.args(wrong).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let ended = wait_until("offwatch ends", PATIENCE, || {
            Ok(child.try_wait()?.is_some())
        });
        if ended.is_err() {
            child.kill().context("kill")?;
        }
        let output = child.wait_with_output()?;
        ended?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{:?}", output.status);
        ensure!(said.contains(wrong[1]), "{said}");
    }
    Ok(())
}
