//! Random choices that can be made again from their seed.

use std::{
    env, thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

/// Any generator will do (splitmix64).
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below another one.
    pub fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    /// One of them all.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// `OFFWATCH_SEED`, else the time; told, so that a failure can be had again.
pub fn seed() -> Result<u64> {
    let seed = match env::var("OFFWATCH_SEED") {
        Ok(seed) => seed.parse().context("OFFWATCH_SEED")?,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64,
    };
    eprintln!("OFFWATCH_SEED={seed}");
    Ok(seed)
}

/// So many hosts side by side, where most of the time is waiting: each with a seed of its
/// own. The first failure is the error.
pub fn side_by_side(hosts: u64, seed: u64, host: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    let host = &host;
    thread::scope(|scope| {
        let started: Vec<_> = (0..hosts)
            .map(|at| scope.spawn(move || host(seed.wrapping_add(at))))
            .collect();
        let mut ended = started
            .into_iter()
            .map(|host| host.join().expect("no panic"));
        ended.try_for_each(|ended| ended)
    })
}
