//! One interface of a model.

use offwatch_common::{Slot, Work};
use serde::Serialize;

use super::{
    Facts, Joiner,
    side::{Side, SideTotals, metrics},
    work::SoftwareWork,
};
use crate::sample::{self, Counters, Kind, Nic, Unavailable};

/// One network interface: a VM's network card, or another interface of the host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interface {
    /// The host's interface, if there is one.
    pub dev: Option<String>,
    /// Its index.
    pub ifindex: Option<u32>,
    /// `tap`, `bridge`, `physical`, ... or what carries the VM's frames instead.
    pub kind: String,
    /// MAC address: the guest's for a VM's card, else the interface's own.
    pub mac: Option<String>,
    /// Bridge, bond or switch the interface belongs to.
    pub master: Option<String>,
    /// MTU of the interface in bytes.
    pub mtu_bytes: Option<u32>,
    /// A tap that belongs to no known VM.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unowned: bool,
    /// The two directions.
    #[serde(flatten)]
    pub sides: Sides,
    /// Software work done anywhere on the host for frames that came from here.
    pub caused: Option<Caused>,
    /// Its offloads, limits and kernel counters.
    #[serde(flatten)]
    pub facts: Facts,
    /// For each value that is null, why.
    pub unavailable: Unavailable,
}

/// The two directions of an interface, named by who looks at it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Sides {
    /// A VM's card.
    Vm {
        /// What the guest sent.
        from_vm: Option<Side>,
        /// What the guest received.
        to_vm: Option<Side>,
    },
    /// Any other interface, from the host's side.
    Other {
        /// What the host received from the interface.
        rx: Option<Side>,
        /// What the host sent to it.
        tx: Option<Side>,
    },
}

impl Sides {
    /// What the host received from the interface: what a guest sent.
    pub fn ingress(&self) -> Option<&Side> {
        match self {
            Self::Vm { from_vm: side, .. } | Self::Other { rx: side, .. } => side.as_ref(),
        }
    }

    /// What the host sent to the interface: what a guest received.
    pub fn egress(&self) -> Option<&Side> {
        match self {
            Self::Vm { to_vm: side, .. } | Self::Other { tx: side, .. } => side.as_ref(),
        }
    }
}

metrics! {
    /// Software work charged to the interface its frames came from.
    Caused, CausedTotals {
        /// Segments cut in software.
        software_segments_total / software_segments_per_s,
        /// Bytes checksummed in software.
        software_checksum_bytes_total / software_checksum_bytes_per_s,
    }
    /// The figures are lower bounds.
    software_work_approximate: bool,
}

impl CausedTotals {
    fn of(work: SoftwareWork) -> Self {
        Self {
            software_segments_total: Some(work.segments),
            software_checksum_bytes_total: Some(work.checksum_bytes),
        }
    }
}

const WORK_AT_DESTINATION: &str =
    "frames are segmented and checksummed on their way to a device: see caused";

impl Joiner<'_> {
    /// The interface behind a VM's network card.
    pub(super) fn of_vm(&self, nic: &Nic, found: Option<&sample::Interface>) -> Interface {
        let mut interface = match (&nic.unobservable, found) {
            (None, Some(found)) => self.interface(found, true),
            (Some(reason), found) => Self::unobservable(nic, found, reason.clone()),
            (None, None) => Self::unobservable(nic, None, missing(nic)),
        };
        let unavailable = &mut interface.unavailable;
        interface.facts = match found {
            Some(found) => self.facts(found, unavailable),
            None => {
                let reason = nic.unobservable.clone();
                Facts::missing(&reason.unwrap_or_else(|| missing(nic)), unavailable)
            }
        };
        if nic.mac.is_some() {
            interface.mac.clone_from(&nic.mac);
        }
        interface
    }

    /// An interface that belongs to no VM.
    pub(super) fn other(&self, found: &sample::Interface) -> Interface {
        let mut interface = self.interface(found, false);
        interface.unowned = found.kind == Kind::Tap;
        interface.facts = self.facts(found, &mut interface.unavailable);
        interface
    }

    /// Work whose source is not known.
    pub(super) fn unattributed(&self, now: Option<&Work>, before: Option<&Work>) -> Option<Caused> {
        if self.blind.work.is_some() {
            return None;
        }
        let done = SoftwareWork::derive(now?, 0);
        let before = before.map(|work| CausedTotals::of(SoftwareWork::derive(work, 0)));
        let mut caused = Caused::measure(CausedTotals::of(done), before, self.interval);
        caused.software_work_approximate = done.approximate;
        Some(caused)
    }

    /// Why there are totals without rates.
    pub(super) fn no_rate(&self, known_before: bool) -> &'static str {
        match (self.no_interval, known_before) {
            (Some(reason), _) => reason,
            (None, false) => "first sample of this interface",
            (None, true) => "the counter went backwards",
        }
    }

    /// For each value of the host that is null, why.
    pub(super) fn host_unavailable(&self, unattributed: Option<&Caused>) -> Unavailable {
        let mut unavailable = Unavailable::new();
        match (unattributed, self.blind.work) {
            (Some(work), _) => {
                let no_rate = self.no_rate(true);
                work.explain("unattributed", |_| String::new(), no_rate, &mut unavailable);
            }
            (None, reason) => {
                let reason = reason.unwrap_or("packets are not counted");
                unavailable.insert("unattributed".into(), reason.into());
            }
        }
        unavailable
    }

    fn facts(&self, found: &sample::Interface, unavailable: &mut Unavailable) -> Facts {
        Facts::of(found, &self.catalogue, self.now_ns, unavailable)
    }

    fn interface(&self, found: &sample::Interface, of_vm: bool) -> Interface {
        let slot = match &found.counters {
            Counters::Counted(slot) => slot,
            Counters::Unavailable(reason) => {
                return self.uncounted(found, of_vm, reason);
            }
        };
        let before = self.before.get(&found.key()).copied();
        let blind = self.blind;
        let derive = |work: &Work, drops| {
            let seen = blind.work.is_none();
            seen.then(|| SoftwareWork::derive(work, drops))
        };
        let egress_work = |slot: &Slot| derive(&slot.egress_work, slot.egress.drop_packets);
        // Where its frames went, and were dropped, is not known.
        let caused_work = |slot: &Slot| derive(&slot.caused_work, 0);

        let ingress = Side::measure(
            SideTotals::of(&slot.ingress, None, blind),
            before.map(|slot| SideTotals::of(&slot.ingress, None, blind)),
            self.interval,
        )
        .with_details(&slot.ingress, None, blind);
        let egress = Side::measure(
            SideTotals::of(&slot.egress, egress_work(slot), blind),
            before.map(|slot| SideTotals::of(&slot.egress, egress_work(slot), blind)),
            self.interval,
        )
        .with_details(&slot.egress, egress_work(slot), blind);
        let caused = caused_work(slot).map(|now| {
            let before = before.and_then(caused_work).map(CausedTotals::of);
            let mut caused = Caused::measure(CausedTotals::of(now), before, self.interval);
            caused.software_work_approximate = now.approximate;
            caused
        });

        let names = side_names(of_vm);
        let mut unavailable = Unavailable::new();
        let no_rate = self.no_rate(before.is_some());
        ingress.explain_all(
            names.0,
            blind,
            WORK_AT_DESTINATION,
            no_rate,
            &mut unavailable,
        );
        egress.explain_all(names.1, blind, "", no_rate, &mut unavailable);
        match &caused {
            Some(caused) => caused.explain("caused", |_| String::new(), no_rate, &mut unavailable),
            None => {
                unavailable.insert("caused".into(), blind.work.unwrap_or_default().into());
            }
        }
        Interface {
            sides: sides(of_vm, Some(ingress), Some(egress)),
            caused,
            unavailable,
            ..self.uncounted(found, of_vm, "")
        }
    }

    /// Everything but the counters.
    fn uncounted(&self, found: &sample::Interface, of_vm: bool, reason: &str) -> Interface {
        Interface {
            dev: Some(found.dev.clone()),
            ifindex: Some(found.ifindex),
            kind: found.kind.name().into(),
            mac: found.mac.clone(),
            master: found.master.map(|master| match self.names.get(&master) {
                Some(name) => (*name).to_owned(),
                None => format!("ifindex {master}"),
            }),
            mtu_bytes: Some(found.mtu),
            unowned: false,
            sides: sides(of_vm, None, None),
            caused: None,
            facts: Facts::default(),
            unavailable: all_missing(of_vm, reason),
        }
    }

    fn unobservable(nic: &Nic, found: Option<&sample::Interface>, reason: String) -> Interface {
        Interface {
            dev: nic.dev.clone(),
            ifindex: found.map(|found| found.ifindex),
            kind: nic.backend.clone(),
            mac: None,
            master: None,
            mtu_bytes: found.map(|found| found.mtu),
            unowned: false,
            sides: sides(true, None, None),
            caused: None,
            facts: Facts::default(),
            unavailable: all_missing(true, &reason),
        }
    }
}

fn missing(nic: &Nic) -> String {
    match &nic.dev {
        Some(dev) => format!("{dev} is not in the observed network namespace"),
        None => "the VM has no interface on this host now".into(),
    }
}

fn side_names(of_vm: bool) -> (&'static str, &'static str) {
    if of_vm {
        ("from_vm", "to_vm")
    } else {
        ("rx", "tx")
    }
}

fn sides(of_vm: bool, ingress: Option<Side>, egress: Option<Side>) -> Sides {
    if of_vm {
        Sides::Vm {
            from_vm: ingress,
            to_vm: egress,
        }
    } else {
        Sides::Other {
            rx: ingress,
            tx: egress,
        }
    }
}

fn all_missing(of_vm: bool, reason: &str) -> Unavailable {
    let (ingress, egress) = side_names(of_vm);
    [ingress, egress, "caused"]
        .map(|field| (field.to_owned(), reason.to_owned()))
        .into()
}
