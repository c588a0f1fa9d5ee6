//! What users see: traffic from one guest to another, with offwatch running, with empty
//! programs at its hooks, and with nothing.

mod flood;
mod iperf;
mod results;

use std::{process::Stdio, thread::sleep, time::Duration};

use anyhow::Result;
use offwatch::sample::Hook;
use serde::Serialize;

pub(super) use self::results::{EndToEnd, goals, table};
use self::{flood::Flood, iperf::Server, results::Round};
use super::{
    bind, ends, processors,
    variant::{Attached, Empty, Variant},
};
use crate::{
    GuestConfig, Lab, Netns, Offloads,
    observer::{Observer, offwatch},
};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stream {
    /// TCP, the sender has GSO.
    TcpGso,
    /// TCP, the sender makes frames of the MTU.
    TcpMtu,
    /// UDP datagrams of 64 bytes with their headers, as fast as one processor takes them
    /// all the way.
    Udp64,
}

impl Stream {
    fn title(self) -> &'static str {
        match self {
            Self::TcpGso => "TCP with GSO",
            Self::TcpMtu => "TCP in frames of the MTU",
            Self::Udp64 => "UDP 64 B, one processor",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::TcpGso | Self::TcpMtu => "Gbit/s",
            Self::Udp64 => "thousand packets/s",
        }
    }
}

/// What it takes to start is no part of what observing costs.
const SETTLED: Duration = Duration::from_secs(1);

/// What observes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Observed {
    Nothing,
    /// Programs that add one to an array's value, at the default hooks.
    Empty,
    /// `offwatch top`, the whole program.
    Offwatch,
}

impl Observed {
    const ALL: [Self; 3] = [Self::Nothing, Self::Empty, Self::Offwatch];
}

/// Keeps observing until it is dropped.
enum Observing {
    Programs(#[expect(dead_code, reason = "detached by being dropped")] Attached),
    Program(#[expect(dead_code, reason = "ended by being dropped")] Observer),
}

/// Measures all streams, TCP in turns of so many seconds.
pub(super) fn measure(empty: &mut Empty, rounds: usize, turn_s: u32) -> Result<Vec<EndToEnd>> {
    Ok(vec![
        tcp(Stream::TcpGso, Offloads::ALL, empty, rounds, turn_s)?,
        tcp(Stream::TcpMtu, Offloads::CSUM_ONLY, empty, rounds, turn_s)?,
        udp(empty, rounds)?,
    ])
}

/// The sending guest, what carries its frames and iperf3 there have the first processor,
/// the receiving one has the last: where they run does not differ from turn to turn.
fn tcp(
    stream: Stream,
    sends: Offloads,
    empty: &mut Empty,
    rounds: usize,
    turn_s: u32,
) -> Result<EndToEnd> {
    let mut lab = Lab::new()?;
    let everywhere = processors()?;
    let [first, last] = ends(&everywhere)?;
    bind(&first)?;
    lab.add_guest(GuestConfig {
        send_offloads: sends,
        ..GuestConfig::new("from", 1)
    })?;
    bind(&last)?;
    lab.add_guest(GuestConfig::new("to", 2))?;
    let server = Server::start(lab.guest(1))?;
    let receive = || {
        bind(&first)?;
        let received = server.receive(lab.guest(0), turn_s);
        bind(&everywhere)?;
        received
    };
    let rounds = in_turns(lab.host(), empty, rounds, receive)?;
    Ok(EndToEnd::new(stream, &rounds))
}

fn udp(empty: &mut Empty, rounds: usize) -> Result<EndToEnd> {
    let flood = Flood::new()?;
    let rounds = in_turns(flood.host(), empty, rounds, || flood.rate())?;
    Ok(EndToEnd::new(Stream::Udp64, &rounds))
}

fn in_turns(
    host: &Netns,
    empty: &mut Empty,
    rounds: usize,
    rate: impl Fn() -> Result<f64>,
) -> Result<Vec<Round>> {
    // Caches and windows are cold only once.
    rate()?;
    let rounds = (0..rounds).map(|_| {
        let mut sums = [0.0; Observed::ALL.len()];
        let forth = 0..sums.len();
        for index in forth.clone().chain(forth.rev()) {
            let observing = observe(Observed::ALL[index], host, empty)?;
            sleep(SETTLED);
            sums[index] += rate()?;
            drop(observing);
        }
        Ok(sums.map(|sum| sum / 2.0))
    });
    rounds.collect()
}

fn observe(observed: Observed, host: &Netns, empty: &mut Empty) -> Result<Observing> {
    let hook = Hook::default();
    Ok(match observed {
        Observed::Nothing => Observing::Programs(Attached::Nothing),
        Observed::Empty => {
            Observing::Programs(Variant::Count(hook).attach(empty, host.inum(), &[])?)
        }
        Observed::Offwatch => {
            let args = ["top", "--stream", "-d", "1", "--hook", hook.name()];
            let mut command = offwatch(host, &args)?;
            // That there is no libvirtd is no news here.
            command.stderr(Stdio::null());
            Observing::Program(Observer::spawn(command)?)
        }
    })
}
