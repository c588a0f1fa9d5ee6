//! Makes the change of a trial and takes it back, and sees when somebody else does.

use std::collections::BTreeMap;

use super::{Side, guard::Loss, plan::named};
use crate::{
    enforce::{
        apply::{Outcome, Restored, Session, TakenBack, Verdict},
        error::EnforceError,
        kernel::{Kernel, Refusal, Request},
        target::Id,
    },
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

/// Why a trial is ended.
#[derive(Debug)]
pub enum Stop {
    /// The change is to be taken back, because.
    Aborted(String),
    /// The same, because too much was lost.
    Lost(Loss),
    /// It was taken back already, because.
    TakenBack {
        /// Why.
        because: String,
        /// What is not as before.
        left: Vec<String>,
    },
    /// Nothing may be changed at all, and nothing was.
    Refused(EnforceError),
}

impl Stop {
    /// By somebody who tells no more of it.
    pub fn taken_back(because: impl Into<String>) -> Self {
        Self::TakenBack {
            because: because.into(),
            left: Vec::new(),
        }
    }
}

impl From<EnforceError> for Stop {
    fn from(error: EnforceError) -> Self {
        match error {
            EnforceError::TakenBack { because, .. } => Self::taken_back(because),
            EnforceError::Refused(_) => Self::Refused(error),
            other => Self::Aborted(other.to_string()),
        }
    }
}

/// What is switched.
pub enum Way<'s, 'e> {
    /// The changes of a session.
    Session(&'s mut Session<'e>),
    /// Nothing: features are only looked at.
    Nothing(Box<dyn Kernel>),
}

/// Interfaces between two states.
pub struct Switch<'s, 'e> {
    way: Way<'s, 'e>,
    names: FeatureNames,
    /// All that are measured.
    ids: Vec<Id>,
    side: Side,
    /// Their features, without the change and, once it was made, with it.
    without: Vec<Features>,
    with: Option<Vec<Features>>,
    also: BTreeMap<String, bool>,
}

impl<'s, 'e> Switch<'s, 'e> {
    /// Begins without the change.
    pub fn new(mut way: Way<'s, 'e>, names: FeatureNames, ids: Vec<Id>) -> Result<Self, Stop> {
        let without = read(&mut way, &ids)?;
        Ok(Self {
            way,
            names,
            ids,
            side: Side::Without,
            without,
            with: None,
            also: BTreeMap::new(),
        })
    }

    /// Whether anything is changed at all.
    pub fn changes(&self) -> bool {
        matches!(self.way, Way::Session(_))
    }

    /// Goes to a side; whether anything was sent.
    pub fn to(&mut self, side: Side) -> Result<bool, Stop> {
        if self.side == side {
            return Ok(false);
        }
        self.side = side;
        let Way::Session(session) = &mut self.way else {
            return Ok(false);
        };
        let mut asked = Vec::new();
        match side {
            Side::With => {
                let verdicts = match session.apply_all()? {
                    Outcome::Applied(verdicts) => verdicts,
                    Outcome::TakenBack { taken_back, .. } => {
                        return Err(Stop::TakenBack {
                            left: left(&taken_back),
                            because: taken_back.because,
                        });
                    }
                };
                refused(&verdicts)?;
                for verdict in &verdicts {
                    let Some(after) = verdict.after else { continue };
                    let along = (after.active ^ verdict.before.active) - verdict.asked.mask;
                    let on = after.active;
                    let along = Request { mask: along, on };
                    self.also.extend(named(along, &self.names));
                }
                let each = verdicts.into_iter();
                asked.extend(each.map(|verdict| (verdict.id, verdict.asked)));
            }
            Side::Without => {
                let restored = session.suspend()?;
                not_as_before(&restored, &self.names)?;
            }
        }
        let now = read(&mut self.way, &self.ids)?;
        match (side, &self.with) {
            (Side::With, None) => {
                if now == self.without {
                    undone(&asked, &self.ids, &now, &self.names)?;
                    // Somebody has made it since it was planned.
                    let because = "the change was there before the trial made it";
                    return Err(Stop::Aborted(because.into()));
                }
                self.with = Some(now);
            }
            _ => self.compare(&now)?,
        }
        Ok(true)
    }

    /// Features are as they were when the side was gone to.
    pub fn look(&mut self) -> Result<(), Stop> {
        let now = read(&mut self.way, &self.ids)?;
        self.compare(&now)
    }

    /// Sees to it that the change is watched, and is still ours.
    pub fn tend(&mut self) -> Result<(), Stop> {
        if let Way::Session(session) = &mut self.way {
            let state = session.tend()?;
            if state.is_settled() {
                return Err(Stop::taken_back("somebody else took it back"));
            }
        }
        Ok(())
    }

    /// Features that changed with those that were asked for.
    pub fn also(&self) -> &BTreeMap<String, bool> {
        &self.also
    }

    fn compare(&self, now: &[Features]) -> Result<(), Stop> {
        let expected = match (self.side, &self.with) {
            (Side::With, Some(with)) => with,
            _ => &self.without,
        };
        for ((id, now), expected) in self.ids.iter().zip(now).zip(expected) {
            let differs = (now.wanted ^ expected.wanted) | (now.active ^ expected.active);
            if !differs.is_empty() {
                return Err(changed(differs, id, &self.names));
            }
        }
        Ok(())
    }
}

/// Who changes features is not told by the kernel.
fn changed(differs: FeatureSet, id: &Id, names: &FeatureNames) -> Stop {
    Stop::Aborted(format!(
        "{} of {} changed, by its guest or by somebody else",
        names.of(differs).join(", "),
        id.dev
    ))
}

/// What was asked for a moment ago is asked for still.
fn undone(
    asked: &[(Id, Request)],
    ids: &[Id],
    now: &[Features],
    names: &FeatureNames,
) -> Result<(), Stop> {
    for (id, now) in ids.iter().zip(now) {
        for (_, asked) in asked.iter().filter(|(of, _)| of == id) {
            let differs = (now.wanted ^ asked.on) & asked.mask;
            if !differs.is_empty() {
                return Err(changed(differs, id, names));
            }
        }
    }
    Ok(())
}

fn read(way: &mut Way<'_, '_>, ids: &[Id]) -> Result<Vec<Features>, Stop> {
    let kernel = match way {
        Way::Session(session) => session.enforcer().kernel(),
        Way::Nothing(kernel) => &mut **kernel,
    };
    let each = ids.iter().map(|id| kernel.of(id).map_err(gone));
    each.collect()
}

fn gone(refusal: Refusal) -> Stop {
    Stop::Aborted(refusal.to_string())
}

fn refused(verdicts: &[Verdict]) -> Result<(), Stop> {
    let refused = verdicts.iter().find_map(|verdict| {
        let refusal = verdict.refused.as_ref()?;
        Some(format!("{}: {refusal}", verdict.id.dev))
    });
    refused.map_or(Ok(()), |because| Err(Stop::Aborted(because)))
}

fn not_as_before(restored: &[Restored], names: &FeatureNames) -> Result<(), Stop> {
    let wrong = restored.iter().find_map(|interface| {
        let dev = &interface.id.dev;
        match (&interface.refused, interface.failure(names)) {
            (Some(refusal), _) => Some(refusal.to_string()),
            (None, Some(failure)) => Some(format!("{dev} could not be set back: {failure}")),
            (None, None) => None,
        }
    });
    wrong.map_or(Ok(()), |because| Err(Stop::Aborted(because)))
}

/// What is not as before.
pub fn left(taken_back: &TakenBack) -> Vec<String> {
    let wrong = taken_back.interfaces.iter().filter_map(|interface| {
        let dev = &interface.id.dev;
        if interface.is_gone() {
            return Some(format!(
                "{dev}: it is gone, or has another name or namespace, and was not set back"
            ));
        }
        let failure = interface.failure(&taken_back.names)?;
        Some(format!("{dev}: {failure}"))
    });
    let untold = taken_back.untold.as_ref();
    let untold = untold.map(|error| format!("the journal does not tell that it is over: {error}"));
    wrong.chain(untold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforce::apply::testing::{CHECKSUM, GRO, InMemory, State, set};

    fn because(stopped: Result<impl Sized, Stop>) -> String {
        match stopped.map(drop).expect_err("it goes on") {
            Stop::Aborted(because)
            | Stop::TakenBack { because, .. }
            | Stop::Lost(Loss { told: because, .. }) => because,
            Stop::Refused(error) => error.to_string(),
        }
    }

    #[test]
    fn it_goes_there_and_back() {
        let (host, state) = (InMemory::with(&["tap0", "tap1"]), State::new());
        let before = host.features("tap0");
        let change = host.change("tap0", &[(CHECKSUM, false)]);
        let mut enforcer = state.enforcer(&host);
        let names = enforcer.names().clone();
        let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
        let ids = ["tap0", "tap1"].map(|dev| host.id(dev)).to_vec();
        let way = Way::Session(&mut session);
        let mut switch = Switch::new(way, names, ids).expect("as it is");
        assert!(!switch.to(Side::Without).expect("it is there"));
        for _ in 0..2 {
            assert!(switch.to(Side::With).expect("there"));
            assert!(!switch.to(Side::With).expect("it is there"));
            switch.look().expect("as asked");
            let along = [("tx-tcp-segmentation".to_owned(), false)];
            assert_eq!(*switch.also(), along.into());
            assert!(switch.to(Side::Without).expect("back"));
            assert_eq!(host.features("tap0"), before);
        }
        switch.tend().expect("it is ours");
        // Of any interface that is measured.
        host.edit("tap1", |tap| tap.features.active = set(&[CHECKSUM]));
        let told = because(switch.look());
        assert!(
            told.contains("rx-gro") && told.contains("of tap1 changed"),
            "{told}"
        );
    }

    #[test]
    fn what_a_guest_undoes_is_seen() {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        let before = host.features("tap0");
        let change = host.change("tap0", &[(GRO, false)]);
        let mut enforcer = state.enforcer(&host);
        let names = enforcer.names().clone();
        let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
        let way = Way::Session(&mut session);
        let ids = vec![host.id("tap0")];
        let mut switch = Switch::new(way, names, ids).expect("as it is");
        switch.to(Side::With).expect("there");
        host.edit("tap0", |tap| tap.features = before);
        let told = because(switch.look());
        assert!(told.starts_with("rx-gro of tap0 changed"), "{told}");
        host.edit("tap0", |tap| tap.dev = "other".into());
        let told = because(switch.look());
        assert!(told.contains("is gone, or is another interface"), "{told}");
    }

    #[test]
    fn what_is_undone_at_once_was_not_there_before() {
        let host = InMemory::with(&["tap0", "tap1"]);
        let names = host.clone().names().expect("names");
        let ids = ["tap0", "tap1"].map(|dev| host.id(dev));
        let before = ["tap0", "tap1"].map(|dev| host.features(dev));
        let off = |bit: usize| {
            let mut request = Request::default();
            request.switch(bit, false);
            request
        };
        let asked = [(ids[1].clone(), off(CHECKSUM))];
        let told = because(undone(&asked, &ids, &before, &names));
        assert_eq!(
            told,
            "tx-checksum-ip-generic of tap1 changed, by its guest or by somebody else"
        );
        host.edit("tap1", |tap| tap.features.wanted = set(&[GRO]));
        let made = ["tap0", "tap1"].map(|dev| host.features(dev));
        assert!(undone(&asked, &ids, &made, &names).is_ok(), "it is there");
    }

    #[test]
    fn somebody_elses_end_is_seen() {
        let (host, state) = (InMemory::with(&["tap0"]), State::new());
        let change = host.change("tap0", &[(GRO, false)]);
        let mut enforcer = state.enforcer(&host);
        let names = enforcer.names().clone();
        let mut session = enforcer.begin(vec![change], &[], None).expect("a session");
        session.roll_back("somebody").expect("taken back");
        let way = Way::Session(&mut session);
        let ids = vec![host.id("tap0")];
        let mut switch = Switch::new(way, names, ids).expect("as it is");
        assert_eq!(because(switch.tend()), "somebody else took it back");
        assert_eq!(because(switch.to(Side::With)), "somebody");
    }

    #[test]
    fn without_a_change_nothing_is_sent() {
        let host = InMemory::with(&["tap0"]);
        let names = host.clone().names().expect("names");
        let ids = vec![host.id("tap0")];
        let way = Way::Nothing(Box::new(host.clone()));
        let mut switch = Switch::new(way, names, ids).expect("as it is");
        assert!(!switch.to(Side::With).expect("there"));
        assert!(!switch.to(Side::Without).expect("back"));
        assert_eq!(host.sent(), []);
        host.edit("tap0", |tap| tap.features.active = set(&[]));
        assert!(switch.look().is_err());
    }
}
