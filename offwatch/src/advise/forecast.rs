//! What the host's software work would be with other features of an interface. Pure.
//!
//! Features of a device decide over what is sent *to* it: of a tap, over what its guest
//! receives.

use offwatch_common::class;

use super::{
    need::Need,
    price::{Effect, Price, UnitCost},
    window::{Carrier, Feature, Port, States, Window, ratio},
};
use crate::sample::offloads::{FeatureNames, Features};

/// Software work, as rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// Segments that are cut, per second.
    pub segments_per_s: f64,
    /// Frames that there are because of it, beyond those that were cut.
    pub frames_per_s: f64,
    /// Bytes that are summed.
    pub checksum_bytes_per_s: f64,
}

impl Amount {
    /// What it takes on this host, for guests whose frames are carried that way.
    pub fn price(
        &self,
        window: &Window<'_>,
        carrier: Carrier,
        of: &'static str,
        effect: Effect,
    ) -> Price {
        Price::new(of, effect)
            .part(
                "segments to cut",
                self.segments_per_s,
                UnitCost::segment(window),
            )
            .part(
                "frames more to carry",
                self.frames_per_s,
                UnitCost::frame(window, carrier),
            )
            .part(
                "bytes to checksum",
                self.checksum_bytes_per_s,
                UnitCost::checksum_byte(window),
            )
    }

    fn add(&mut self, other: Self) {
        self.segments_per_s += other.segments_per_s;
        self.frames_per_s += other.frames_per_s;
        self.checksum_bytes_per_s += other.checksum_bytes_per_s;
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Features whose effect on the host's work is known.
const KNOWN: [Feature; 10] = [
    Feature::TxChecksum,
    Feature::TxChecksumIpv4,
    Feature::ScatterGather,
    Feature::Tso,
    Feature::TsoEcn,
    Feature::Tso6,
    Feature::Uso,
    // It decides over sockets of the host alone, and TCP's have used GSO without it
    // since Linux 4.17.
    Feature::Gso,
    Feature::UdpTunnel,
    Feature::UdpTunnelCsum,
];
/// Which protocol's super-frames a feature lets through.
const PROTOCOLS: [(Feature, usize); 4] = [
    (Feature::Tso, class::TCP4),
    (Feature::Tso6, class::TCP6),
    (Feature::Uso, class::USO),
    (Feature::UdpTunnel, class::TUNNEL),
];

/// What the host would have had to do more, or less, in a window in which these
/// interfaces had the features `before`, if they had had `after`. Nothing of it is
/// no work at all, which is a price, too.
///
/// `None` if that cannot be told: an interface was not counted, a feature is none
/// whose effect is known, or there would be more of one kind and less of another.
pub fn of(
    window: &Window<'_>,
    ifindexes: &[u32],
    before: &Features,
    after: &Features,
    names: &FeatureNames,
) -> Option<Price> {
    let known: Vec<usize> = KNOWN
        .iter()
        .filter_map(|feature| names.bit(feature.name()))
        .collect();
    // Of TCP with equal IP identifications it is not counted how much there is; where
    // TSO changes with it, it is part of that.
    let with_tso = names.bit(Feature::TsoMangleId.name()).filter(|_| {
        let tso = names.bit(Feature::Tso.name());
        tso.is_some_and(|tso| (before.active ^ after.active).contains(tso))
    });
    let mut changed = (before.active ^ after.active).iter();
    if !changed.all(|bit| known.contains(&bit) || with_tso == Some(bit)) {
        return None;
    }
    let (before, after) = (States::of(names, before), States::of(names, after));
    let mut carriers = ifindexes.iter().filter_map(|ifindex| window.port(*ifindex));
    let carrier = carriers
        .next()
        .map_or(Carrier::Unknown, |port| window.carrier(port));
    let (mut more, mut less) = (Amount::default(), Amount::default());
    for ifindex in ifindexes {
        let port = window.port(*ifindex)?;
        if port.uncounted.is_some() {
            return None;
        }
        let lost = |feature| before.is_on(feature) && !after.is_on(feature);
        let won = |feature| !before.is_on(feature) && after.is_on(feature);
        let any = |is: &dyn Fn(Feature) -> bool| KNOWN.iter().any(|feature| is(*feature));
        if any(&lost) {
            if missing(window, port, &[Need::Frames, Need::Gso]) {
                return None;
            }
            more.add(added(window, port, &lost));
        }
        if any(&won) {
            if missing(window, port, &[Need::Frames, Need::Work]) {
                return None;
            }
            less.add(saved(window, port, &won));
        }
    }
    match (more.is_nothing(), less.is_nothing()) {
        (_, true) => Some(more.price(
            window,
            carrier,
            "software work with the change",
            Effect::Costs,
        )),
        (true, false) => Some(less.price(
            window,
            carrier,
            "software work without the change",
            Effect::Saves,
        )),
        (false, false) => None,
    }
}

fn missing(window: &Window<'_>, port: &Port<'_>, needs: &[Need]) -> bool {
    needs
        .iter()
        .any(|need| need.missing_on_host(window).is_some() || need.missing_on_port(port).is_some())
}

/// What is handed to the device as it is, and would not be.
fn added(window: &Window<'_>, port: &Port<'_>, lost: &dyn Fn(Feature) -> bool) -> Amount {
    let to = &port.to;
    let share = share(&to.classes, lost);
    let segments = window.per_s(to.gso_segments) * share;
    Amount {
        segments_per_s: segments,
        frames_per_s: segments - window.per_s(to.gso_packets) * share,
        checksum_bytes_per_s: match lost(Feature::TxChecksum) {
            true => window.per_s(to.partial_bytes),
            false => 0.0,
        },
    }
}

/// What is done now, and would not have to be.
fn saved(window: &Window<'_>, port: &Port<'_>, won: &dyn Fn(Feature) -> bool) -> Amount {
    let sources = window.sources(port);
    let share = match sources {
        Some(sources) if sources.classes != [0; class::COUNT] => share(&sources.classes, won),
        // What the host itself sends, or what came from elsewhere, is mostly TCP.
        _ => f64::from(u8::from(won(Feature::Tso))),
    };
    Amount {
        segments_per_s: window.per_s(port.cut()) * share,
        frames_per_s: window.per_s(port.cut()) * share * added_frames_per_segment(window, port),
        checksum_bytes_per_s: match won(Feature::TxChecksum) {
            true => window.per_s(port.summed()),
            false => 0.0,
        },
    }
}

/// The software work on the way to an interface as it is now.
pub(super) fn now(window: &Window<'_>, port: &Port<'_>) -> Amount {
    let segments_per_s = window.per_s(port.cut());
    Amount {
        segments_per_s,
        frames_per_s: segments_per_s * added_frames_per_segment(window, port),
        checksum_bytes_per_s: window.per_s(port.summed()),
    }
}

/// Frames that cutting adds for each segment that comes out; a super-frame of a
/// sender that is not known holds 20.
fn added_frames_per_segment(window: &Window<'_>, port: &Port<'_>) -> f64 {
    let sources = window.sources(port);
    sources.map_or(0.95, |sources| sources.added_frames_per_segment())
}

/// Share of super-frames that a feature is about.
fn share(classes: &[u64; class::COUNT], is: &dyn Fn(Feature) -> bool) -> f64 {
    let of = PROTOCOLS.iter().filter(|(feature, _)| is(*feature));
    ratio(
        of.map(|(_, class)| classes[*class]).sum(),
        classes.iter().sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::testing::{Frames, Made, Scene, trial},
        sample::Sample,
        trial::Trial,
    };

    /// Features of `dev` 7, with some more that are off.
    fn features(sample: &Sample, off: &[Feature]) -> Features {
        let known = &sample.interfaces[0].offloads.features;
        let mut features = *known.known().expect("known");
        let names = &sample.host.feature_names;
        let bits = off.iter().filter_map(|feature| names.bit(feature.name()));
        features.active = features.active - bits.collect();
        features
    }

    fn forecast(
        made: Made,
        before: &[Feature],
        after: &[Feature],
        trials: &[Trial],
    ) -> Option<Price> {
        let (first, last) = Scene::default().with(made).samples();
        let window = Window::new(&first, &last).with_trials(trials);
        let [before, after] = [before, after].map(|off| features(&last, off));
        of(&window, &[7], &before, &after, &last.host.feature_names)
    }

    fn tap() -> Made {
        Made::tap("vnet0", 7).vm("web")
    }

    fn work(price: &Price) -> Vec<f64> {
        price.parts.iter().map(|part| part.per_s).collect()
    }

    const TSO: [Feature; 3] = [Feature::Tso, Feature::TsoEcn, Feature::Tso6];

    #[test]
    fn without_tso_what_came_whole_is_cut() {
        let busy = || tap().to(Frames::tcp(1_000, 40)).from(Frames::tcp(500, 44));
        let price = forecast(busy(), &[], &TSO, &[]).expect("a price");
        assert_eq!(work(&price), [4_000.0, 3_900.0]);
        assert_eq!(price.effect, Effect::Costs);
        // Only of the protocol that it is about.
        let price = forecast(busy(), &[], &[Feature::Tso6], &[]).expect("a price");
        assert_eq!(work(&price), [0.0; 0]);
        let checksum = [Feature::TxChecksum, Feature::Tso, Feature::Tso6];
        let price = forecast(busy(), &[], &checksum, &[]).expect("a price");
        let bytes = 1_000.0 * (66.0 + 40.0 * 1_448.0) / 10.0;
        assert_eq!(work(&price), [4_000.0, 3_900.0, bytes]);
    }

    #[test]
    fn with_tso_what_is_cut_comes_whole() {
        let sender = Made::tap("vnet1", 8)
            .master(3)
            .from(Frames::tcp(1_000, 40))
            .caused(40_000);
        let receiver = tap()
            .master(3)
            .to(Frames::partial(40_000, 1_514))
            .cut(40_000);
        let (first, last) = Scene::default().with(receiver).with(sender).samples();
        let window = Window::new(&first, &last);
        let [off, on] = [&TSO[..], &[]].map(|off| features(&last, off));
        let names = &last.host.feature_names;
        let price = of(&window, &[7], &off, &on, names).expect("a price");
        assert_eq!(price.effect, Effect::Saves);
        assert_eq!(work(&price), [4_000.0, 3_900.0]);
        let added = price.added_ns_per_byte(1e6).expect("traffic");
        assert!(added.low < added.value && added.value < added.high && added.high < 0.0);
        // TSO on, and checksums off, of which there are some: neither is the whole.
        let without = features(&last, &[Feature::TxChecksum]);
        assert_eq!(of(&window, &[7], &off, &without, names), None);
    }

    #[test]
    fn nothing_and_unknown_are_different_answers() {
        let busy = || tap().to(Frames::tcp(1_000, 40));
        let gso = forecast(busy(), &[], &[Feature::Gso], &[]).expect("nothing is a price");
        assert_eq!((work(&gso), gso.cores.value), (vec![], 0.0));
        assert_eq!(forecast(busy(), &[], &[Feature::Gro], &[]), None);
        let (first, last) = Scene::default().with(busy()).samples();
        let window = Window::new(&first, &last);
        let same = features(&last, &[]);
        assert_eq!(
            of(
                &window,
                &[99],
                &same,
                &features(&last, &TSO),
                &last.host.feature_names
            ),
            None
        );
    }

    #[test]
    fn a_trial_tells_what_a_frame_costs() {
        let tap = || tap().to(Frames::tcp(1_000, 40));
        let of_qemu = |made: Made| {
            made.setup(|setup| {
                if let crate::sample::offloads::Fact::Known(driver) = &mut setup.driver {
                    driver.name = Some("qemu".into());
                }
            })
        };
        let frame = |made, trials: &[Trial]| {
            let price = forecast(made, &[], &TSO, trials).expect("a price");
            (
                price.parts[1].ns_each.value,
                price.parts[1].basis.is_measured(),
            )
        };
        assert_eq!(frame(tap(), &[]), (2_000.0, false));
        assert_eq!(frame(of_qemu(tap()), &[]), (6_000.0, false));
        let (ns, measured) = frame(of_qemu(tap()), &[trial(300.0)]);
        assert!(measured && (ns - 8_616.97).abs() < 0.01, "{ns}");
        // Who carries its frames is not known: it may be cheaper.
        assert_eq!(frame(tap(), &[trial(300.0)]), (2_000.0, false));
    }
}
