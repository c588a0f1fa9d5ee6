//! Traffic for as long as offwatch looks.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::Result;
use offwatch_tests::{
    guest::Family,
    traffic::{TcpFlow, TcpOptions},
};

use super::Scene;

/// Rate of a flow. Far above what any rule takes for too little, and far below
/// what a machine can do that is loaded.
const BITS_PER_SECOND: u64 = 400_000_000;

const STEP: Duration = Duration::from_millis(2);

/// Whether traffic is to go on.
#[derive(Default)]
pub(crate) struct Going {
    ended: AtomicBool,
}

impl Going {
    /// Ends the traffic.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// Does something again and again, with a short pause in between.
    pub(crate) fn again(&self, mut act: impl FnMut() -> Result<()>) -> Result<()> {
        while self.goes_on() {
            act()?;
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Does something again and again, with a long pause in between.
    pub(crate) fn now_and_then(&self, mut act: impl FnMut() -> Result<()>) -> Result<()> {
        const STEPS: u64 = 100;
        let mut steps = 0;
        self.again(|| {
            steps += 1;
            if steps % STEPS == 0 { act() } else { Ok(()) }
        })
    }

    /// Keeps flows running.
    pub(crate) fn keep(&self, flows: Vec<TcpFlow>) -> Result<()> {
        self.again(|| Ok(()))?;
        flows.into_iter().try_for_each(|flow| flow.stop().map(drop))
    }
}

/// What a flow of TCP is like by default.
pub(crate) fn flow_options(family: Family) -> TcpOptions {
    TcpOptions {
        bits_per_second: Some(BITS_PER_SECOND),
        ..TcpOptions::new(family, 0)
    }
}

/// Starts a flow from one to another, over IPv4.
pub(crate) fn flow(scene: &Scene, from: &str, to: &str) -> Result<TcpFlow> {
    TcpFlow::start(&scene.end(from)?, &scene.end(to)?, flow_options(Family::V4))
}

/// Flows over IPv4.
pub(crate) fn each(scene: &Scene, ways: &[(&str, &str)]) -> Result<Vec<TcpFlow>> {
    let ways = ways.iter();
    ways.map(|(from, to)| flow(scene, from, to)).collect()
}

/// Flows between two, one over IPv4 and one over IPv6.
pub(crate) fn both_ways(scene: &Scene, one: &str, other: &str) -> Result<Vec<TcpFlow>> {
    let back = TcpFlow::start(
        &scene.end(other)?,
        &scene.end(one)?,
        flow_options(Family::V6),
    )?;
    Ok(vec![flow(scene, one, other)?, back])
}
