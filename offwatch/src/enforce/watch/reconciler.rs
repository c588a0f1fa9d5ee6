//! What to look at, when, and what to do about it. No input or output: times are
//! passed in, of one clock that never goes back.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    bucket::Limit,
    contest::Evidence,
    port::{COALESCE, Port},
};
use crate::{
    enforce::{
        kernel::Request,
        target::{Id, Owner},
    },
    inventory::link::Link,
    sample::{
        Kind,
        offloads::{FeatureSet, Features},
    },
};

/// Everything is looked at again after so long: the kernel does not notify when a
/// feature is asked for that stays off.
const RESYNC: Duration = Duration::from_secs(60);
/// A new tap gets its owner soon: pause before the first search, which doubles.
const FIRST_SEARCH: Duration = Duration::from_millis(100);
/// Past this pause a tap without an owner is taken for nobody's.
const LAST_SEARCH: Duration = Duration::from_millis(6400);

/// What a plan asks of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Which one.
    pub id: Id,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// Everything that shall hold.
    pub asked: Request,
}

/// What is to be done about an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Holds,
    /// It is to be changed.
    Change(Request),
    /// Nothing any more: somebody keeps changing it back.
    Contested(Evidence),
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// List interfaces and features of all, and tell. It goes with a plan.
    pub resync: bool,
    /// Find out whose interfaces are, and make a plan.
    pub plan: bool,
    /// Ask anew for VMs: a tap has no owner, or may have one that is not known yet.
    pub search: bool,
}

/// An interface, as far as a policy can match it.
#[derive(Clone, Debug)]
struct Known {
    dev: Arc<str>,
    kind: Kind,
    master: Option<u32>,
    /// When it became known.
    since: Duration,
}

/// A tap without an owner.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// When to search; `None`: no more.
    at: Option<Duration>,
    pause: Duration,
}

/// Keeps track of interfaces. See the [module](self).
#[derive(Debug)]
pub struct Reconciler {
    /// Features that a guest's driver negotiates.
    negotiable: FeatureSet,
    limit: Limit,
    /// All interfaces, by ifindex.
    links: HashMap<u32, Known>,
    /// Those that the policy speaks of.
    ports: BTreeMap<u32, Port>,
    searches: HashMap<u32, Search>,
    plan_at: Option<Duration>,
    plan_quiet_until: Duration,
    resync_at: Duration,
    resync_quiet_until: Duration,
}

impl Reconciler {
    /// `negotiable` are the features that a guest's driver negotiates. Everything is
    /// due at once.
    pub fn new(negotiable: FeatureSet, limit: Limit, now: Duration) -> Self {
        Self {
            negotiable,
            limit,
            links: HashMap::new(),
            ports: BTreeMap::new(),
            searches: HashMap::new(),
            plan_at: Some(now),
            plan_quiet_until: now,
            resync_at: now,
            resync_quiet_until: now,
        }
    }

    /// The kernel notified of changed features: what they were then, if that could
    /// be read.
    pub fn notified(&mut self, ifindex: u32, features: Option<&Features>, now: Duration) {
        if let Some(port) = self.ports.get_mut(&ifindex) {
            port.notified(features, now);
        }
    }

    /// An interface is new or changed.
    pub fn link(&mut self, link: &Link, now: Duration) {
        let is_same = |known: &Known| known.dev == link.dev && known.kind == link.kind;
        match self.links.get_mut(&link.ifindex) {
            Some(known) if is_same(known) && known.master == link.master => return,
            Some(known) if is_same(known) => known.master = link.master,
            _ => {
                // A new one, or as good as that.
                self.gone(link.ifindex);
                let known = Known {
                    dev: Arc::clone(&link.dev),
                    kind: link.kind.clone(),
                    master: link.master,
                    since: now,
                };
                self.links.insert(link.ifindex, known);
            }
        }
        self.plan_later(now);
    }

    /// An interface is gone.
    pub fn gone(&mut self, ifindex: u32) {
        self.links.remove(&ifindex);
        self.ports.remove(&ifindex);
        self.searches.remove(&ifindex);
    }

    /// All interfaces that there are.
    pub fn all_links(&mut self, links: &[Link], now: Duration) {
        let there: HashSet<u32> = links.iter().map(|link| link.ifindex).collect();
        let known: Vec<u32> = self.links.keys().copied().collect();
        for ifindex in known.into_iter().filter(|known| !there.contains(known)) {
            self.gone(ifindex);
        }
        links.iter().for_each(|link| self.link(link, now));
    }

    /// Notifications were lost.
    pub fn lost(&mut self, now: Duration) {
        self.resync_at = self.resync_at.min(now.max(self.resync_quiet_until));
    }

    /// VMs or their interfaces changed.
    pub fn owners_changed(&mut self, now: Duration) {
        self.plan_later(now);
    }

    /// The policy was read again: the user wants it tried anew, contested or not.
    pub fn policy_changed(&mut self, limit: Limit, now: Duration) {
        self.limit = limit;
        self.ports.clear();
        self.plan_later(now);
    }

    /// Takes up a plan: all interfaces that it speaks of, and the taps that nobody
    /// owns, or whose owner may not be the last one. Where not all VMs are known (`vms_known` is false), what was
    /// asked of these before still holds.
    pub fn adopt(
        &mut self,
        desired: impl IntoIterator<Item = Desired>,
        unowned: &[u32],
        vms_known: bool,
        now: Duration,
    ) {
        let mut forgotten: HashSet<u32> = self.ports.keys().copied().collect();
        if !vms_known {
            unowned.iter().for_each(|ifindex| {
                forgotten.remove(ifindex);
            });
        }
        for desired in desired {
            let ifindex = desired.id.ifindex;
            let Some(known) = self.links.get(&ifindex) else {
                continue;
            };
            if *known.dev != *desired.id.dev {
                continue;
            }
            forgotten.remove(&ifindex);
            match self.ports.get_mut(&ifindex) {
                Some(port) => port.ask(desired, now),
                None => {
                    let negotiable = match known.kind {
                        Kind::Tap => self.negotiable,
                        _ => FeatureSet::default(),
                    };
                    let port = Port::new(desired, negotiable, self.limit, now);
                    self.ports.insert(ifindex, port);
                }
            }
        }
        for ifindex in forgotten {
            self.ports.get_mut(&ifindex).map(Port::ask_nothing);
        }
        let mut searches = std::mem::take(&mut self.searches);
        for ifindex in unowned {
            let first = Search {
                at: Some(now + FIRST_SEARCH),
                pause: FIRST_SEARCH,
            };
            let search = searches.remove(ifindex).unwrap_or(first);
            self.searches.insert(*ifindex, search);
        }
    }

    /// What is to be done now, before [`Self::looks`].
    pub fn due(&mut self, now: Duration) -> Due {
        let mut is_search_due = false;
        for search in self.searches.values_mut() {
            if search.at.is_some_and(|at| at <= now) {
                search.pause *= 2;
                search.at = (search.pause <= LAST_SEARCH).then(|| now + search.pause);
                self.plan_at = Some(now);
                is_search_due = true;
            }
        }
        let resync = self.resync_at <= now;
        if resync {
            self.resync_at = now + RESYNC;
            self.resync_quiet_until = now + COALESCE;
            self.plan_at = Some(now);
        }
        let plan = self.plan_at.is_some_and(|at| at <= now);
        if plan {
            self.plan_at = None;
            self.plan_quiet_until = now + COALESCE;
        }
        Due {
            resync,
            plan,
            search: is_search_due,
        }
    }

    /// Interfaces of which features are to be read now and [judged](Self::judge).
    pub fn looks(&self, now: Duration) -> Vec<Id> {
        let ports = self.ports.values();
        let due = ports.filter(|port| port.look_at.is_some_and(|at| at <= now));
        due.map(|port| port.id.clone()).collect()
    }

    /// Features of an interface cannot be read: until it changes or everything is
    /// looked at again, it is let alone.
    pub fn unreadable(&mut self, ifindex: u32) {
        if let Some(port) = self.ports.get_mut(&ifindex) {
            port.look_at = None;
        }
    }

    /// An interface is not to be changed any more, until it is made anew or the
    /// policy is read again.
    pub fn let_alone(&mut self, ifindex: u32) {
        if let Some(port) = self.ports.get_mut(&ifindex) {
            port.let_alone();
        }
    }

    /// Whether an interface became known later.
    pub fn is_younger(&self, ifindex: u32, than: Duration) -> bool {
        let known = self.links.get(&ifindex);
        known.is_none_or(|known| known.since > than)
    }

    /// Whether there will be a plan.
    pub fn is_plan_due(&self) -> bool {
        self.plan_at.is_some()
    }

    /// When something will be due.
    pub fn next_due(&self) -> Duration {
        let looks = self.ports.values().filter_map(|port| port.look_at);
        let searches = self.searches.values().filter_map(|search| search.at);
        let others = looks.chain(searches).chain(self.plan_at);
        others
            .min()
            .map_or(self.resync_at, |at| at.min(self.resync_at))
    }

    /// What is to be done about an interface, by its features that were just read.
    /// A change that it asks for is taken for made.
    pub fn judge(&mut self, ifindex: u32, features: &Features, now: Duration) -> Verdict {
        let port = self.ports.get_mut(&ifindex);
        port.map_or(Verdict::Holds, |port| port.judge(features, now))
    }

    /// An interface that the policy speaks of.
    pub fn port(&self, ifindex: u32) -> Option<(&Id, Option<&Owner>)> {
        let port = self.ports.get(&ifindex)?;
        Some((&port.id, port.owner.as_ref()))
    }

    /// How many interfaces the policy speaks of, and how many of them are contested.
    pub fn count(&self) -> (usize, usize) {
        let asked = self.ports.values().filter(|port| port.is_asked());
        let contested = asked.clone().filter(|port| port.is_contested);
        (asked.count(), contested.count())
    }

    fn plan_later(&mut self, now: Duration) {
        let at = now.max(self.plan_quiet_until);
        self.plan_at = Some(self.plan_at.map_or(at, |other| other.min(at)));
    }
}

#[cfg(test)]
mod tests;
