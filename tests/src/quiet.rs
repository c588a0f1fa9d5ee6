//! Waiting for conditions with a deadline, instead of sleeping for luck.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks.
const STEP: Duration = Duration::from_millis(5);

/// How much longer a machine may take that is loaded, or emulated, than one that
/// is idle.
const LOADED: u32 = 12;

/// Waits until `done` holds; `what` names it in the error. `timeout` is for an
/// idle machine.
pub fn wait_until(what: &str, timeout: Duration, done: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_until_each(STEP, what, timeout, done)
}

/// The same with a look each `step`, for what is to be met soon after it came.
pub fn wait_until_each(
    step: Duration,
    what: &str,
    timeout: Duration,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let timeout = timeout * LOADED;
    let deadline = Instant::now() + timeout;
    while !done()? {
        if Instant::now() >= deadline {
            bail!("{what}: not within {timeout:?}");
        }
        sleep(step);
    }
    Ok(())
}

/// Waits until `counter` has not moved for `still`; it yields `None` while
/// something is known to be on its way. The time counts as passed only by looks
/// at the counter: a machine that stood still in between has moved nothing.
pub fn wait_still(
    still: Duration,
    timeout: Duration,
    counter: impl Fn() -> Result<Option<u64>>,
) -> Result<()> {
    let mut last = None;
    let mut looks = 0;
    wait_until("counters at rest", timeout, || {
        let now = counter()?;
        if now.is_none() || now != last {
            last = now;
            looks = 0;
        }
        looks += 1;
        Ok(STEP * looks > still)
    })
}
