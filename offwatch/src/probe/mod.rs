//! The BPF programs: loading, attaching, and reading their counters.
//!
//! Programs and maps are held by file descriptors only, nothing is pinned: when
//! the process ends, however it ends, the kernel takes everything back.

mod attach;
pub mod btf;
mod caps;
mod error;
mod exact;
mod ifindexes;
mod layout;
mod load;
mod log;
mod memory;
mod object;
mod pool;
mod slots;

use std::sync::Arc;

use aya::{Btf as LoaderBtf, Ebpf};
use offwatch_common::{Slot, Work, access};

use self::{
    attach::TcLinks,
    btf::Btf,
    exact::Exact,
    layout::Layout,
    load::{Loaded, Setup},
    memory::Memory,
    slots::Slots,
};
pub use self::{
    caps::{can_change_interfaces, can_read_processes, missing_capabilities},
    error::ProbeError,
    exact::ExactChoice,
    log::BpfLog,
    object::OBJECT,
};
use crate::sample::{Counters, ExactCounters, ExactHooks, Hook, Reads};

/// Programs in the kernel, and the counters they write.
pub struct Probe {
    ebpf: Ebpf,
    hook: Hook,
    access: u32,
    slots: Slots,
    exact: Exact,
    tc: TcLinks,
}

/// How to observe, beside the hook.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeOptions {
    /// Inode number of the network namespace to count in.
    pub netns: u64,
    /// Whether the programs write a record for every packet, which is only for
    /// finding faults.
    pub log: bool,
    /// Programs at the functions that do software work.
    pub exact: ExactChoice,
    /// How many interfaces there are now. Twice as many can have exact counters.
    pub interfaces: usize,
}

/// What the programs have counted for an interface, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// A number that changes when another interface takes over the ifindex; 0
    /// where nothing is counted.
    pub generation: u64,
    /// Where the programs count it; 0 where they do not.
    slot: u32,
    /// Counted since the interface was first seen, or why not.
    pub counters: Counters,
    /// Software work counted where it is done, or why not.
    pub exact: ExactCounters,
}

impl Counted {
    /// Nothing is, because.
    pub fn nothing(reason: &Arc<str>) -> Self {
        Self {
            generation: 0,
            slot: 0,
            counters: Counters::Unavailable(Arc::clone(reason)),
            exact: ExactCounters::Unavailable(Arc::clone(reason)),
        }
    }

    /// The counters, if there are any.
    pub fn slot(&self) -> Option<&Slot> {
        match &self.counters {
            Counters::Counted(slot) => Some(slot),
            Counters::Unavailable(_) => None,
        }
    }

    /// It is the same, and shared where that can be.
    fn is_same(&self, other: &Self) -> bool {
        let counters = match (&self.counters, &other.counters) {
            (Counters::Counted(one), Counters::Counted(other)) => Arc::ptr_eq(one, other),
            (Counters::Unavailable(one), Counters::Unavailable(other)) => one == other,
            _ => false,
        };
        let exact = match (&self.exact, &other.exact) {
            (ExactCounters::Counted(one), ExactCounters::Counted(other)) => Arc::ptr_eq(one, other),
            (ExactCounters::Unavailable(one), ExactCounters::Unavailable(other)) => one == other,
            _ => false,
        };
        self.generation == other.generation && counters && exact
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self::nothing(&"not counted yet".into())
    }
}

impl Probe {
    /// Loads and attaches the programs for one hook, to count in the network
    /// namespace with inode number `netns`.
    pub fn start(hook: Hook, netns: u64) -> Result<Self, ProbeError> {
        Self::start_with(
            hook,
            ProbeOptions {
                netns,
                ..ProbeOptions::default()
            },
        )
    }

    /// As [`Self::start`], with options.
    pub fn start_with(hook: Hook, options: ProbeOptions) -> Result<Self, ProbeError> {
        let missing = missing_capabilities(hook);
        if !missing.is_empty() {
            return Err(ProbeError::NotPermitted { missing });
        }
        let netns = u32::try_from(options.netns).map_err(|_| ProbeError::Netns(options.netns))?;
        let survey = exact::Survey::begin();
        let btf = Btf::of_kernel()?;
        let layout = Layout::from_btf(&btf)?;
        let types = exact::Types::of(&btf);
        drop(btf);
        let loader_btf = LoaderBtf::from_sys_fs().map_err(ProbeError::LoaderBtf)?;
        let setup = Setup {
            hook,
            netns,
            layout,
            exact: survey.end(&types, options.exact, options.interfaces),
            loader_btf,
            log: options.log,
        };
        let Loaded {
            mut ebpf,
            tc,
            access,
        } = setup.load()?;
        let slots = Slots::new(&ebpf, setup.exact.slots)?;
        let can_read = access != access::NONE;
        let exact = Exact::attach(&mut ebpf, &setup.loader_btf, &setup.exact, can_read)?;
        Ok(Self {
            ebpf,
            hook,
            access,
            slots,
            exact,
            tc,
        })
    }

    /// The hook that counts.
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// What of a frame the programs can read.
    pub fn reads(&self) -> Reads {
        if self.access == access::NONE {
            Reads::FieldsOnly
        } else {
            Reads::All
        }
    }

    /// Begins to count an interface. Counting an interface twice changes nothing.
    pub fn observe(&mut self, ifindex: u32) {
        self.exact.begin();
        if self.slots.assign(ifindex) && self.hook == Hook::Tc {
            let attached = self.tc.attach(&mut self.ebpf, ifindex);
            if let Err(reason) = attached {
                self.slots.release(ifindex);
                self.slots.refuse(ifindex, reason);
            }
        }
    }

    /// Stops counting an interface that is gone.
    pub fn forget(&mut self, ifindex: u32) {
        self.slots.release(ifindex);
        self.tc.detach(ifindex);
    }

    /// Whether an interface was refused that might be counted now.
    pub fn has_refused(&self) -> bool {
        self.slots.has_refused()
    }

    /// Whether an interface has counted nothing since `known` was read of it. Where that
    /// is not told so quickly it is false, and [`Self::read`] tells.
    pub fn is(&self, known: &Counted) -> bool {
        self.slots.is(known)
    }

    /// Reads the interface's counters, without a system call. Keeps of `known`,
    /// which was read before, what is the same; false if all is.
    pub fn read(&self, ifindex: u32, known: &mut Counted) -> bool {
        self.slots.read(ifindex, known)
    }

    /// What is counted for the interface now, with its generation, without a
    /// system call; none if it is not counted.
    pub fn slot(&self, ifindex: u32) -> Option<(u64, Slot)> {
        self.slots.slot(ifindex)
    }

    /// What is counted exactly, and the exact counters of no interface.
    pub fn exact_hooks(&self) -> ExactHooks {
        self.exact.hooks()
    }

    /// A note if exact counters were asked for by name and are refused.
    pub fn exact_note(&self) -> Option<String> {
        self.exact.note()
    }

    /// Software work whose source is not known.
    pub fn unattributed(&self) -> Work {
        self.slots.unattributed()
    }

    /// Records written by the programs, if they were loaded to write any.
    pub fn take_log(&mut self) -> Result<BpfLog, ProbeError> {
        BpfLog::new(&mut self.ebpf)
    }
}
