//! Who it may be that changes features back, from what was seen of it.

use std::{collections::VecDeque, time::Duration};

use serde::Serialize;

use crate::sample::offloads::FeatureSet;

/// That features were not as asked, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flip {
    /// When.
    pub(super) at: Duration,
    /// Which ones.
    pub(super) bits: FeatureSet,
    /// What else was asked of the kernel since the time before, by others: of
    /// the features that a guest's driver negotiates.
    pub(super) others: FeatureSet,
}

/// Who changes features back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Likely {
    /// The guest's driver, which negotiates again and again.
    Guest,
    /// A program on the host.
    Host,
}

/// What was seen of a fight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// How often features were changed back.
    pub times: usize,
    /// From the first time to the last one.
    #[serde(rename = "within_ms", serialize_with = "milliseconds")]
    pub within: Duration,
    /// Which ones.
    pub changed_back: FeatureSet,
    /// Features that a guest's driver negotiates together with them, that the
    /// policy does not name and that changed at the same time.
    pub changed_too: FeatureSet,
    /// The same that never changed.
    pub never_changed: FeatureSet,
    /// Who it likely is.
    pub likely: Likely,
}

fn milliseconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl Evidence {
    /// `negotiable` are the features of the interface that a guest's driver
    /// negotiates, `named` those that the policy names.
    pub(super) fn of(flips: &VecDeque<Flip>, negotiable: FeatureSet, named: FeatureSet) -> Self {
        let none = FeatureSet::default();
        let changed_back = flips.iter().fold(none, |all, flip| all | flip.bits);
        let changed_too = flips.iter().fold(none, |all, flip| all | flip.others);
        let within = flips.back().zip(flips.front());
        let witnesses = negotiable - named;
        let together = flips.iter().all(|flip| flip.bits == changed_back);
        // A negotiation asks for all that the guest accepts and for nothing else,
        // and a driver that starts anew accepts nothing for a moment.
        let is_negotiated = (changed_back - negotiable).is_empty()
            && match witnesses.is_empty() {
                true => together,
                false => !changed_too.is_empty(),
            };
        Self {
            times: flips.len(),
            within: within.map_or(Duration::ZERO, |(last, first)| last.at - first.at),
            changed_back,
            changed_too,
            never_changed: witnesses - changed_too,
            likely: match is_negotiated {
                true => Likely::Guest,
                false => Likely::Host,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(bits: &[usize]) -> FeatureSet {
        bits.iter().copied().collect()
    }

    fn evidence(flips: &[(&[usize], &[usize])], named: &[usize]) -> Evidence {
        let flips = flips.iter().enumerate();
        let flips = flips.map(|(second, (bits, others))| Flip {
            at: Duration::from_secs(second as u64),
            bits: set(bits),
            others: set(others),
        });
        Evidence::of(&flips.collect(), set(&[1, 2, 3]), set(named))
    }

    #[test]
    fn a_driver_negotiates_all_of_them() {
        let seen = evidence(&[(&[1], &[]), (&[1], &[2, 3]), (&[1], &[3])], &[1]);
        assert_eq!(seen.likely, Likely::Guest);
        assert_eq!(seen.times, 3);
        assert_eq!(seen.within, Duration::from_secs(2));
        assert_eq!(
            (seen.changed_back, seen.changed_too),
            (set(&[1]), set(&[2, 3]))
        );
        assert_eq!(seen.never_changed, set(&[]));
    }

    #[test]
    fn a_program_changes_what_it_is_about() {
        let seen = evidence(&[(&[1], &[]), (&[1], &[])], &[1]);
        assert_eq!(seen.likely, Likely::Host);
        assert_eq!(seen.never_changed, set(&[2, 3]));
        let not_negotiable = evidence(&[(&[1, 9], &[2]), (&[1], &[2])], &[1, 9]);
        assert_eq!(not_negotiable.likely, Likely::Host);
    }

    #[test]
    fn where_the_policy_names_all_they_change_together_or_not() {
        let all = [1, 2, 3];
        let together = evidence(&[(&[1, 2], &[]), (&[1, 2], &[])], &all);
        assert_eq!(together.likely, Likely::Guest);
        let one = evidence(&[(&[1, 2], &[]), (&[2], &[])], &all);
        assert_eq!(one.likely, Likely::Host);
    }
}
