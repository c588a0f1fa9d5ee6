//! Starting to observe, and reading the counters.

use std::{hint::black_box, time::Instant};

use anyhow::Result;
use aya::Btf as LoaderBtf;
use offwatch::{
    probe::{Counted, Probe, btf::Btf},
    sample::Hook,
};
use serde::Serialize;

use super::stats::median;
use crate::Netns;

/// Slots that the budget for reading speaks of.
pub(super) const READ_INTERFACES: u32 = 10_000;

/// Repetitions, of which the median counts.
const REPETITIONS: usize = 7;

/// Milliseconds, with as many interfaces as said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Control {
    /// How many interfaces are observed.
    pub(super) interfaces: u32,
    /// Reading the kernel's type information with offwatch's reader; part of
    /// `start_ms`.
    pub(super) btf_ms: f64,
    /// The same with aya's reader. Whether it is part of `start_ms` is up to
    /// the probe.
    pub(super) loader_btf_ms: f64,
    /// Everything until programs count, without interfaces.
    pub(super) start_ms: f64,
    /// Beginning to count all interfaces.
    pub(super) observe_ms: f64,
    /// Detaching and closing everything.
    pub(super) stop_ms: f64,
    /// Reading [`READ_INTERFACES`] interfaces' counters.
    pub(super) read_ms: f64,
}

impl Control {
    /// From nothing to all interfaces counted.
    pub(super) fn attach_ms(&self) -> f64 {
        self.start_ms + self.observe_ms
    }
}

pub(super) fn measure(interfaces: &[u32]) -> Result<Vec<Control>> {
    interfaces.iter().map(|count| of(*count)).collect()
}

fn of(interfaces: u32) -> Result<Control> {
    let netns = Netns::new()?.inum();
    let mut parts = [(); 6].map(|()| Vec::new());
    for _ in 0..REPETITIONS {
        let (_, btf) = timed(Btf::of_kernel);
        let (_, loader_btf) = timed(LoaderBtf::from_sys_fs);
        let (probe, start) = timed(|| Probe::start(Hook::Tp, netns));
        let mut probe = probe?;
        let ((), observe) = timed(|| observe(&mut probe, interfaces));
        let rest = interfaces.max(READ_INTERFACES);
        observe_from(&mut probe, interfaces, rest);
        // The first reading pays for memory that later ones find in place.
        let mut known = nothing_known();
        read(&probe, &mut known);
        let ((), read) = timed(|| read(&probe, &mut known));
        let ((), stop) = timed(|| drop(probe));
        let durations = [btf, loader_btf, start, observe, stop, read];
        parts
            .iter_mut()
            .zip(durations)
            .for_each(|(part, ms)| part.push(ms));
    }
    let [
        btf_ms,
        loader_btf_ms,
        start_ms,
        observe_ms,
        stop_ms,
        read_ms,
    ] = parts.map(|mut part| median(&mut part));
    Ok(Control {
        interfaces,
        btf_ms,
        loader_btf_ms,
        start_ms,
        observe_ms,
        stop_ms,
        read_ms,
    })
}

/// Observes and reads, with a system call nothing else here makes around the
/// reading: for whoever traces this process.
pub fn read_only(interfaces: u32) -> Result<()> {
    let mut probe = Probe::start(Hook::Tp, Netns::new()?.inum())?;
    observe(&mut probe, interfaces);
    let mut known = nothing_known();
    read(&probe, &mut known);
    let _ = nix::unistd::getppid();
    read(&probe, &mut known);
    let _ = nix::unistd::getppid();
    Ok(())
}

fn observe(probe: &mut Probe, interfaces: u32) {
    observe_from(probe, 0, interfaces);
}

/// ifindexes start at 1; nobody asks whether the interfaces exist.
fn observe_from(probe: &mut Probe, from: u32, to: u32) {
    for ifindex in from + 1..=to {
        probe.observe(ifindex);
    }
}

/// What was read before, by ifindex.
fn nothing_known() -> Vec<Counted> {
    vec![Counted::default(); READ_INTERFACES as usize]
}

/// As samples do.
fn read(probe: &Probe, known: &mut [Counted]) {
    for (ifindex, known) in (1..).zip(known) {
        black_box(!probe.is(known) && probe.read(ifindex, known));
    }
}

fn timed<T>(f: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = f();
    (value, start.elapsed().as_secs_f64() * 1e3)
}
