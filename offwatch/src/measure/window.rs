//! What two readings tell of the time between them. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Serialize;

use super::{capture::Captured, cpu::CpuTimes, reading::Reading, tcp::TcpCount};
use crate::{
    advise::{self, window::Work},
    sample::{
        self, Sample, Vm,
        offloads::{Fact, KernelCounters},
    },
};

/// A window of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Its length.
    pub seconds: f64,
    /// What was measured of each interface that existed all the time, by ifindex; or
    /// why nothing was.
    pub interfaces: BTreeMap<u32, Fact<Figures>>,
    /// VMs.
    pub vms: BTreeMap<String, VmFigures>,
    /// CPU time of the host.
    pub cpu: Fact<CpuTimes>,
    /// Payload of each connection that was captured at an interface, by ifindex.
    pub flows: HashMap<u32, HashMap<u64, u64>>,
}

/// What an interface carried in a window. Directions are the host's: *ingress* of a
/// tap is what the guest sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Its name.
    pub dev: Arc<str>,
    /// The VM it belongs to, if one is known.
    pub vm: Option<String>,
    /// Received from it.
    pub ingress: Way,
    /// Sent to it.
    pub egress: Way,
    /// Frames that were dropped for a checksum.
    pub checksum_drops: Fact<u64>,
    /// Software work on the way to it.
    pub work: Option<Work>,
    /// How often its active features changed.
    pub features_changed: Fact<u64>,
}

/// One direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// Frames; a GSO frame is one.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that were dropped, by the driver's count or by that of the kernel's
    /// tracepoint, whichever is more: what one of them counts the other may not.
    pub drops: Fact<u64>,
    /// Its TCP, where that is captured.
    pub tcp: Fact<TcpCount>,
}

/// What a VM used in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VmFigures {
    /// CPU time of its process, virtual CPUs included, nanoseconds. vhost's threads
    /// are part of it where they belong to the process (Linux 6.4).
    pub cpu_ns: Fact<u64>,
    /// CPU time of its vhost threads, nanoseconds.
    pub vhost_ns: Fact<u64>,
    /// Bytes of all its interfaces, both ways.
    pub bytes: u64,
}

impl Figures {
    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.ingress.bytes + self.egress.bytes
    }

    /// Frames both ways.
    pub fn packets(&self) -> u64 {
        self.ingress.packets + self.egress.packets
    }
}

impl Window {
    /// The time between two readings of one [`super::Meter`].
    pub fn between(earlier: &Reading, later: &Reading) -> Self {
        let (before, now) = (&*earlier.sample, &*later.sample);
        let told = advise::Window::new(before, now);
        let joined: HashMap<(u32, u64), &sample::Interface> = before
            .interfaces
            .iter()
            .map(|found| ((found.ifindex, found.generation), &**found))
            .collect();
        let mut window = Self {
            seconds: told.seconds,
            cpu: match (&later.cpu, &earlier.cpu) {
                (Ok(now), Ok(before)) => Fact::Known(now.since(before)),
                (Err(reason), _) | (_, Err(reason)) => Fact::unavailable(reason.clone()),
            },
            ..Self::default()
        };
        for port in &told.ports {
            let ifindex = port.found.ifindex;
            let key = (ifindex, port.found.generation);
            let figures = match joined.get(&key) {
                None => Fact::unavailable("it was made within the window"),
                Some(before) => figures(&told, port, before, earlier, later),
            };
            if let Fact::Known(captures) = captured(ifindex, earlier, later) {
                window.flows.insert(ifindex, captures.flows);
            }
            if let (Fact::Known(figures), Some(vm)) = (&figures, told.vm_of(port)) {
                window.vms.entry(vm.name.to_owned()).or_default().bytes += figures.bytes();
            }
            window.interfaces.insert(ifindex, figures);
        }
        for vm in &now.vms {
            let of = window.vms.entry(vm.name.to_string()).or_default();
            of.cpu_ns = process_cpu(vm, before);
            of.vhost_ns = vhost_cpu(vm, before);
        }
        window
    }
}

fn figures(
    told: &advise::Window<'_>,
    port: &advise::window::Port<'_>,
    before: &sample::Interface,
    earlier: &Reading,
    later: &Reading,
) -> Fact<Figures> {
    let kernel = kernel(&port.found.kernel, &before.kernel);
    let counted = port.uncounted.is_none();
    let sees_drops = counted && told.host.blind.drops.is_none();
    let way = |kernel: Option<(u64, u64, u64)>, flow: &advise::window::Flow, tcp| {
        let (packets, bytes) = match kernel {
            Some((packets, bytes, _)) => (packets, bytes),
            None => (flow.packets, flow.bytes),
        };
        let drops = [
            kernel.map(|(_, _, drops)| drops),
            sees_drops.then_some(flow.drops),
        ];
        Way {
            packets,
            bytes,
            drops: match drops.into_iter().flatten().max() {
                Some(drops) => Fact::Known(drops),
                None => Fact::unavailable("neither the driver nor a tracepoint counts them"),
            },
            tcp,
        }
    };
    if let (Err(reason), Some(uncounted)) = (&kernel, &port.uncounted) {
        return Fact::unavailable(format!("{reason}; {uncounted}"));
    }
    let kernel = kernel.ok();
    let (ingress, egress) = match captured(port.found.ifindex, earlier, later) {
        Fact::Known(captures) => (Fact::Known(captures.ingress), Fact::Known(captures.egress)),
        Fact::Unavailable(reason) => (Fact::Unavailable(reason.clone()), Fact::Unavailable(reason)),
    };
    Fact::Known(Figures {
        dev: Arc::clone(&port.found.dev),
        vm: told.vm_of(port).map(|vm| vm.name.to_owned()),
        ingress: way(
            kernel.map(|kernel| (kernel.rx_packets, kernel.rx_bytes, kernel.rx_dropped)),
            &port.from,
            ingress,
        ),
        egress: way(
            kernel.map(|kernel| (kernel.tx_packets, kernel.tx_bytes, kernel.tx_dropped)),
            &port.to,
            egress,
        ),
        checksum_drops: match port.drops.checksum {
            Some(drops) => Fact::Known(drops),
            None => Fact::unavailable("this kernel does not tell what frames are dropped for"),
        },
        work: port.work,
        features_changed: match port.features_changed {
            Some(changes) => Fact::Known(changes),
            None => Fact::unavailable("the kernel does not tell when features change"),
        },
    })
}

/// What the kernel counted in between.
fn kernel(
    now: &Fact<KernelCounters>,
    before: &Fact<KernelCounters>,
) -> Result<KernelCounters, Cow<'static, str>> {
    let (now, before) = match (now, before) {
        (Fact::Known(now), Fact::Known(before)) => (now, before),
        (Fact::Unavailable(reason), _) | (_, Fact::Unavailable(reason)) => {
            return Err(reason.clone());
        }
    };
    if now.monotonic_ns <= before.monotonic_ns {
        return Err("the kernel's counters were not read again".into());
    }
    let grown = |now: u64, before: u64| now.saturating_sub(before);
    Ok(KernelCounters {
        monotonic_ns: now.monotonic_ns - before.monotonic_ns,
        rx_packets: grown(now.rx_packets, before.rx_packets),
        rx_bytes: grown(now.rx_bytes, before.rx_bytes),
        rx_dropped: grown(now.rx_dropped, before.rx_dropped),
        tx_packets: grown(now.tx_packets, before.tx_packets),
        tx_bytes: grown(now.tx_bytes, before.tx_bytes),
        tx_dropped: grown(now.tx_dropped, before.tx_dropped),
        ..KernelCounters::default()
    })
}

struct Captures {
    ingress: TcpCount,
    egress: TcpCount,
    flows: HashMap<u64, u64>,
}

fn captured(ifindex: u32, earlier: &Reading, later: &Reading) -> Fact<Captures> {
    let of = |reading: &Reading| -> Result<Captured, Cow<'static, str>> {
        match reading.captured.get(&ifindex) {
            Some(Ok(captured)) => Ok(captured.clone()),
            Some(Err(reason)) => Err(reason.to_string().into()),
            None => Err("it is not captured".into()),
        }
    };
    let (now, before) = match (of(later), of(earlier)) {
        (Ok(now), Ok(before)) => (now, before),
        (Err(reason), _) | (_, Err(reason)) => return Fact::Unavailable(reason),
    };
    let lost = now.lost_frames.saturating_sub(before.lost_frames);
    if lost > 0 {
        return Fact::unavailable(format!("the capture lost {lost} frames"));
    }
    let flows = now.flows.into_iter().filter_map(|(flow, bytes)| {
        let before = before.flows.get(&flow).copied().unwrap_or_default();
        let grown = bytes.saturating_sub(before);
        (grown > 0).then_some((flow, grown))
    });
    Fact::Known(Captures {
        ingress: now.ingress.since(&before.ingress),
        egress: now.egress.since(&before.egress),
        flows: flows.collect(),
    })
}

fn process_cpu(vm: &Vm, before: &Sample) -> Fact<u64> {
    let earlier = before.vms.iter().find(|earlier| match &vm.uuid {
        Some(uuid) => earlier.uuid.as_ref() == Some(uuid),
        None => earlier.pid == vm.pid && earlier.name == vm.name,
    });
    let (Some(now), Some(earlier)) = (&vm.stats, earlier.and_then(|vm| vm.stats.as_ref())) else {
        return Fact::unavailable("what the VM uses is not known");
    };
    if now.start != earlier.start {
        return Fact::unavailable("the VM was started within the window");
    }
    if now.monotonic_ns <= earlier.monotonic_ns {
        return Fact::unavailable("there is no newer answer of what the VM uses");
    }
    let grown = (now.cpu_time_ns.zip(earlier.cpu_time_ns))
        .and_then(|(now, earlier)| now.checked_sub(earlier));
    match grown {
        Some(grown) => Fact::Known(grown),
        None => Fact::unavailable("the CPU time of the VM is not known"),
    }
}

fn vhost_cpu(vm: &Vm, before: &Sample) -> Fact<u64> {
    let mut earlier = before.vms.iter().filter(|earlier| earlier.pid == vm.pid);
    let total = |vm: &Vm| vm.pid.and(vm.vhost_cpu_ns);
    let grown = total(vm)
        .zip(earlier.next().and_then(total))
        .and_then(|(now, earlier)| now.checked_sub(earlier));
    match grown {
        Some(grown) => Fact::Known(grown),
        None => Fact::unavailable("vhost threads of the VM cannot be seen, or have changed"),
    }
}

#[cfg(test)]
mod tests;
