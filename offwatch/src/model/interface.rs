//! One interface of a model.

use std::collections::{BTreeMap, BTreeSet};

use offwatch_common::{ExactSlot, drop_class};
use serde::Serialize;

use super::{
    Caused, Facts, Joined,
    exact::Reasons,
    figures::{Figures, Shown, Sight},
    side::{Side, SideTotals},
};
use crate::sample::{self, Counters, ExactCounters, Kind, Nic, Unavailable};

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
    /// Dropped frames that were dropped for what matters to offloads: the
    /// guest's queue was full (`full_ring`), the frame could not be segmented
    /// or checksummed for the device (`validate_xmit`), a checksum was wrong or
    /// could not be computed (`checksum`), a GSO frame could not be cut (`gso`).
    /// Most drops are none of these.
    pub drops_by_class_total: Option<BTreeMap<&'static str, Option<u64>>>,
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

impl Interface {
    /// What is received and what is sent: a VM's from the guest's side, that of
    /// any other interface from the host's.
    pub fn rx_tx(&self) -> (Option<&Side>, Option<&Side>) {
        match &self.sides {
            Sides::Vm { from_vm, to_vm } => (to_vm.as_ref(), from_vm.as_ref()),
            Sides::Other { rx, tx } => (rx.as_ref(), tx.as_ref()),
        }
    }

    /// Why values of the two directions and of `caused` are missing, each reason
    /// once. That no work is done for frames on their way from a device is no
    /// reason to tell, nor is how work was counted.
    pub fn reasons(&self) -> BTreeSet<&str> {
        let told = self.unavailable.iter().filter(|(path, reason)| {
            let (part, field) = path.split_once('.').unwrap_or((path, ""));
            let counted = ["from_vm", "to_vm", "rx", "tx", "caused"].contains(&part);
            counted && !field.contains('.') && reason.as_str() != WORK_AT_DESTINATION
        });
        told.map(|(_, reason)| reason.as_str()).collect()
    }
}

const WORK_AT_DESTINATION: &str =
    "frames are segmented and checksummed on their way to a device: see caused";

impl Joined {
    /// The interface behind a VM's network card, now and before.
    pub(super) fn of_vm(
        &self,
        nic: &Nic,
        found: Option<&sample::Interface>,
        before: Option<&sample::Interface>,
    ) -> Interface {
        let mut interface = match (&nic.unobservable, found) {
            (None, Some(found)) => self.interface(found, before, true),
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

    /// An interface that belongs to no VM, now and before.
    pub(super) fn other(
        &self,
        found: &sample::Interface,
        before: Option<&sample::Interface>,
    ) -> Interface {
        let mut interface = self.interface(found, before, false);
        interface.unowned = found.kind == Kind::Tap;
        interface.facts = self.facts(found, &mut interface.unavailable);
        interface
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
        let reasons = self.reasons("", true);
        self.explain_caused("unattributed", unattributed, &reasons, &mut unavailable);
        unavailable
    }

    fn reasons<'reason>(
        &'reason self,
        exact: &'reason str,
        known_before: bool,
    ) -> Reasons<'reason> {
        Reasons {
            derived: self.blind.work.unwrap_or("packets are not counted"),
            exact,
            no_rate: self.no_rate(known_before),
        }
    }

    fn facts(&self, found: &sample::Interface, unavailable: &mut Unavailable) -> Facts {
        Facts::of(found, &self.catalogue, &self.sample, unavailable)
    }

    /// Work done on the way to an interface.
    pub(super) fn at_device<'sample>(&self, sight: &Sight<'sample>) -> Figures<'sample> {
        let slot = sight.slot;
        Figures {
            derived: self.derive(&slot.egress_work, slot.egress.drop_packets),
            exact: sight.exact.map(|exact| &exact.to_device),
            hooks: sight.hooks,
        }
    }

    /// Work done for frames that came from it.
    pub(super) fn caused_by<'sample>(&self, sight: &Sight<'sample>) -> Figures<'sample> {
        Figures {
            // Where its frames went, and were dropped, is not known.
            derived: self.derive(&sight.slot.caused_work, 0),
            exact: sight.exact.map(|exact| &exact.caused),
            hooks: sight.hooks,
        }
    }

    fn interface(
        &self,
        found: &sample::Interface,
        before: Option<&sample::Interface>,
        of_vm: bool,
    ) -> Interface {
        let Some(sight) = self.sight(found) else {
            let reason = match &found.counters {
                Counters::Unavailable(reason) => reason,
                Counters::Counted(_) => "",
            };
            return self.uncounted(found, of_vm, reason);
        };
        let slot = sight.slot;
        let before = before.and_then(|before| self.sight_before(before));
        let blind = self.blind;
        let no_exact = match &found.exact {
            ExactCounters::Counted(_) => "",
            ExactCounters::Unavailable(reason) => reason,
        };

        let nothing = Shown::default();
        let ingress = Side::measure(
            SideTotals::of(&slot.ingress, nothing, blind),
            before.map(|before| SideTotals::of(&before.slot.ingress, nothing, blind)),
            self.interval,
            false,
        )
        .with_details(&slot.ingress, nothing, blind)
        .with_interval(
            &slot.ingress,
            before.map(|before| &before.slot.ingress),
            blind,
            false,
        );

        let work = self.at_device(&sight);
        let work_before = before.map(|before| self.at_device(&before));
        let shown_before = before
            .zip(work_before)
            .map(|(before, work)| SideTotals::of(&before.slot.egress, work.shown(), blind));
        let sent = SideTotals::of(&slot.egress, work.shown(), blind);
        let mut egress = Side::measure(sent, shown_before, self.interval, sent.sent_may_fall())
            .with_details(&slot.egress, work.shown(), blind)
            .with_interval(
                &slot.egress,
                before.map(|before| &before.slot.egress),
                blind,
                sent.sent_may_fall(),
            );
        egress.software_work = Some(work.sources(work_before, self.interval));

        let caused = self.caused(
            self.caused_by(&sight),
            before.map(|before| self.caused_by(&before)),
        );

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
        let reasons = self.reasons(no_exact, before.is_some());
        unavailable.insert(
            format!("{}.software_work", names.0),
            WORK_AT_DESTINATION.into(),
        );
        if let Some(work) = &egress.software_work {
            let path = format!("{}.software_work", names.1);
            work.explain(&path, self.hooks(), &reasons, &mut unavailable);
        }
        self.explain_caused("caused", caused.as_ref(), &reasons, &mut unavailable);
        let drops_by_class_total = self.drops(sight.exact, no_exact, &mut unavailable);
        Interface {
            sides: sides(of_vm, Some(ingress), Some(egress)),
            caused,
            drops_by_class_total,
            unavailable,
            ..self.uncounted(found, of_vm, "")
        }
    }

    fn drops(
        &self,
        exact: Option<&ExactSlot>,
        no_exact: &str,
        unavailable: &mut Unavailable,
    ) -> Option<BTreeMap<&'static str, Option<u64>>> {
        const PATH: &str = "drops_by_class_total";
        let reason = self.blind.drops.unwrap_or(no_exact);
        let Some(exact) = exact.filter(|_| self.blind.drops.is_none()) else {
            unavailable.insert(PATH.into(), reason.into());
            return None;
        };
        let classes = drop_class::NAMES.into_iter().zip(exact.drops);
        let known = classes.map(|(name, count)| match self.hooks().unknown_drops.get(name) {
            None => (name, Some(count)),
            Some(reason) => {
                unavailable.insert(format!("{PATH}.{name}"), reason.clone());
                (name, None)
            }
        });
        Some(known.collect())
    }

    /// Everything but the counters.
    fn uncounted(&self, found: &sample::Interface, of_vm: bool, reason: &str) -> Interface {
        Interface {
            dev: Some(found.dev.to_string()),
            ifindex: Some(found.ifindex),
            kind: found.kind.name().into(),
            mac: found.mac.as_deref().map(ToOwned::to_owned),
            master: found.master.map(|master| self.name_of(master).into_owned()),
            mtu_bytes: Some(found.mtu),
            unowned: false,
            sides: sides(of_vm, None, None),
            caused: None,
            facts: Facts::default(),
            drops_by_class_total: None,
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
            drops_by_class_total: None,
            unavailable: all_missing(true, &reason),
        }
    }
}

/// Why a card has no interface that is observed.
pub(crate) fn missing(nic: &Nic) -> String {
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
    [ingress, egress, "caused", "drops_by_class_total"]
        .map(|field| (field.to_owned(), reason.to_owned()))
        .into()
}
