//! What several rules have in common: how much is worth a word, and why frames
//! for an interface were cut.

use offwatch_common::class;

use crate::advise::{
    advice::{Evidence, Unit},
    forecast, make,
    price::{Effect, Price},
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
    let is_unknown = sources.is_none_or(|sources| sources.classes.iter().all(|count| *count == 0));
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
            off(Feature::Tso) && (sent(class::TCP4) || is_unknown),
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
        // Of frames whose sender is not known beside others whose is.
        (off(Feature::Tso), Cause::Tso),
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
    let now = forecast::now(window, port);
    now.price(
        window,
        window.carrier(port),
        "software work for this interface now",
        Effect::Saves,
    )
}

/// Who sent what was cut for an interface, for people; empty where that is not
/// known.
pub(super) fn senders(window: &Window<'_>, port: &Port<'_>) -> String {
    let sources = window.sources(port).into_iter();
    let others = sources.flat_map(|sources| &sources.ports);
    let others = others
        .map(|index| &window.ports[*index])
        .filter(|sender| sender.found.ifindex != port.found.ifindex);
    let names = others.take(2).map(|sender| match window.vm_of(sender) {
        Some(vm) => vm.name.to_owned(),
        None => sender.dev().to_owned(),
    });
    let mut names: Vec<String> = names.collect();
    // What is routed or comes out of a tunnel is not told from the host's own.
    if names.is_empty()
        && window
            .host
            .unattributed_cut
            .is_some_and(|cut| cut >= port.cut() / 2)
    {
        names.push("the host itself or an unknown source".into());
    }
    match names.is_empty() {
        true => String::new(),
        false => format!(", for frames from {}", names.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    /// Why frames are cut for a tap without some features, if another guest
    /// sends such frames.
    fn why(off: &[Feature], class: usize) -> Option<Cause> {
        let sender = Made::tap("vnet0", 7).vm("web").master(3);
        let tap = Made::tap("vnet1", 8).vm("db").master(3).off(off);
        let (before, after) = Scene::default()
            .with(
                sender
                    .from(Frames::tcp(2_000, 40).class(class))
                    .caused(80_000),
            )
            .with(tap.to(Frames::plain(80_000, 1_514)).cut(80_000))
            .samples();
        let window = Window::new(&before, &after);
        cause(&window, window.port(8)?)
    }

    #[test]
    fn a_cause_fits_what_was_sent() {
        let (v4, v6) = ([Feature::Tso], [Feature::Tso6]);
        let cases: [(&[Feature], usize, Cause); 9] = [
            (&v4, class::TCP4, Cause::Tso),
            (&v6, class::TCP6, Cause::Tso),
            (&v6, class::TCP4, Cause::MangleId),
            (&[Feature::Uso], class::USO, Cause::Uso),
            (&[], class::UFO, Cause::Ufo),
            (&[Feature::UdpTunnel], class::TUNNEL, Cause::Tunnel),
            (&[], class::SCTP, Cause::Sctp),
            (&[], class::TCP4, Cause::MangleId),
            (
                &[Feature::ScatterGather, Feature::Tso],
                class::TCP4,
                Cause::ScatterGather,
            ),
        ];
        for (off, class, expected) in cases {
            assert_eq!(why(off, class), Some(expected), "{off:?} {class}");
        }
        // Something else than what the sender sends came from elsewhere, too.
        assert_eq!(why(&v4, class::OTHER), Some(Cause::Tso));
    }

    #[test]
    fn senders_are_named_as_far_as_they_are_known() {
        let named = |caused, unattributed| {
            let sender = Made::tap("vnet0", 7).vm("web").master(3).caused(caused);
            let tap = Made::tap("vnet1", 8).vm("db").master(3).cut(80_000);
            let (before, after) = Scene::default()
                .with(sender)
                .with(tap)
                .change(|_, after, _| {
                    after.host.exact.unattributed.segmentation.segments = unattributed;
                })
                .samples();
            let window = Window::new(&before, &after);
            window.port(8).map(|port| senders(&window, port))
        };
        assert_eq!(named(80_000, 0).as_deref(), Some(", for frames from web"));
        let host = ", for frames from the host itself or an unknown source";
        assert_eq!(named(0, 40_000).as_deref(), Some(host));
        assert_eq!(named(0, 39_999).as_deref(), Some(""));
    }

    #[test]
    fn a_frame_here_and_there_is_nothing() {
        let cut = |cut, received| {
            let tap = Made::tap("vnet1", 8).vm("db").off(&[Feature::Tso]);
            let (before, after) = Scene::default()
                .with(tap.to(Frames::plain(received, 1_514)).cut(cut))
                .samples();
            let window = Window::new(&before, &after);
            window.port(8).is_some_and(|port| is_cut(&window, port))
        };
        assert!(cut(100, 1_000), "a tenth");
        assert!(!cut(100, 1_001));
        assert!(!cut(99, 99), "too few");
        assert!(cut(50_000, 10_000_000), "5,000 a second");
        assert!(!cut(49_999, 10_000_000));
    }
}
