//! What several rules have in common: how much is worth a word, and why frames
//! for an interface were cut.

use offwatch_common::class;

use crate::advise::{
    advice::{Evidence, Unit},
    make,
    price::{Effect, Price, UnitCost},
    rule::Threshold,
    window::{Feature, Port, Window, ratio},
};

/// Segments cut in software for one interface.
pub(super) const CUT_RATE: Threshold = Threshold {
    name: "segments cut",
    value: 5_000.0,
    unit: "per second",
    why: "at 2.5 us a segment, frame included, this is 1.25 % of a CPU: below it nobody would notice",
};
/// Share of the frames for one interface that were cut.
pub(super) const CUT_SHARE: Threshold = Threshold {
    name: "share of frames cut",
    value: 0.10,
    unit: "of frames",
    why: "a slow guest all of whose traffic is cut will be a fast one some day",
};
/// Fewer are no sample.
pub(super) const FEWEST: Threshold = Threshold {
    name: "fewest frames",
    value: 100.0,
    unit: "in the window",
    why: "shares of fewer frames say nothing",
};
/// What is needed to say that segments were cut for an interface.
pub(super) const CUT: &[&Threshold] = &[&CUT_RATE, &CUT_SHARE, &FEWEST];

/// Whether frames for an interface are cut to an extent that matters.
pub(super) fn is_cut(window: &Window<'_>, port: &Port<'_>) -> bool {
    let cut = port.cut();
    window.per_s(cut) >= CUT_RATE.value
        || cut as f64 >= FEWEST.value && ratio(cut, port.to.packets) >= CUT_SHARE.value
}

/// Why frames for an interface were cut: the first cause that alone suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The tap's frames have no virtio header.
    NoVnetHdr,
    /// Scatter-gather is off.
    ScatterGather,
    /// Checksums are off.
    Checksum,
    /// TSO is off.
    Tso,
    /// USO is off.
    Uso,
    /// Fragmentation of UDP, which no device does.
    Ufo,
    /// Segmentation of tunnels is off.
    Tunnel,
    /// SCTP, which taps do not take.
    Sctp,
    /// The limits are lower than the frames are long.
    Limits,
    /// The frames are longer than the default limits.
    BigTcp,
    /// A queueing discipline cuts.
    Shaper,
    /// Frames with equal IP identifications.
    MangleId,
    /// None that is known.
    Unknown,
}

/// `None` if they were not, or their features are not known.
pub(super) fn cause(window: &Window<'_>, port: &Port<'_>) -> Option<Cause> {
    if !is_cut(window, port) {
        return None;
    }
    let features = port.features?;
    let off = |feature| !features.is_on(feature);
    let sources = window.sources(port);
    let sent = |class| sources.is_some_and(|sources| sources.sent(class));
    // What the host itself sent, or what came from elsewhere, is mostly TCP.
    let sent_nothing_else = sources.is_none_or(|sources| {
        let others = [class::USO, class::UFO, class::TUNNEL, class::SCTP];
        !others.iter().any(|class| sources.sent(*class))
    });
    let limits = port.limits();
    let default_size = DEFAULT_SIZE;
    let below = |limit: Option<u32>, default: u32| limit.is_some_and(|limit| limit < default);
    let causes = [
        (
            port.tap().is_some_and(|tap| !tap.vnet_hdr),
            Cause::NoVnetHdr,
        ),
        (off(Feature::ScatterGather), Cause::ScatterGather),
        (
            off(Feature::TxChecksum) && off(Feature::TxChecksumIpv4),
            Cause::Checksum,
        ),
        (
            off(Feature::Tso) && (sent(class::TCP4) || sent_nothing_else),
            Cause::Tso,
        ),
        (off(Feature::Tso6) && sent(class::TCP6), Cause::Tso),
        (off(Feature::Uso) && sent(class::USO), Cause::Uso),
        (sent(class::UFO), Cause::Ufo),
        (
            off(Feature::UdpTunnel) && sent(class::TUNNEL),
            Cause::Tunnel,
        ),
        (sent(class::SCTP) && port.is_tap(), Cause::Sctp),
        (
            limits.is_some_and(|limits| {
                below(limits.gso_max_size_bytes, default_size)
                    || below(limits.gso_ipv4_max_size_bytes, default_size)
                    || below(limits.gso_max_segs, USUAL_SEGS)
            }),
            Cause::Limits,
        ),
        (
            sources.is_some_and(|sources| sources.longest != 0),
            Cause::BigTcp,
        ),
        (has_token_bucket(port), Cause::Shaper),
        (off(Feature::TsoMangleId), Cause::MangleId),
    ];
    let first = causes.into_iter().find(|(holds, _)| *holds);
    Some(first.map_or(Cause::Unknown, |(_, cause)| cause))
}

/// Longest GSO frame that devices take by default, bytes (`GSO_LEGACY_MAX_SIZE`).
pub(super) const DEFAULT_SIZE: u32 = 65_536;
/// A TCP frame of 64 KB has no more segments than this, down to an MSS of 536
/// bytes.
pub(super) const USUAL_SEGS: u32 = 128;

fn has_token_bucket(port: &Port<'_>) -> bool {
    let root = port.device.and_then(|device| device.root_qdisc());
    root.is_some_and(|qdisc| qdisc.kind == "tbf")
}

/// What was cut for an interface, as evidence.
pub(super) fn cut_evidence(window: &Window<'_>, port: &Port<'_>) -> Vec<Evidence> {
    let share = ratio(port.cut(), port.to.packets);
    let mut evidence = vec![
        make::cut(window, port),
        make::counted(
            window,
            "share of the frames received",
            share.min(1.0),
            Unit::Share,
        ),
    ];
    if port.summed() != 0 {
        evidence.push(make::summed(window, port));
    }
    evidence
}

/// What cutting and summing on the way to an interface costs now.
pub(super) fn work_price(window: &Window<'_>, port: &Port<'_>) -> Price {
    let segments = window.per_s(port.cut());
    let sources = window.sources(port);
    let added = sources.map_or(0.95, |sources| sources.added_frames_per_segment());
    Price::new("software work for this interface now", Effect::Saves)
        .part("segments cut", segments, UnitCost::segment(window))
        .part(
            "frames more to hand over",
            segments * added,
            UnitCost::frame(),
        )
        .part(
            "bytes checksummed",
            window.per_s(port.summed()),
            UnitCost::checksum_byte(window),
        )
}

/// Who sent what was cut for an interface, for people; empty where that is not
/// known.
pub(super) fn senders(window: &Window<'_>, port: &Port<'_>) -> String {
    let Some(sources) = window.sources(port) else {
        return String::new();
    };
    let others = sources.ports.iter().map(|index| &window.ports[*index]);
    let others = others.filter(|sender| sender.found.ifindex != port.found.ifindex);
    let names = others.take(2).map(|sender| match window.vm_of(sender) {
        Some(vm) => vm.name.to_owned(),
        None => sender.dev().to_owned(),
    });
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(", for frames from {}", names.join(" and ")),
    }
}
