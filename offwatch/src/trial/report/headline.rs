//! The answer in a sentence.

use super::words;
use crate::trial::effect::{Effect, Measure, Verdict};

/// The answer in a sentence: goodput, cost, and losses if they differ.
pub fn headline(effects: &[Effect]) -> String {
    let of = |measure| effects.iter().find(|effect| effect.measure == measure);
    let is_measured = |effect: &&Effect| !matches!(effect.verdict, Verdict::NotMeasured { .. });
    let has_enough = |effect: &&Effect| effect.verdict.because().is_none();
    let goodput = of(Measure::Goodput);
    let cost = of(Measure::VmCost)
        .filter(is_measured)
        .or(of(Measure::HostCost).filter(is_measured));
    // Of a want of traffic, or of rounds, it is enough to tell once.
    let cost = cost.filter(has_enough);
    let losses = [Measure::Retransmits, Measure::Drops, Measure::ChecksumDrops];
    let losses = losses.into_iter().filter_map(of);
    let losses = losses.filter(|effect| effect.verdict.is_difference());
    let told: Vec<String> = goodput
        .into_iter()
        .chain(cost)
        .chain(losses)
        .map(words::told)
        .collect();
    match told.is_empty() {
        true => "nothing was measured".into(),
        false => told.join("; "),
    }
}
