//! Makes a snapshot of each sample. Pure: it keeps what the samples before told, and
//! has no clock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    advice::Told,
    base::Base,
    enforcement::Enforcement,
    families::FEATURES,
    figures::{self, FeatureBits, features, gso_sizes},
    host,
    labels::Labels,
    names,
    past::{Highest, Past},
    past_vm::{PastVm, Used},
    rank::{self, Ranked},
    snapshot::{Figure, Figures, HostValues, Row, Snapshot, Sums, VmRow},
    vm,
};
use crate::{
    filter::Filter,
    model::Moment,
    rank::Key,
    sample::{Counters, Interface, Kind, Sample},
};

/// What of a host is exported.
pub struct Wanted {
    /// Only these.
    pub filter: Filter,
    /// Only so many interfaces; 0: all.
    pub top: usize,
    /// Those with the most of this.
    pub key: Key,
}

/// Makes snapshots.
pub struct Exporter {
    wanted: Wanted,
    pasts: HashMap<(u32, u64), Past>,
    vms: HashMap<Arc<str>, PastVm>,
    sums: Sums,
    unattributed: Highest,
    /// The sample before, on its monotonic clock.
    before_ns: Option<u64>,
    round: u64,
}

/// What is known of the interfaces of a sample, by their places.
struct Ports {
    /// The VM and the card that each is.
    owners: Vec<Option<(usize, usize)>>,
    /// None where it is not counted.
    figures: Vec<Option<Figures>>,
    /// Those that may be shown.
    shown: Vec<bool>,
    features: FeatureBits,
}

impl Exporter {
    /// Begins without any sample.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            pasts: HashMap::new(),
            vms: HashMap::new(),
            sums: Sums::default(),
            unattributed: Highest::default(),
            before_ns: None,
            round: 0,
        }
    }

    /// What of the host it exports.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The same, for another one.
    pub fn into_wanted(self) -> Wanted {
        self.wanted
    }

    /// The values of the next sample, with what is known of advice and of what is
    /// enforced.
    pub fn advance(
        &mut self,
        sample: &Arc<Sample>,
        advice: Option<&Arc<Told>>,
        enforcement: Option<&mut Enforcement>,
    ) -> Snapshot {
        let before = self.before_ns.replace(sample.monotonic_ns);
        let interval = before.map_or(Duration::ZERO, |before| {
            Duration::from_nanos(sample.monotonic_ns.saturating_sub(before))
        });
        self.round += 1;
        let moment = Moment::of(sample);
        let names = names::names(&sample.vms);
        let used = self.advance_vms(sample, &names);
        let devs = sample.interfaces.iter().map(|found| &*found.dev);
        let by_dev: HashMap<&str, usize> = devs.zip(0..).collect();
        let ports = self.advance_ports(sample, &moment, &used, interval, &by_dev);
        self.forget();

        let mut ranked = self.ranked(sample, &ports);
        let interfaces = ranked.len();
        let left_out = rank::keep(&mut ranked, self.wanted.key, self.wanted.top);
        let mut snapshot = Snapshot::default();
        let mut has_row = vec![false; sample.vms.len()];
        for ranked in &ranked {
            let found = &sample.interfaces[ranked.place];
            let row = self.row(sample, &moment, &names, ranked, &ports, found);
            match ranked.card {
                Some((vm, _)) => {
                    has_row[vm] = true;
                    snapshot.cards.push(row);
                }
                None => snapshot.interfaces.push(row),
            }
        }
        debug_assert_eq!(interfaces, ranked.len() + left_out);
        snapshot.vms = self.vm_rows(sample, &names, &ports, &has_row);
        snapshot.advice = advice.map(|advice| {
            let found = ranked.iter().map(|ranked| &sample.interfaces[ranked.place]);
            let devs = found.map(|found| (&*found.dev, found.ifindex)).collect();
            let vms = snapshot.vms.iter().map(|vm| &*vm.name).collect();
            (Arc::clone(advice), advice.shown(&devs, &vms))
        });
        let unattributed = self.unattributed.raise(moment.unattributed());
        let blind = moment.blind();
        snapshot.host = HostValues {
            info: host::info(&sample.host),
            vms: sample.vms.len() as u64,
            interfaces: ports.owners.len() as u64 - loopbacks(sample),
            left_out: left_out as u64,
            sums: self.sums,
            has_gso: blind.gso.is_none(),
            has_drops: blind.drops.is_none(),
            has_work: has_work(&ports),
            unattributed: (unattributed.segments, unattributed.checksum_bytes),
            cost: host::cost(&moment.cost()),
            sample_unix_ms: Some(sample.time_unix_ms),
            statistics_unix_ms: host::statistics_unix_ms(sample),
            online_cpus: host::online_cpus(&sample.host),
            memory_bytes: host::memory_bytes(&sample.host),
            unavailable: Vec::new(),
            unobservable: host::unobservable(
                sample,
                &names,
                &by_dev,
                &self.wanted.filter,
                self.wanted.top,
            ),
            uncounted: host::uncounted(sample, &ports.owners, &self.wanted.filter, self.wanted.top),
        };
        let no_enforcement = match enforcement {
            Some(enforcement) => {
                snapshot.enforced = enforcement.read(sample, &self.wanted.filter);
                enforcement.unavailable()
            }
            None => None,
        };
        let unseen = snapshot.enforced.as_ref();
        let unseen = unseen.and_then(|enforced| enforced.unseen.as_deref());
        let enforcement = (no_enforcement.as_deref(), unseen);
        snapshot.host.unavailable = host::unavailable(sample, &moment, enforcement);
        snapshot
    }

    /// Takes up what VMs used; what each used since the sample before.
    fn advance_vms(&mut self, sample: &Sample, names: &[Arc<str>]) -> Vec<Used> {
        let round = self.round;
        let vms = sample.vms.iter().zip(names);
        vms.map(|(vm, name)| {
            let past = self.vms.entry(Arc::clone(name)).or_default();
            past.round = round;
            past.advance(vm.stats.as_deref(), (vm.pid, vm.vhost_cpu_ns))
        })
        .collect()
    }

    /// Takes up what was counted of interfaces.
    fn advance_ports(
        &mut self,
        sample: &Sample,
        moment: &Moment,
        used: &[Used],
        interval: Duration,
        by_dev: &HashMap<&str, usize>,
    ) -> Ports {
        let owners = owners(sample, by_dev);
        let is_timed = sample.host.exact.segmentation.method().is_ok();
        let mut ports = Ports {
            figures: Vec::with_capacity(owners.len()),
            shown: Vec::with_capacity(owners.len()),
            owners: Vec::new(),
            features: FEATURES.map(|name| sample.host.feature_names.bit(name)),
        };
        for (found, owner) in sample.interfaces.iter().zip(&owners) {
            let past = self
                .pasts
                .entry((found.ifindex, found.generation))
                .or_default();
            past.round = self.round;
            let vm = owner.map(|(vm, _)| &sample.vms[vm]);
            let is_observable =
                owner.is_none_or(|(vm, card)| sample.vms[vm].nics[card].unobservable.is_none());
            let totals = moment.totals(found).filter(|_| is_observable);
            ports.figures.push(totals.map(|totals| {
                let (figures, counted) =
                    figures::of_interface(moment, &totals, past, found, owner.is_some());
                let grown = past.advance(counted);
                self.sums.add(&grown, owner.is_some());
                let vm = owner
                    .zip(vm)
                    .map(|((at, _), vm)| (&used[at], vm::memory_bytes(vm)));
                let bytes = grown.ingress.bytes + grown.egress.bytes;
                let seconds = interval.as_secs_f64();
                let amount = rank::amount(self.wanted.key, &grown, vm, seconds, is_timed);
                past.rank(amount, bytes as f64, interval);
                figures
            }));
            ports.shown.push(
                found.kind != Kind::Loopback
                    && self
                        .wanted
                        .filter
                        .shows(vm.map(|vm| &*vm.name), Some(&found.dev)),
            );
        }
        ports.owners = owners;
        ports
    }

    /// What is in the sample no more has no past.
    fn forget(&mut self) {
        let round = self.round;
        self.pasts.retain(|_, past| past.round == round);
        self.vms.retain(|_, past| past.round == round);
    }

    /// Interfaces that may be shown.
    fn ranked<'sample>(&self, sample: &'sample Sample, ports: &Ports) -> Vec<Ranked<'sample>> {
        let places = sample.interfaces.iter().zip(&ports.owners).enumerate();
        places
            .filter(|(place, _)| ports.shown[*place])
            .map(|(place, (found, owner))| {
                let vm = owner.map(|(vm, _)| &sample.vms[vm]);
                let past = self.pasts.get(&(found.ifindex, found.generation));
                Ranked {
                    place,
                    card: *owner,
                    vm: vm.map(|vm| &*vm.name),
                    id: vm.and_then(|vm| vm.id),
                    dev: &found.dev,
                    rank: past.map_or(0.0, |past| past.rank),
                    bytes: past.map_or(0.0, |past| past.bytes),
                }
            })
            .collect()
    }

    fn row(
        &mut self,
        sample: &Sample,
        moment: &Moment,
        names: &[Arc<str>],
        ranked: &Ranked<'_>,
        ports: &Ports,
        found: &Interface,
    ) -> Row {
        let nic = ranked.card.map(|(vm, card)| &sample.vms[vm].nics[card]);
        let mut text = Labels::default();
        if let Some((vm, _)) = ranked.card {
            text.push("vm", &names[vm]);
        }
        text.push("dev", &found.dev);
        let mut info = text.clone();
        let hidden = nic.filter(|nic| nic.unobservable.is_some());
        info.push("kind", hidden.map_or(found.kind.name(), |nic| &nic.backend));
        let bridge = found.master.map(|master| moment.name_of(master));
        info.push("bridge", bridge.as_deref().unwrap_or_default());
        match nic {
            Some(nic) => {
                let mac = nic.mac.as_deref().or(found.mac.as_deref());
                info.push("mac", mac.unwrap_or_default());
            }
            None if found.kind == Kind::Tap => info.push("unowned", "true"),
            None => info.push("unowned", "false"),
        }
        let past = self
            .pasts
            .entry((found.ifindex, found.generation))
            .or_default();
        let has_moved = past.labels.are_left_for(text.as_str());
        let (labels, info) = past.labels.like(text.as_str(), info.as_str());
        let mut row = Row {
            labels,
            info,
            figures: ports.figures[ranked.place].unwrap_or_default(),
            ..Row::default()
        };
        if let Some(known) = ports.figures[ranked.place].and_then(|_| moment.totals(found)) {
            row.drops = known.drops;
            let sent = past.sent.of(known.slot);
            let (receive, transmit) = match ranked.card {
                Some(_) => (sent, &known.slot.ingress),
                None => (&known.slot.ingress, sent),
            };
            if moment.blind().gso.is_none() {
                row.receive_gso_sizes = gso_sizes(receive);
                row.transmit_gso_sizes = gso_sizes(transmit);
            }
        }
        (row.features, row.active) = features(&ports.features, found);
        if has_moved {
            past.base = Some(Box::new(Base::of(&row)));
        }
        if let Some(base) = &past.base {
            base.subtract(&mut row);
        }
        row
    }

    /// VMs of which an interface is shown, and those that have none; with `--top`,
    /// not more than that.
    fn vm_rows(
        &mut self,
        sample: &Sample,
        names: &[Arc<str>],
        ports: &Ports,
        has_row: &[bool],
    ) -> Vec<VmRow> {
        let mut has_card = vec![false; sample.vms.len()];
        for (vm, _) in ports.owners.iter().flatten() {
            has_card[*vm] = true;
        }
        let top = match self.wanted.top {
            0 => usize::MAX,
            top => top,
        };
        let mut room = top.saturating_sub(has_row.iter().filter(|has| **has).count());
        let filter = &self.wanted.filter;
        let vms = sample.vms.iter().zip(names).enumerate();
        vms.filter(|(at, (vm, _))| {
            let is_shown = has_row[*at];
            let may_be = !has_card[*at] && !filter.chooses_devices();
            if is_shown || !may_be || room == 0 || !filter.shows(Some(&vm.name), None) {
                return is_shown;
            }
            room -= 1;
            true
        })
        .map(|(_, (vm, name))| {
            let past = self.vms.entry(Arc::clone(name)).or_default();
            vm::row(vm, name, past)
        })
        .collect()
    }
}

/// For each interface, the VM and the card that it is. Two that claim one interface
/// do not have it both.
fn owners(sample: &Sample, by_dev: &HashMap<&str, usize>) -> Vec<Option<(usize, usize)>> {
    let mut owners = vec![None; sample.interfaces.len()];
    for (at, vm) in sample.vms.iter().enumerate() {
        for (card, nic) in vm.nics.iter().enumerate() {
            let place = nic.dev.as_deref().and_then(|dev| by_dev.get(dev));
            if let Some(place) = place {
                let owner: &mut Option<(usize, usize)> = &mut owners[*place];
                owner.get_or_insert((at, card));
            }
        }
    }
    owners
}

/// Whether software work can be seen: segments, and checksummed bytes.
fn has_work(ports: &Ports) -> (bool, bool) {
    let has = |figure| {
        let mut figures = ports.figures.iter().flatten();
        figures.any(|figures| figures.get(figure).is_some())
    };
    (
        has(Figure::SoftwareSegments),
        has(Figure::SoftwareChecksumBytes),
    )
}

fn loopbacks(sample: &Sample) -> u64 {
    let interfaces = sample.interfaces.iter();
    interfaces
        .filter(|found| found.kind == Kind::Loopback)
        .count() as u64
}

/// Why an interface is not counted, if it is not.
pub(super) fn uncounted(found: &Interface) -> Option<&str> {
    match &found.counters {
        Counters::Counted(_) => None,
        Counters::Unavailable(reason) => Some(reason),
    }
}
