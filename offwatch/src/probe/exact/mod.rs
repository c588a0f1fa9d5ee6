//! Programs at the kernel functions that do software work. They are an extra:
//! whatever refuses them, the hooks that count packets are not affected.

mod attach;
mod plan;
mod symbols;

use std::{
    io,
    thread::{self, JoinHandle},
};

use aya::{Btf as LoaderBtf, Ebpf};
use offwatch_common::{
    Counters as _, DropClasses, ExactSlot, ExactWork, FEWEST_EXACT_SLOTS, MAX_SLOTS, function,
};

pub(super) use self::plan::Types;
use self::{plan::Plan, symbols::Symbols};
use super::{Memory, ProbeError, slots::map};
use crate::sample::{ExactHooks, Exactness, Method, Unavailable};

/// Which programs to use at the functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExactChoice {
    /// The first that works at each function: fexit, then kprobe.
    #[default]
    Auto,
    /// Only these.
    Only(Method),
    /// None.
    Off,
}

impl ExactChoice {
    fn methods(self) -> &'static [Method] {
        match self {
            Self::Auto => &[Method::Fexit, Method::Kprobe],
            Self::Only(Method::Fexit) => &[Method::Fexit],
            Self::Only(Method::Kprobe) => &[Method::Kprobe],
            Self::Off => &[],
        }
    }
}

/// A look at the kernel that goes on while other things are done: listing all
/// its symbols takes longer than anything else at the start.
pub(super) struct Survey {
    symbols: JoinHandle<io::Result<Symbols>>,
}

impl Survey {
    pub(super) fn begin() -> Self {
        Self {
            symbols: thread::spawn(plan::symbols),
        }
    }

    /// Waits for its end.
    pub(super) fn end(self, types: &Types, choice: ExactChoice, interfaces: usize) -> Setup {
        let symbols = self.symbols.join();
        let symbols = symbols.unwrap_or_else(|_| Err(io::Error::other("its reader panicked")));
        Setup {
            plan: Plan::new(types, symbols),
            choice,
            slots: slots_for(interfaces),
        }
    }
}

/// What is known of the kernel before the programs are loaded.
pub(super) struct Setup {
    plan: Plan,
    choice: ExactChoice,
    /// Slots of the exact counters.
    pub(super) slots: u32,
}

impl Setup {
    /// Where `validate_xmit_skb` lies, for the programs: each piece's start and end.
    pub(super) fn validate_text(&self) -> [u64; 4] {
        let [(start, end), (cold_start, cold_end)] =
            *self.plan.validate.as_ref().unwrap_or(&[(0, 0); 2]);
        [start, end, cold_start, cold_end]
    }

    /// Drop reasons, for the programs.
    pub(super) fn drop_classes(&self) -> &DropClasses {
        &self.plan.drop_classes
    }
}

/// Twice the interfaces there are: each slot is half a kilobyte, which is much
/// for a host that has few, and little for one that has many.
fn slots_for(interfaces: usize) -> u32 {
    let wanted = u32::try_from(interfaces)
        .unwrap_or(MAX_SLOTS)
        .min(MAX_SLOTS);
    (2 * wanted)
        .next_power_of_two()
        .clamp(FEWEST_EXACT_SLOTS, MAX_SLOTS)
}

/// The attached programs, and what they count for no interface.
pub(super) struct Exact {
    functions: [Exactness; function::COUNT],
    choice: ExactChoice,
    unknown_drops: Unavailable,
    missed: Memory<u64>,
    /// Missed before anything was observed: calls that were under way when the
    /// programs were attached.
    missed_before: Option<u64>,
    counters: Memory<ExactSlot>,
    unattributed_before: ExactSlot,
}

impl Exact {
    /// Attaches to each function what can be attached to it. `can_read` says
    /// whether the programs can read what they need.
    pub(super) fn attach(
        ebpf: &mut Ebpf,
        btf: &LoaderBtf,
        setup: &Setup,
        can_read: bool,
    ) -> Result<Self, ProbeError> {
        let functions = std::array::from_fn(|index| {
            if setup.choice == ExactChoice::Off {
                Exactness::Unavailable("not wanted (--exact off)".into())
            } else if can_read {
                let candidate = &setup.plan.candidates[index];
                attach::attach(ebpf, btf, index, candidate, setup.choice.methods())
            } else {
                Exactness::Unavailable(
                    "lockdown=confidentiality keeps programs from reading gso_size".into(),
                )
            }
        });
        let missed = Memory::map(map(ebpf, "MISSED_CALLS")?, function::COUNT);
        let counters = Memory::map(map(ebpf, "EXACT")?, setup.slots as usize);
        let (missed, counters) = (
            missed.map_err(ProbeError::Map)?,
            counters.map_err(ProbeError::Map)?,
        );
        Ok(Self {
            functions,
            choice: setup.choice,
            unknown_drops: setup.plan.unknown_drops.clone(),
            missed,
            missed_before: None,
            unattributed_before: counters.get(0).unwrap_or_default(),
            counters,
        })
    }

    /// Something is observed from now on.
    pub(super) fn begin(&mut self) {
        self.missed_before
            .get_or_insert_with(|| total(&self.missed));
    }

    /// What is counted exactly, and what is counted for no interface.
    pub(super) fn hooks(&self) -> ExactHooks {
        let [segmentation, checksum, crc32c] = self.functions.clone();
        ExactHooks {
            segmentation,
            checksum,
            crc32c,
            missed_calls: self
                .missed_before
                .map_or(0, |before| total(&self.missed).wrapping_sub(before)),
            unattributed: Box::new(self.unattributed()),
            unknown_drops: self.unknown_drops.clone(),
        }
    }

    /// A note if a method was asked for by name, and a function's calls are not
    /// counted by it.
    pub(super) fn note(&self) -> Option<String> {
        note(self.choice, &self.functions)
    }

    fn unattributed(&self) -> ExactWork {
        let now = self.counters.get(0).unwrap_or_default();
        now.since(&self.unattributed_before).caused
    }
}

fn note(choice: ExactChoice, functions: &[Exactness; function::COUNT]) -> Option<String> {
    let ExactChoice::Only(_) = choice else {
        return None;
    };
    let mut refused = function::NAMES
        .iter()
        .zip(functions)
        .filter_map(|(name, state)| {
            let reason = state.method().err()?;
            Some(format!("calls of {name} are not counted: {reason}"))
        });
    refused.next()
}

fn total(missed: &Memory<u64>) -> u64 {
    (0..function::COUNT as u32)
        .filter_map(|index| missed.load(index))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_asked_for_and_refused_is_noted() {
        let refused = || Exactness::Unavailable("fexit: Permission denied".into());
        let exact = || Exactness::Exact(Method::Fexit);
        let only = ExactChoice::Only(Method::Fexit);
        assert_eq!(note(only, &[exact(), exact(), exact()]), None);
        assert_eq!(
            note(only, &[exact(), refused(), refused()]).as_deref(),
            Some("calls of skb_checksum_help are not counted: fexit: Permission denied")
        );
        let all = [refused(), refused(), refused()];
        assert_eq!(note(ExactChoice::Auto, &all), None);
        assert_eq!(note(ExactChoice::Off, &all), None);
    }

    #[test]
    fn slots_grow_with_the_host() {
        assert_eq!(slots_for(0), FEWEST_EXACT_SLOTS);
        assert_eq!(slots_for(512), 1024);
        assert_eq!(slots_for(513), 2048);
        assert_eq!(slots_for(10_000), MAX_SLOTS);
        assert_eq!(slots_for(usize::MAX), MAX_SLOTS);
    }
}
