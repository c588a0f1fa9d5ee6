//! An interface made by hand.

use std::sync::Arc;

use offwatch_common::{ExactSlot, Slot, drop_class};

use super::{super::window::Feature, Frames};
use crate::{
    facts::{
        device::Device,
        hardware::{Driver, Hardware},
        nic::{DriverSetup, NicSetup},
    },
    sample::{
        Counters, ExactCounters, Interface, Kind,
        offloads::{Fact, FeatureSet, Features, KernelCounters, Limits, Offloads, Tap},
    },
};

/// An interface, before and after.
pub struct Made {
    pub(super) before: Interface,
    pub(super) after: Interface,
    pub(super) vm: Option<String>,
    pub(super) setup: NicSetup,
    pub(super) device: Device,
}

/// On unless said otherwise.
const USUALLY_ON: [Feature; 9] = [
    Feature::TxChecksum,
    Feature::ScatterGather,
    Feature::Tso,
    Feature::TsoEcn,
    Feature::Tso6,
    Feature::Uso,
    Feature::Gso,
    Feature::Gro,
    Feature::UdpTunnel,
];
/// What cannot be switched on a tap.
const FIXED_ON_TAPS: [Feature; 6] = [
    Feature::TxChecksumIpv4,
    Feature::RxChecksum,
    Feature::GroHw,
    Feature::Gre,
    Feature::Lro,
    Feature::UdpTunnelCsum,
];

fn set<'f>(features: impl IntoIterator<Item = &'f Feature>) -> FeatureSet {
    let bits = features.into_iter().map(|feature| 1_u32 << *feature as u32);
    FeatureSet::from_words(&[bits.fold(0, |word, bit| word | bit)]).expect("one word fits")
}

impl Made {
    /// A tap with all that its guest accepts by default.
    pub fn tap(dev: &str, ifindex: u32) -> Self {
        let mut made = Self::new(dev, ifindex, Kind::Tap);
        made.offloads(|offloads| {
            offloads.tap = Some(Tap {
                vnet_hdr: true,
                multi_queue: false,
                queues: 1,
            });
            offloads.napi = Some(Fact::Known(false));
        });
        made.fixed(&FIXED_ON_TAPS)
    }

    /// A network card of the host.
    pub fn uplink(dev: &str, ifindex: u32, driver: &str) -> Self {
        let mut made = Self::new(dev, ifindex, Kind::Physical);
        made.offloads(|offloads| offloads.tx_timeouts = Some(Fact::Known(0)));
        made.device.hardware = Some(Box::new(Hardware {
            driver: Fact::Known(Driver {
                name: driver.into(),
                ..Driver::default()
            }),
            ..Hardware::default()
        }));
        made
    }

    /// A bridge.
    pub fn bridge(dev: &str, ifindex: u32) -> Self {
        Self::new(dev, ifindex, Kind::Bridge)
    }

    /// An interface of another kind.
    pub fn other(dev: &str, ifindex: u32, kind: &str) -> Self {
        Self::new(dev, ifindex, Kind::Other(kind.into()))
    }

    fn new(dev: &str, ifindex: u32, kind: Kind) -> Self {
        let on = set(&USUALLY_ON);
        let before = Interface {
            dev: dev.into(),
            ifindex,
            generation: 1,
            kind: kind.clone(),
            mac: Some(format!("52:54:00:00:00:{ifindex:02x}").into()),
            mtu: 1500,
            offloads: Arc::new(Offloads {
                features: Fact::Known(Features {
                    changeable: set(Feature::ALL),
                    wanted: on,
                    active: on,
                    never_changed: set([]),
                }),
                features_changed: Fact::Known(0),
                ..Offloads::default()
            }),
            limits: Fact::Known(Arc::new(Limits {
                gso_max_size_bytes: Some(65_536),
                gso_max_segs: Some(65_535),
                gso_ipv4_max_size_bytes: Some(65_536),
                gro_max_size_bytes: Some(65_536),
                gro_ipv4_max_size_bytes: Some(65_536),
                qdisc: Some("noqueue".into()),
                ..Limits::default()
            })),
            kernel: Fact::Known(KernelCounters::default()),
            exact: ExactCounters::Counted(Arc::default()),
            ..Interface::default()
        };
        Self {
            after: before.clone(),
            before,
            vm: None,
            setup: NicSetup {
                dev: Some(dev.into()),
                backend: "tap".into(),
                model: Fact::Known("virtio".into()),
                driver: Fact::Known(DriverSetup::default()),
                ..NicSetup::default()
            },
            device: Device {
                ifindex,
                dev: dev.into(),
                kind,
                mtu_bytes: 1500,
                qdiscs: Fact::Known(Vec::new()),
                policers: Fact::Known(Vec::new()),
                ..Device::default()
            },
        }
    }

    /// Of a VM.
    #[must_use]
    pub fn vm(mut self, name: &str) -> Self {
        self.vm = Some(name.into());
        self
    }

    /// In a bridge, bond or switch.
    #[must_use]
    pub fn master(mut self, ifindex: u32) -> Self {
        self.before.master = Some(ifindex);
        self.after.master = Some(ifindex);
        self.device.master = Some(ifindex);
        self
    }

    /// With another MTU.
    #[must_use]
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.before.mtu = bytes;
        self.after.mtu = bytes;
        self.device.mtu_bytes = bytes;
        self
    }

    /// With features that are off, and not asked for.
    #[must_use]
    pub fn off(self, features: &[Feature]) -> Self {
        self.features(|known| {
            known.active = without(known.active, features);
            known.wanted = without(known.wanted, features);
        })
    }

    /// With features that are asked for, and off.
    #[must_use]
    pub fn declined(self, features: &[Feature]) -> Self {
        self.features(|known| {
            known.active = without(known.active, features);
            known.wanted = with(known.wanted, features);
        })
    }

    /// With features that are on.
    #[must_use]
    pub fn on(self, features: &[Feature]) -> Self {
        self.features(|known| {
            known.active = with(known.active, features);
            known.wanted = with(known.wanted, features);
        })
    }

    /// With features that cannot be switched.
    #[must_use]
    pub fn fixed(self, features: &[Feature]) -> Self {
        self.features(|known| known.changeable = without(known.changeable, features))
    }

    /// The host received frames from it.
    #[must_use]
    pub fn from(self, frames: Frames) -> Self {
        self.slot(|slot| frames.count(&mut slot.ingress))
    }

    /// The host sent frames to it.
    #[must_use]
    pub fn to(self, frames: Frames) -> Self {
        self.slot(|slot| frames.count(&mut slot.egress))
    }

    /// So many frames were dropped on the way from it, and to it.
    #[must_use]
    pub fn dropped(self, from: u64, to: u64) -> Self {
        self.slot(|slot| {
            slot.ingress.drop_packets += from;
            slot.egress.drop_packets += to;
        })
    }

    /// So many segments were cut on the way to it, in 500 ns each.
    #[must_use]
    pub fn cut(self, segments: u64) -> Self {
        self.exact(|slot| {
            let cut = &mut slot.to_device.segmentation;
            cut.calls += segments.div_ceil(44);
            cut.segments += segments;
            cut.ns += segments * 500;
        })
    }

    /// So many bytes were checksummed on the way to it.
    #[must_use]
    pub fn summed(self, bytes: u64) -> Self {
        self.exact(|slot| {
            let sum = &mut slot.to_device.checksum;
            sum.calls += bytes.div_ceil(1448);
            sum.bytes += bytes;
            sum.ns += bytes / 10;
        })
    }

    /// So many segments were cut for frames from it.
    #[must_use]
    pub fn caused(self, segments: u64) -> Self {
        self.exact(|slot| slot.caused.segmentation.segments += segments)
    }

    /// So many frames were dropped for something ([`drop_class`]).
    #[must_use]
    pub fn dropped_for(self, class: usize, frames: u64) -> Self {
        assert!(class < drop_class::COUNT);
        self.exact(|slot| slot.drops[class] += frames)
    }

    /// Anything of the interface at the end.
    #[must_use]
    pub fn after(mut self, change: impl FnOnce(&mut Interface)) -> Self {
        change(&mut self.after);
        self
    }

    /// Its limits.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        if let Fact::Known(limits) = &mut self.after.limits {
            change(Arc::make_mut(limits));
        }
        self
    }

    /// Facts about it.
    #[must_use]
    pub fn device(mut self, change: impl FnOnce(&mut Device)) -> Self {
        change(&mut self.device);
        self
    }

    /// How its card was set up.
    #[must_use]
    pub fn setup(mut self, change: impl FnOnce(&mut NicSetup)) -> Self {
        change(&mut self.setup);
        self
    }

    /// How it was made, if it is a tap.
    #[must_use]
    pub fn flags(mut self, change: impl FnOnce(&mut Tap)) -> Self {
        self.offloads(|offloads| change(offloads.tap.get_or_insert_default()));
        self
    }

    /// Its features changed so often in the window.
    #[must_use]
    pub fn changed(mut self, times: u64) -> Self {
        Arc::make_mut(&mut self.after.offloads).features_changed = Fact::Known(times);
        self
    }

    /// Its features at the beginning.
    #[must_use]
    pub fn began_with(mut self, features: &[Feature]) -> Self {
        let offloads = Arc::make_mut(&mut self.before.offloads);
        if let Fact::Known(known) = &mut offloads.features {
            known.active = set(features);
            known.wanted = set(features);
        }
        self
    }

    /// Its transmit queue was stuck so often.
    #[must_use]
    pub fn timeouts(mut self, times: u64) -> Self {
        Arc::make_mut(&mut self.after.offloads).tx_timeouts = Some(Fact::Known(times));
        self
    }

    fn features(mut self, change: impl Fn(&mut Features)) -> Self {
        self.offloads(|offloads| {
            if let Fact::Known(known) = &mut offloads.features {
                change(known);
            }
        });
        self
    }

    fn offloads(&mut self, change: impl FnOnce(&mut Offloads)) {
        change(Arc::make_mut(&mut self.before.offloads));
        self.after.offloads = Arc::clone(&self.before.offloads);
    }

    fn slot(mut self, change: impl FnOnce(&mut Slot)) -> Self {
        if let Counters::Counted(slot) = &mut self.after.counters {
            change(Arc::make_mut(slot));
        }
        self
    }

    fn exact(mut self, change: impl FnOnce(&mut ExactSlot)) -> Self {
        if let ExactCounters::Counted(slot) = &mut self.after.exact {
            change(Arc::make_mut(slot));
        }
        self
    }
}

fn with(known: FeatureSet, features: &[Feature]) -> FeatureSet {
    let all = Feature::ALL.iter();
    set(all.filter(|feature| known.contains(**feature as usize) || features.contains(feature)))
}

fn without(known: FeatureSet, features: &[Feature]) -> FeatureSet {
    let all = Feature::ALL.iter();
    set(all.filter(|feature| known.contains(**feature as usize) && !features.contains(feature)))
}
