//! A scene for tests of software work: two guests send to a third, whose tap
//! does not accept everything.

use std::net::Ipv4Addr;

use anyhow::Result;
use serde_json::Value;

use crate::{
    Lab,
    command::run,
    frames::{FrameSpec, L4, Segmentation},
    guest::{Counts, Family},
    link,
    observer::{Observer, Seen, grown},
    scaled,
    traffic::{TcpOptions, tcp_stream},
};

/// Position of the guest that receives; the other two send.
pub const RECEIVER: usize = 2;

/// Guests that send, and the payload bytes of each, to be scaled.
pub const SENDERS: [(usize, Family, u64); 2] =
    [(0, Family::V4, 60_000_000), (1, Family::V6, 20_000_000)];

/// In the network of the lab.
const NOBODY: Ipv4Addr = Ipv4Addr::new(198, 18, 250, 250);

/// The scene, with offwatch running beside it.
pub struct Work {
    lab: Lab,
    observers: Vec<Observer>,
    before: Vec<Vec<Moment>>,
}

/// What is true and what is seen of a guest at one moment.
struct Moment {
    counts: Counts,
    seen: Seen,
}

/// How much both have grown.
pub struct Growth {
    /// The truth.
    pub counts: Counts,
    /// What offwatch showed before.
    pub before: Seen,
    /// What it shows now.
    pub after: Seen,
}

impl Work {
    /// Starts it, with features of the receiver's tap set, and with one
    /// `offwatch top` for each list of arguments.
    pub fn new(features: &[&str], observers: &[&[&str]]) -> Result<Self> {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web", "api", "db"])?;
        link::set_features(lab.host(), lab.guest(RECEIVER).tap(), features)?;
        let observers = observers
            .iter()
            .map(|args| Observer::start(lab.host(), args))
            .collect::<Result<Vec<_>>>()?;
        let mut work = Self {
            lab,
            observers,
            before: Vec::new(),
        };
        work.lab.wait_quiet()?;
        work.before = work.moments()?;
        Ok(work)
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// What an observer prints now.
    pub fn model(&self, observer: usize) -> Result<Value> {
        self.observers[observer].now()
    }

    fn moments(&self) -> Result<Vec<Vec<Moment>>> {
        let moments = self.observers.iter().map(|observer| {
            let model = observer.now()?;
            let guests = self.lab.guests().iter();
            let moments = guests.map(|guest| {
                Ok(Moment {
                    counts: guest.counts()?,
                    seen: Seen::of(&model, guest)?,
                })
            });
            moments.collect()
        });
        moments.collect()
    }

    /// Both senders at once.
    pub fn send(&self) -> Result<()> {
        let receiver = self.lab.guest(RECEIVER).endpoint();
        std::thread::scope(|scope| {
            let threads = SENDERS.map(|(sender, family, bytes)| {
                let bytes = scaled(bytes);
                let from = self.lab.guest(sender).endpoint();
                let receiver = &receiver;
                scope.spawn(move || tcp_stream(&from, receiver, &TcpOptions::new(family, bytes)))
            });
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().expect("a sending thread").map(drop))
        })
    }

    /// Puts a shaper before the receiver that holds back or drops super-frames,
    /// and sends it `frames` of them. Some are still on their way afterwards.
    pub fn back_up(&self, frames: u64) -> Result<()> {
        let tap = self.lab.guest(RECEIVER).tap();
        for command in [
            format!("tc qdisc replace dev {tap} root handle 1: htb default 1"),
            format!("tc class add dev {tap} parent 1: classid 1:1 htb rate 1mbit quantum 1514"),
            format!("tc qdisc add dev {tap} parent 1:1 pfifo limit 20"),
        ] {
            run(self.lab.host(), &command.split(' ').collect::<Vec<_>>())?;
        }
        self.inject(0, frames, self.super_frame(20_000))
    }

    /// A TCP super-frame from the first sender, with 1,000 bytes a segment. It
    /// has the receiver's Ethernet address and nobody's IP address, so that
    /// nobody answers.
    pub fn super_frame(&self, payload_bytes: usize) -> FrameSpec {
        let from = self.lab.guest(0).config();
        let to = self.lab.guest(RECEIVER).config();
        FrameSpec {
            l4: L4::Tcp { options_bytes: 0 },
            segmentation: Segmentation::Segment(1000),
            ..FrameSpec::udp4((from.mac, from.ip4), (to.mac, NOBODY), payload_bytes)
        }
    }

    /// Sends a frame `count` times as guest `sender`.
    pub fn inject(&self, sender: usize, count: u64, frame: FrameSpec) -> Result<()> {
        let (frame, header) = frame.build()?;
        for _ in 0..count {
            self.lab.guest(sender).inject(&frame, header)?;
        }
        Ok(())
    }

    /// For each observer and guest, what has grown since the start, once all is
    /// quiet.
    pub fn growth(&self) -> Result<Vec<Vec<Growth>>> {
        self.lab.wait_quiet()?;
        self.growth_now()
    }

    /// As [`Self::growth`], whatever is on its way.
    pub fn growth_now(&self) -> Result<Vec<Vec<Growth>>> {
        let after = self.moments()?;
        let observers = self.before.iter().zip(after);
        Ok(observers
            .map(|(before, after)| {
                let guests = before.iter().zip(after);
                guests
                    .map(|(before, after)| Growth {
                        counts: after.counts.since(&before.counts),
                        before: before.seen.clone(),
                        after: after.seen,
                    })
                    .collect()
            })
            .collect())
    }

    /// What the receiver got from one sender, whose own truth tells what it sent.
    pub fn share(&self, growth: &[Growth], sender: usize) -> Share {
        let received = &growth[RECEIVER].counts.to_vm;
        let sent = &growth[sender].counts.from_vm;
        let by_source = received.by_source[&self.lab.guest(sender).config().mac];
        Share {
            segments: by_source.frames - by_source.gso_frames - sent.non_gso_frames,
            checksum_bytes: by_source.l4_bytes - sent.complete_csum_l4_bytes,
        }
    }
}

impl Growth {
    /// Growth of a total of the way to the guest.
    pub fn to_vm(&self, field: &str) -> Result<u64> {
        grown(&self.after.to_vm, &self.before.to_vm, field)
    }

    /// Growth of a total of the work that the guest's frames caused.
    pub fn caused(&self, field: &str) -> Result<u64> {
        grown(&self.after.caused, &self.before.caused, field)
    }

    /// The same of what is under `software_work`: `derived` or `exact`.
    pub fn source(&self, to_vm: bool, source: &str, field: &str) -> Result<u64> {
        let pick = |seen: &Seen| {
            let side = if to_vm { &seen.to_vm } else { &seen.caused };
            side["software_work"][source].clone()
        };
        grown(&pick(&self.after), &pick(&self.before), field)
    }
}

/// Work that was done for one sender's frames.
pub struct Share {
    /// Frames that came out of segmentation.
    pub segments: u64,
    /// L4 bytes whose checksum the host computed.
    pub checksum_bytes: u64,
}
