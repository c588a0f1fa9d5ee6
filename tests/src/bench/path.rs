//! A way through the host on which a known number of frames is sent.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    time::{ClockId, clock_gettime},
    unistd::{read, write},
};
use serde::Serialize;

use crate::{
    Netns, Offloads,
    command::{bridge_batch, ip_batch},
    frames::{FrameSpec, L4, Segmentation},
    link,
    tap::Tap,
};

/// What is sent where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Load {
    pub(super) wiring: Wiring,
    pub(super) shape: Shape,
}

/// What lies between the tap that sends and the one that receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wiring {
    /// One bridge: received, queued and sent once.
    Bridge,
    /// Two bridges joined by a veth pair: received, queued and sent twice.
    VethPair,
}

/// What the frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shape {
    /// UDP, 64 bytes.
    Small,
    /// TCP super-frames of 64 KB that nobody needs to cut.
    Super,
    /// The same to a tap that does not accept them.
    Cut,
}

impl Load {
    pub(super) const ALL: [Self; 3] = [
        Self {
            wiring: Wiring::Bridge,
            shape: Shape::Small,
        },
        Self {
            wiring: Wiring::VethPair,
            shape: Shape::Small,
        },
        Self {
            wiring: Wiring::Bridge,
            shape: Shape::Super,
        },
    ];

    pub(super) fn title(self) -> String {
        let shape = match self.shape {
            Shape::Small => "UDP 64 B",
            Shape::Super => "TCP 64 KB super-frames",
            Shape::Cut => "TCP 64 KB super-frames that are cut",
        };
        let wiring = match self.wiring {
            Wiring::Bridge => "tap, bridge, tap",
            Wiring::VethPair => "tap, bridge, veth pair, bridge, tap",
        };
        format!("{shape}, {wiring}")
    }
}

impl Shape {
    /// Frames sent without a pause; they wait in the receiving tap.
    fn batch(self) -> u64 {
        match self {
            Self::Small => 256,
            Self::Super => 64,
            Self::Cut => 16,
        }
    }

    /// Batches of one sample.
    fn batches(self) -> usize {
        match self {
            Self::Small => 120,
            Self::Super | Self::Cut => 40,
        }
    }

    /// What the tap at the end accepts.
    pub(super) fn accepted(self) -> Offloads {
        match self {
            Self::Small | Self::Super => Offloads::ALL,
            Self::Cut => Offloads::CSUM_ONLY,
        }
    }
}

/// Segments of a super-frame.
const SEGMENTS: u64 = 45;
pub(super) const SEGMENT_BYTES: u16 = 1448;

/// Larger than what any tap hands out here.
const BUFFER_BYTES: usize = 128 * 1024;

const SOURCE: [u8; 6] = [0x52, 0x54, 0, 0xbe, 0, 1];
const DESTINATION: [u8; 6] = [0x52, 0x54, 0, 0xbe, 0, 2];

/// The devices, in a namespace of their own.
#[derive(Debug)]
pub(super) struct Path {
    ns: Netns,
    /// Batches of one sample, and frames of each.
    sample: (usize, u64),
    /// Frames that come out for each that goes in.
    pieces: u64,
    from: Tap,
    to: Tap,
    /// A frame with its virtio header.
    packet: Vec<u8>,
    observed: Vec<(u32, String)>,
}

impl Path {
    pub(super) fn new(load: Load) -> Result<Self> {
        let shape = load.shape;
        let path = Self::between(load.wiring, frame(shape), shape.accepted())?;
        Ok(Self {
            sample: (shape.batches(), shape.batch()),
            ..path
        })
    }

    /// A way for such frames to a tap that accepts what is said.
    pub(super) fn between(wiring: Wiring, frame: FrameSpec, accepted: Offloads) -> Result<Self> {
        let ns = Netns::new()?;
        // Nothing must send a frame but this program.
        ns.sysctl(&[("net/ipv6/conf/default/disable_ipv6", "1")])?;
        let from = Tap::create(&ns, "from", 1)?;
        let to = Tap::create(&ns, "to", 1)?;
        to.set_offloads(accepted)?;
        let mut devices = vec!["from", "to"];
        let last_bridge = match wiring {
            Wiring::Bridge => {
                link::add_bridge(&ns, "br0")?;
                "br0"
            }
            Wiring::VethPair => {
                link::add_bridge(&ns, "br0")?;
                link::add_bridge(&ns, "br1")?;
                let lines = ["link add veth0 type veth peer name veth1"].map(str::to_owned);
                ip_batch(&ns, &lines)?;
                link::enslave(&ns, "veth0", "br0")?;
                link::enslave(&ns, "veth1", "br1")?;
                devices.extend(["veth0", "veth1"]);
                "br1"
            }
        };
        link::enslave(&ns, "from", "br0")?;
        link::enslave(&ns, "to", last_bridge)?;
        let up = devices.iter().map(|dev| format!("link set {dev} up"));
        ip_batch(&ns, &up.collect::<Vec<_>>())?;
        // Known addresses are forwarded, unknown ones flooded.
        let mac = crate::guest::format_mac(DESTINATION);
        let mut known = vec![format!("fdb add {mac} dev to master static")];
        if wiring == Wiring::VethPair {
            known.push(format!("fdb add {mac} dev veth0 master static"));
        }
        bridge_batch(&ns, &known)?;
        let observed = devices
            .into_iter()
            .map(|dev| Ok((link::ifindex(&ns, dev)?, dev.to_owned())))
            .collect::<Result<_>>()?;
        let is_cut = frame.segmentation != Segmentation::None && !accepted.tso4;
        Ok(Self {
            ns,
            sample: (0, 0),
            pieces: if is_cut { SEGMENTS } else { 1 },
            from,
            to,
            packet: packet(frame)?,
            observed,
        })
    }

    pub(super) fn ns(&self) -> &Netns {
        &self.ns
    }

    /// ifindex and name of all devices on the way but the bridges, which see
    /// no forwarded frame.
    pub(super) fn observed(&self) -> &[(u32, String)] {
        &self.observed
    }

    /// Sends one sample and returns nanoseconds per frame: of its batches the
    /// first quartile, as interrupts and neighbours only ever add. Time is that
    /// which this thread has run, without the time others ran on its processor.
    pub(super) fn sample(&self) -> Result<f64> {
        let (batches, frames) = self.sample;
        let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
        let mut batches = self.batches(batches, frames, clock)?;
        batches.sort_by(f64::total_cmp);
        batches
            .get(batches.len() / 4)
            .copied()
            .context("no batches")
    }

    /// Nanoseconds per frame by `clock`, of each of so many batches.
    pub(super) fn batches(&self, batches: usize, frames: u64, clock: ClockId) -> Result<Vec<f64>> {
        let mut buffer = vec![0; BUFFER_BYTES];
        (0..batches)
            .map(|_| self.batch(frames, clock, &mut buffer))
            .collect()
    }

    /// A frame goes all the way within the write, in the writer's own time.
    fn batch(&self, frames: u64, clock: ClockId, buffer: &mut [u8]) -> Result<f64> {
        let from = self.from.queues().first().context("no queue")?;
        let start = time(clock)?;
        for _ in 0..frames {
            write(from, &self.packet).context("sending a frame")?;
        }
        let spent = time(clock)? - start;
        let received = self.drain(buffer)?;
        let expected = frames * self.pieces;
        ensure!(
            received == expected,
            "of {expected} frames {received} came through"
        );
        Ok(spent.as_nanos() as f64 / frames as f64)
    }

    fn drain(&self, buffer: &mut [u8]) -> Result<u64> {
        let to = self.to.queues().first().context("no queue")?;
        let mut frames = 0;
        loop {
            match read(to, buffer) {
                Ok(_) => frames += 1,
                Err(Errno::EAGAIN) => return Ok(frames),
                Err(error) => return Err(error).context("receiving a frame"),
            }
        }
    }
}

/// A frame of this shape.
pub(super) fn frame(shape: Shape) -> FrameSpec {
    let small = FrameSpec::udp4(
        (SOURCE, [198, 18, 0, 1].into()),
        (DESTINATION, [198, 18, 0, 2].into()),
        22,
    );
    match shape {
        Shape::Small => small,
        Shape::Super | Shape::Cut => FrameSpec {
            l4: L4::Tcp { options_bytes: 12 },
            payload_bytes: SEGMENTS as usize * SEGMENT_BYTES as usize,
            partial_checksum: true,
            segmentation: Segmentation::Segment(SEGMENT_BYTES),
            ..small
        },
    }
}

fn packet(frame: FrameSpec) -> Result<Vec<u8>> {
    let (frame, header) = frame.build()?;
    let mut packet = header.to_bytes().to_vec();
    packet.extend(frame);
    Ok(packet)
}

pub(super) fn time(clock: ClockId) -> Result<Duration> {
    Ok(clock_gettime(clock).context("clock_gettime")?.into())
}
