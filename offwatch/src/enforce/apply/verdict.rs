//! What became of a change.

use crate::{
    enforce::{
        kernel::{Refusal, Reply, Request},
        plan::{Because, Change, Unmet},
        predict::{self, Device, predict},
        target::Id,
    },
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

/// What became of a change of one interface, read back from the kernel.
#[derive(Debug)]
pub struct Verdict {
    /// Which interface.
    pub id: Id,
    /// Everything that shall hold.
    pub asked: Request,
    /// What was sent; nothing if it was so already.
    pub sent: Request,
    /// Its features before.
    pub before: Features,
    /// The same afterwards; `None`: the interface is gone, or refused.
    pub after: Option<Features>,
    /// Those of `asked` that are as asked for.
    pub met: FeatureSet,
    /// Those that are not, with the reason.
    pub unmet: Vec<Unmet>,
    /// Those that changed with it, as predicted.
    pub collateral: FeatureSet,
    /// Those that changed with it, and nobody knew.
    pub unexpected: FeatureSet,
    /// Why nothing was changed, if so.
    pub refused: Option<Refusal>,
}

impl Verdict {
    /// From what the kernel answered, and what it told of the interface afterwards.
    pub(super) fn new(
        names: &FeatureNames,
        change: &Change,
        sent: Request,
        before: Features,
        answer: Result<Reply, Refusal>,
        after: Result<Features, Refusal>,
    ) -> Self {
        let (reply, refused) = match answer {
            Ok(reply) => (reply, None),
            Err(refusal) => (Reply::default(), Some(refusal)),
        };
        let (after, refused) = match (after, refused) {
            (Ok(after), refused) => (Some(after), refused),
            (Err(gone), refused) => (None, Some(refused.unwrap_or(gone))),
        };
        let asked = change.asked;
        // What the kernel changed because of this request: what others changed at
        // the same time is not in its reply.
        let along = reply.changed - asked.mask;
        let foreseen = foreseen(names, change, sent, &before);
        let wrong = after.map_or(asked.mask, |after| (after.active ^ asked.on) & asked.mask);
        let found = after.map(|after| predict::unmet(names, &device(change), &after));
        let found = found.unwrap_or_default();
        let because = |bit| {
            let of = |all: &[Unmet]| all.iter().find(|unmet| unmet.bit == bit).cloned();
            let (planned, now) = (of(&change.unmet), of(&found));
            // Of what was not certain before it was done, it can be said now; a guest may
            // have negotiated meanwhile.
            let known = match change.is_tap {
                true => now.or(planned),
                false => planned.or(now),
            };
            known.map_or(Because::Driver, |unmet| unmet.because)
        };
        let unswitchable = change
            .unmet
            .iter()
            .filter(|unmet| !asked.mask.contains(unmet.bit));
        let unmet = wrong
            .iter()
            .filter(|_| after.is_some())
            .map(|bit| Unmet {
                bit,
                because: because(bit),
            })
            .chain(unswitchable.cloned());
        Self {
            id: change.id.clone(),
            asked,
            sent,
            before,
            after,
            met: asked.mask - wrong,
            unmet: unmet.collect(),
            collateral: along & foreseen,
            unexpected: along - foreseen,
            refused,
        }
    }

    /// Of an interface of which nothing can be told.
    pub(super) fn refused(names: &FeatureNames, change: &Change, refusal: Refusal) -> Self {
        let sent = Request::default();
        let after = Err(Refusal::Gone(change.id.clone()));
        Self::new(names, change, sent, change.before, Err(refusal), after)
    }

    /// Whether this process may change nothing at all.
    pub(super) fn is_not_permitted(&self) -> bool {
        matches!(self.refused, Some(Refusal::NotPermitted))
    }

    /// Whether all that was asked for is so, but for what a guest has yet to
    /// negotiate: it is asked of the kernel, and is so as soon as the guest accepts it.
    pub fn is_complete(&self) -> bool {
        let mut unmet = self.unmet.iter();
        self.refused.is_none() && unmet.all(|unmet| self.is_the_guests(&unmet.because))
    }

    /// Whether a guest's driver alone can do something about it.
    fn is_the_guests(&self, because: &Because) -> bool {
        match because {
            Because::NotNegotiated => true,
            // What is asked for, too, and comes with it.
            Because::Needs(bit) => {
                let mut unmet = self.unmet.iter();
                unmet.any(|unmet| unmet.bit == *bit && self.is_the_guests(&unmet.because))
            }
            _ => false,
        }
    }

    /// Whether all that was asked for is so, whoever would have to do something.
    pub fn is_as_asked(&self) -> bool {
        self.refused.is_none() && self.unmet.is_empty()
    }
}

fn device(change: &Change) -> Device {
    match change.is_tap {
        true => Device::Tap,
        false => Device::Other,
    }
}

/// What may change with a request. An interface that is not any more as it was when
/// the plan was made, as a guest may have negotiated since, is looked at anew.
fn foreseen(names: &FeatureNames, change: &Change, sent: Request, before: &Features) -> FeatureSet {
    if *before == change.before {
        return change.collateral() | change.uncertain;
    }
    let prediction = predict(names, &device(change), before, &sent);
    (before.active ^ prediction.active)
        | prediction.uncertain
        | change.collateral()
        | change.uncertain
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = [
        "tx-scatter-gather",
        "tx-checksum-ip-generic",
        "tx-udp-segmentation",
    ];

    #[test]
    fn what_no_guest_accepts_is_not_the_drivers_fault() {
        let names = FeatureNames(NAMES.map(String::from).to_vec());
        let of = |bits: &[usize]| bits.iter().copied().collect::<FeatureSet>();
        let features = |wanted: &[usize]| Features {
            changeable: of(&[0, 1, 2]),
            wanted: of(wanted),
            active: of(&[0, 1]),
            never_changed: FeatureSet::default(),
        };
        let mut change = Change {
            before: features(&[0, 1]),
            is_tap: true,
            ..Change::default()
        };
        change.asked.switch(2, true);
        let because = |change: &Change| {
            let reply = Ok(Reply::default());
            let after = Ok(features(&[0, 1, 2]));
            let (sent, before) = (change.asked, change.before);
            let verdict = Verdict::new(&names, change, sent, before, reply, after);
            verdict.unmet[0].because.clone()
        };
        assert_eq!(because(&change), Because::NotNegotiated);
        change.is_tap = false;
        assert_eq!(because(&change), Because::Driver);
        // As it was planned, before the guest had negotiated.
        let because_of_checksums = Because::Needs(1);
        change.unmet = vec![Unmet {
            bit: 2,
            because: because_of_checksums.clone(),
        }];
        assert_eq!(because(&change), because_of_checksums);
        change.is_tap = true;
        assert_eq!(because(&change), Because::NotNegotiated);
    }

    #[test]
    fn what_comes_with_what_a_guest_accepts_is_the_guests() {
        let names = FeatureNames(NAMES.map(String::from).to_vec());
        let gone = Refusal::Gone(Id::default());
        let mut verdict = Verdict::refused(&names, &Change::default(), gone);
        verdict.refused = None;
        let mut is_complete = |unmet: [Because; 3]| {
            let unmet = unmet.into_iter().enumerate();
            verdict.unmet = unmet.map(|(bit, because)| Unmet { bit, because }).collect();
            verdict.is_complete()
        };
        use Because::{Driver, Needs, NotNegotiated};
        assert!(is_complete([NotNegotiated, Needs(0), Needs(1)]));
        assert!(!is_complete([Driver, Needs(0), NotNegotiated]));
        assert!(!is_complete([NotNegotiated, Needs(0), Needs(3)]));
    }
}
