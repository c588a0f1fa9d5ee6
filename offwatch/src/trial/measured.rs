//! Makes a period of what was read at its ends. Pure.

use super::{
    gauge::{Counts, Moment, fact},
    guard::Rate,
    period::{Cpu, Period, Side, Way},
};
use crate::{
    advise::window::Work,
    measure::{VmCpu, Window, capture::Captured, tcp::TcpCount},
    sample::offloads::Fact,
};

/// What both ways carried between two moments, of all interfaces.
#[derive(Clone, Debug)]
struct Carried {
    seconds: f64,
    received: Way,
    sent: Way,
}

impl Carried {
    fn between(earlier: &Counts, later: &Counts) -> Result<Self, String> {
        let passed = later.monotonic_ns.saturating_sub(earlier.monotonic_ns);
        let mut carried = Self {
            seconds: passed as f64 / 1e9,
            received: none(),
            sent: none(),
        };
        for (ifindex, now) in &later.counters {
            let before = earlier.counters.get(ifindex).and_then(Fact::known);
            let (Fact::Known(now), Some(before)) = (now, before) else {
                return Err(now.reason().unwrap_or("its counters are new").to_owned());
            };
            let captured = captured(earlier.captured.get(ifindex), later.captured.get(ifindex));
            let (ingress, egress) = match captured {
                Ok((ingress, egress)) => (Fact::Known(ingress), Fact::Known(egress)),
                Err(reason) => (Fact::unavailable(reason.clone()), Fact::unavailable(reason)),
            };
            let grown = |now: u64, before: u64| {
                let grown = now.checked_sub(before);
                grown.ok_or("its counters were set back")
            };
            let to_guest = &mut carried.received;
            let packets = grown(now.tx_packets, before.tx_packets)?;
            add(
                to_guest,
                packets,
                grown(now.tx_bytes, before.tx_bytes)?,
                egress,
            );
            let from_guest = &mut carried.sent;
            let packets = grown(now.rx_packets, before.rx_packets)?;
            add(
                from_guest,
                packets,
                grown(now.rx_bytes, before.rx_bytes)?,
                ingress,
            );
        }
        Ok(carried)
    }
}

/// The rate between two moments, if time has passed.
pub fn rate(earlier: &Counts, later: &Counts) -> Option<Rate> {
    let carried = Carried::between(earlier, later).ok()?;
    let per_s = |bytes: u64| bytes as f64 / carried.seconds;
    let (received, sent) = (&carried.received, &carried.sent);
    let goodput = received
        .goodput_bytes
        .known()
        .zip(sent.goodput_bytes.known());
    (carried.seconds > 0.0).then(|| Rate {
        bytes_per_s: per_s(received.bytes + sent.bytes),
        goodput_per_s: goodput.map(|(received, sent)| per_s(received + sent)),
    })
}

/// What was measured between two moments; or why nothing was.
pub fn period(
    (round, side): (u32, Side),
    earlier: &Moment,
    later: &Moment,
) -> Result<Period, String> {
    let carried = Carried::between(&earlier.counts, &later.counts)?;
    let window = Window::between(&earlier.reading, &later.reading);
    let mut period = Period {
        round,
        side,
        seconds: carried.seconds,
        received: carried.received,
        sent: carried.sent,
        software_segments: Fact::Known(0),
        checksum_bytes: Fact::Known(0),
        checksum_drops: Fact::Known(0),
        cpu: cpu(earlier, later),
    };
    for ifindex in later.counts.counters.keys() {
        let unknown = |reason: &str| Fact::<u64>::unavailable(reason.to_owned());
        match window.interfaces.get(ifindex) {
            Some(Fact::Known(figures)) => {
                if figures.features_changed.known().is_some_and(|it| *it > 0) {
                    return Err(format!(
                        "features of {} were changed by its guest, or by somebody else",
                        figures.dev
                    ));
                }
                sum(&mut period.received.drops, figures.egress.drops.clone());
                sum(&mut period.sent.drops, figures.ingress.drops.clone());
                sum(&mut period.checksum_drops, figures.checksum_drops.clone());
                let work = |of: fn(&Work) -> u64| match &figures.work {
                    Some(work) => Fact::Known(of(work)),
                    None => unknown("software work cannot be seen"),
                };
                sum(&mut period.software_segments, work(|work| work.segments));
                sum(&mut period.checksum_bytes, work(|work| work.checksum_bytes));
            }
            other => {
                let reason = other.and_then(Fact::reason).unwrap_or("it is gone");
                for figure in [
                    &mut period.received.drops,
                    &mut period.sent.drops,
                    &mut period.checksum_drops,
                    &mut period.software_segments,
                    &mut period.checksum_bytes,
                ] {
                    sum(figure, unknown(reason));
                }
            }
        }
    }
    Ok(period)
}

fn cpu(earlier: &Moment, later: &Moment) -> Cpu {
    let vm = match (&later.vm, &earlier.vm) {
        (Fact::Known(now), Fact::Known(before)) => now.since(before),
        (Fact::Unavailable(reason), _) | (_, Fact::Unavailable(reason)) => VmCpu {
            vm_ns: Fact::Unavailable(reason.clone()),
            vcpus_ns: Fact::Unavailable(reason.clone()),
            vhost_ns: Fact::Unavailable(reason.clone()),
        },
    };
    let (host_ns, softirq_ns) = match (&later.host, &earlier.host) {
        (Fact::Known(now), Fact::Known(before)) => {
            let times = now.times.since(&before.times);
            // What measures is no cost of the change: it looks at each frame.
            let own = later.own.saturating_sub(earlier.own).as_nanos();
            let own = u64::try_from(own).unwrap_or(u64::MAX);
            let busy = now.busy_ns_since(before);
            (
                fact(busy.map(|busy| busy.saturating_sub(own))),
                Fact::Known(times.softirq_ns),
            )
        }
        (Fact::Unavailable(reason), _) | (_, Fact::Unavailable(reason)) => (
            Fact::Unavailable(reason.clone()),
            Fact::Unavailable(reason.clone()),
        ),
    };
    Cpu {
        host_ns,
        softirq_ns,
        vcpu_ns: vm.vcpu_ns(),
        vm_ns: vm.vm_ns,
        vhost_ns: vm.vhost_ns,
    }
}

/// Nothing yet.
fn none() -> Way {
    Way {
        goodput_bytes: Fact::Known(0),
        drops: Fact::Known(0),
        tcp_segments: Fact::Known(0),
        retransmitted_segments: Fact::Known(0),
        ..Way::default()
    }
}

fn add(way: &mut Way, packets: u64, bytes: u64, tcp: Fact<TcpCount>) {
    way.packets += packets;
    way.bytes += bytes;
    let of = |figure: fn(&TcpCount) -> u64| match &tcp {
        Fact::Known(tcp) => Fact::Known(figure(tcp)),
        Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
    };
    let goodput = match &tcp {
        Fact::Known(tcp) => Fact::Known(tcp.goodput_bytes() + other_payload(packets, bytes, tcp)),
        Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
    };
    sum(&mut way.goodput_bytes, goodput);
    sum(&mut way.tcp_segments, of(|tcp| tcp.segments));
    sum(
        &mut way.retransmitted_segments,
        of(|tcp| tcp.again_segments),
    );
}

/// Payload of what is not TCP, which is not sent again by anything that could be seen: its
/// frames less the headers of UDP, as each datagram that is cut from a larger one has its
/// own.
fn other_payload(packets: u64, bytes: u64, tcp: &TcpCount) -> u64 {
    const UDP: u64 = 14 + 20 + 8;
    /// With timestamps.
    const TCP: u64 = 14 + 20 + 32;
    let frames = packets.saturating_sub(tcp.frames);
    let rest = bytes.saturating_sub(tcp.frame_bytes);
    // Frames that GRO merged before they were captured, and whose headers the driver
    // counted.
    if rest <= frames * TCP && rest <= tcp.frame_bytes {
        return 0;
    }
    rest.saturating_sub(frames * UDP)
}

/// Known if both are.
fn sum(total: &mut Fact<u64>, more: Fact<u64>) {
    *total = match (&*total, more) {
        (Fact::Known(total), Fact::Known(more)) => Fact::Known(total + more),
        (Fact::Unavailable(reason), _) => Fact::Unavailable(reason.clone()),
        (_, unavailable) => unavailable,
    };
}

/// TCP from and to an interface in between.
fn captured(
    earlier: Option<&Fact<Captured>>,
    later: Option<&Fact<Captured>>,
) -> Result<(TcpCount, TcpCount), String> {
    let of = |captured: Option<&Fact<Captured>>| match captured {
        Some(Fact::Known(captured)) => Ok(captured.clone()),
        Some(Fact::Unavailable(reason)) => Err(reason.to_string()),
        None => Err("it is not captured".to_owned()),
    };
    let (now, before) = (of(later)?, of(earlier)?);
    match now.lost_frames.saturating_sub(before.lost_frames) {
        0 => Ok((
            now.ingress.since(&before.ingress),
            now.egress.since(&before.egress),
        )),
        lost => Err(format!("the capture lost {lost} frames")),
    }
}

#[cfg(test)]
mod tests;
