//! What the programs at the kernel's own functions cost a call: they run once a
//! super-frame, not once a segment.

use std::fmt;

use anyhow::Result;
use offwatch::{
    probe::{ExactChoice, Probe, ProbeOptions},
    sample::{Exactness, Hook, Method},
};
use serde::Serialize;

use super::{
    path::{Load, Path, Shape, Wiring},
    pinned,
    stats::{Estimate, median},
};

/// Without the programs, and with each kind of them.
const CHOICES: [ExactChoice; 3] = [
    ExactChoice::Off,
    ExactChoice::Only(Method::Fexit),
    ExactChoice::Only(Method::Kprobe),
];

/// One kind of programs and one kind of call.
#[derive(Debug, Serialize)]
pub struct ExactCost {
    pub(super) method: &'static str,
    pub(super) call: &'static str,
    /// Nanoseconds a frame without the programs: from one tap to the other.
    pub(super) path_ns: f64,
    /// What they add, or why they cannot be had here.
    pub(super) added: Result<Added, String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Added {
    /// Nanoseconds a call.
    pub(super) ns: Estimate,
    /// The whole way, to that without the programs.
    pub(super) path_ratio: Estimate,
}

/// Measures both kinds of calls.
pub fn measure(rounds: usize) -> Result<Vec<ExactCost>> {
    let mut costs = Vec::new();
    for (shape, call) in [
        (Shape::Cut, "a frame cut into 45 segments"),
        (Shape::Super, "a header check"),
    ] {
        let path = Path::new(Load {
            wiring: Wiring::Bridge,
            shape,
        })?;
        costs.extend(pinned(path.ns(), || of(&path, call, rounds))?);
    }
    Ok(costs)
}

fn of(path: &Path, call: &'static str, rounds: usize) -> Result<Vec<ExactCost>> {
    let refused = CHOICES.map(|choice| refusal(path, choice));
    path.sample()?;
    let rounds = (0..rounds)
        .map(|_| round(path))
        .collect::<Result<Vec<_>>>()?;
    let without = |rounds: &[[f64; CHOICES.len()]]| {
        median(&mut rounds.iter().map(|round| round[0]).collect::<Vec<_>>())
    };
    let mut costs = Vec::new();
    for (index, (choice, refused)) in CHOICES.into_iter().zip(refused).enumerate() {
        let ExactChoice::Only(method) = choice else {
            continue;
        };
        let compared = |compare: fn(f64, f64) -> f64| {
            Estimate::of(&rounds, |rounds| {
                let values = rounds.iter().map(|round| compare(round[index], round[0]));
                median(&mut values.collect::<Vec<_>>())
            })
        };
        costs.push(ExactCost {
            method: method.name(),
            call,
            path_ns: without(&rounds),
            added: match refused? {
                None => Ok(Added {
                    ns: compared(|with, without| with - without),
                    path_ratio: compared(|with, without| with / without),
                }),
                Some(reason) => Err(reason),
            },
        });
    }
    Ok(costs)
}

/// Why a choice cannot be had here, if it cannot.
pub(super) fn refusal(path: &Path, choice: ExactChoice) -> Result<Option<String>> {
    let hooks = attach(path, Hook::Tp, choice)?.exact_hooks();
    Ok(match (choice, hooks.segmentation) {
        (ExactChoice::Only(_), Exactness::Unavailable(reason)) => Some(reason),
        _ => None,
    })
}

/// All choices and back again, so that a steady drift is the same for all.
fn round(path: &Path) -> Result<[f64; CHOICES.len()]> {
    let mut sums = [0.0; CHOICES.len()];
    let forth = 0..CHOICES.len();
    for index in forth.clone().chain(forth.rev()) {
        let probe = attach(path, Hook::Tp, CHOICES[index])?;
        // Right after attaching the processor runs code it has just been given.
        path.sample()?;
        sums[index] += path.sample()?;
        drop(probe);
    }
    Ok(sums.map(|sum| sum / 2.0))
}

/// Observes the devices of a way.
pub(super) fn attach(path: &Path, hook: Hook, exact: ExactChoice) -> Result<Probe> {
    let mut probe = Probe::start_with(
        hook,
        ProbeOptions {
            netns: path.ns().inum(),
            exact,
            ..ProbeOptions::default()
        },
    )?;
    for (ifindex, _) in path.observed() {
        probe.observe(*ifindex);
    }
    Ok(probe)
}

impl fmt::Display for ExactCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            call,
            path_ns,
            ..
        } = self;
        write!(f, "  {method:<7} {call:<29} ")?;
        match &self.added {
            Ok(Added { ns, path_ratio }) => write!(
                f,
                "adds {ns:.0} ns to {path_ns:.0} ns from tap to tap: {path_ratio:.3} times"
            ),
            Err(reason) => write!(f, "not measurable here: {reason}"),
        }
    }
}
