//! Contenders taking turns, so that whatever else changes on the machine
//! changes for all of them.

use anyhow::Result;
use offwatch::sample::Hook;

use super::{
    path::Path,
    pinned,
    stats::{Estimate, median},
    variant::{Empty, Variant},
};

/// Nanoseconds per frame: one value a variant (in [`Variant::ALL`]'s order) for
/// each round.
pub(super) struct Cost {
    rounds: Vec<[f64; Variant::ALL.len()]>,
}

/// Each round goes through all variants and back again (ABBA): a steady drift
/// is the same for all.
pub(super) fn measure(path: &Path, empty: &mut Empty, rounds: usize) -> Result<Cost> {
    pinned(path.ns(), || {
        // Caches and neighbour tables are cold only once.
        path.sample()?;
        let rounds = (0..rounds).map(|_| round(path, empty));
        Ok(Cost {
            rounds: rounds.collect::<Result<_>>()?,
        })
    })
}

fn round(path: &Path, empty: &mut Empty) -> Result<[f64; Variant::ALL.len()]> {
    let mut sums = [0.0; Variant::ALL.len()];
    let forth = 0..Variant::ALL.len();
    for index in forth.clone().chain(forth.rev()) {
        let variant = Variant::ALL[index];
        let attached = variant.attach(empty, path.ns().inum(), path.observed())?;
        // Right after attaching the processor runs code it has just been given.
        path.sample()?;
        sums[index] += path.sample()?;
        drop(attached);
    }
    Ok(sums.map(|sum| sum / 2.0))
}

impl Cost {
    fn of(&self, variant: Variant) -> Vec<f64> {
        let index = Variant::ALL.iter().position(|known| *known == variant);
        index.map_or_else(Vec::new, |index| {
            self.rounds.iter().map(|round| round[index]).collect()
        })
    }

    /// Nanoseconds per frame.
    pub(super) fn path_ns(&self, variant: Variant) -> f64 {
        median(&mut self.of(variant))
    }

    /// Nanoseconds per frame above those without any program.
    pub(super) fn added_ns(&self, variant: Variant) -> Estimate {
        let pairs = self.pairs(variant, Variant::Nothing);
        Estimate::of(&pairs, |pairs| {
            median(&mut pairs.iter().map(|(a, b)| a - b).collect::<Vec<_>>())
        })
    }

    /// The whole way with `variant`, over that with `baseline`.
    pub(super) fn path_ratio(&self, variant: Variant, baseline: Variant) -> Estimate {
        let pairs = self.pairs(variant, baseline);
        Estimate::of(&pairs, |pairs| {
            median(&mut pairs.iter().map(|(a, b)| a / b).collect::<Vec<_>>())
        })
    }

    /// What `variant` adds, over what `baseline` adds. The difference of two
    /// close numbers is noisy, so medians are divided, not rounds.
    pub(super) fn added_ratio(&self, variant: Variant, baseline: Variant) -> Estimate {
        let nothing = self.of(Variant::Nothing);
        let added = |variant| {
            let costs = self.of(variant).into_iter().zip(&nothing);
            costs.map(|(cost, nothing)| cost - nothing).collect()
        };
        let (a, b): (Vec<f64>, Vec<f64>) = (added(variant), added(baseline));
        let pairs: Vec<_> = a.into_iter().zip(b).collect();
        Estimate::of(&pairs, |pairs| {
            let (mut a, mut b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            median(&mut a) / median(&mut b)
        })
    }

    fn pairs(&self, a: Variant, b: Variant) -> Vec<(f64, f64)> {
        self.of(a).into_iter().zip(self.of(b)).collect()
    }
}

/// The baselines that a variant of offwatch is held against.
pub(super) fn baselines(hook: Hook) -> (Variant, Variant) {
    (Variant::Count(hook), Variant::Zero(hook))
}
