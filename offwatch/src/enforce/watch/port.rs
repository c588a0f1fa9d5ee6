//! An interface that a policy speaks of.

use std::{collections::VecDeque, time::Duration};

use super::{
    bucket::{Bucket, Limit},
    contest::{Evidence, Flip},
    reconciler::{Desired, Verdict},
};
use crate::{
    enforce::{
        kernel::Request,
        target::{Id, Owner},
    },
    sample::offloads::{FeatureSet, Features},
};

/// After a change an interface is let alone for so long: a driver that starts
/// negotiates several times within 0.1 ms.
pub(super) const COALESCE: Duration = Duration::from_millis(150);

#[derive(Debug)]
pub(super) struct Port {
    pub(super) id: Id,
    pub(super) owner: Option<Owner>,
    asked: Request,
    /// Of those that a guest's driver negotiates, the ones this interface has.
    negotiable: FeatureSet,
    limit: Limit,
    bucket: Bucket,
    /// It was as asked, or was changed, since it was asked.
    was_applied: bool,
    pub(super) is_contested: bool,
    /// It is not changed any more, contested or not.
    is_let_alone: bool,
    /// When to look at it.
    pub(super) look_at: Option<Duration>,
    quiet_until: Duration,
    /// What was asked of the kernel when it was last seen.
    wanted: Option<FeatureSet>,
    /// See [`Flip::others`].
    others: FeatureSet,
    flips: VecDeque<Flip>,
}

impl Port {
    /// An interface to be looked at.
    pub(super) fn new(
        desired: Desired,
        negotiable: FeatureSet,
        limit: Limit,
        now: Duration,
    ) -> Self {
        Self {
            id: desired.id,
            owner: desired.owner,
            asked: desired.asked,
            negotiable,
            limit,
            bucket: Bucket::new(limit, now),
            was_applied: false,
            is_contested: false,
            is_let_alone: false,
            look_at: Some(now),
            quiet_until: now,
            wanted: None,
            others: FeatureSet::default(),
            flips: VecDeque::new(),
        }
    }

    /// What shall hold from now on; whether it is contested does not change with it.
    pub(super) fn ask(&mut self, desired: Desired, now: Duration) {
        self.owner = desired.owner;
        if self.asked != desired.asked {
            self.asked = desired.asked;
            self.was_applied = false;
            self.look_later(now);
        }
    }

    /// Nothing shall hold any more.
    pub(super) fn ask_nothing(&mut self) {
        self.asked = Request::default();
        self.look_at = None;
    }

    /// Whether something shall hold.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The kernel notified of a change: these are its features then.
    pub(super) fn notified(&mut self, features: Option<&Features>, now: Duration) {
        if let Some(features) = features {
            self.see(features);
        }
        if features.is_none_or(|features| !self.drift(features).is_empty()) {
            self.look_later(now);
        }
    }

    /// Has it looked at, as soon as it is not let alone.
    pub(super) fn look_later(&mut self, now: Duration) {
        if !self.is_let_alone {
            let at = now.max(self.quiet_until);
            self.look_at = Some(self.look_at.map_or(at, |other| other.min(at)));
        }
    }

    /// It is not to be changed any more.
    pub(super) fn let_alone(&mut self) {
        self.is_let_alone = true;
        self.look_at = None;
    }

    /// What is to be done about it, by its features now.
    pub(super) fn judge(&mut self, features: &Features, now: Duration) -> Verdict {
        self.look_at = None;
        self.see(features);
        let drift = self.drift(features);
        let is_first = !std::mem::replace(&mut self.was_applied, true);
        if self.is_let_alone || drift.is_empty() {
            return Verdict::Holds;
        }
        if now < self.quiet_until {
            self.look_later(now);
            return Verdict::Holds;
        }
        let change = Request {
            mask: drift,
            on: self.asked.on & drift,
        };
        self.quiet_until = now + COALESCE;
        if is_first {
            self.others = FeatureSet::default();
            return Verdict::Change(change);
        }
        self.flips.push_back(Flip {
            at: now,
            bits: drift,
            others: std::mem::take(&mut self.others),
        });
        if self.flips.len() > self.limit.burst as usize + 1 {
            self.flips.pop_front();
        }
        if self.bucket.take(now) {
            return Verdict::Change(change);
        }
        self.is_contested = true;
        self.is_let_alone = true;
        let named = self.asked.mask;
        Verdict::Contested(Evidence::of(&self.flips, self.negotiable, named))
    }

    /// Those that are not as asked, of what can be switched.
    fn drift(&self, features: &Features) -> FeatureSet {
        let switchable = features.changeable - features.never_changed;
        (features.wanted ^ self.asked.on) & self.asked.mask & switchable
    }

    fn see(&mut self, features: &Features) {
        let before = self.wanted.replace(features.wanted);
        let changed = before.map_or(FeatureSet::default(), |before| before ^ features.wanted);
        // Own changes are of named features.
        self.others = self.others | ((changed & self.negotiable) - self.asked.mask);
    }
}
