//! The clock that intervals are measured with.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds on the monotonic clock.
pub fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .ok()
        .and_then(|now| u64::try_from(Duration::from(now).as_nanos()).ok())
        .unwrap_or(0)
}
