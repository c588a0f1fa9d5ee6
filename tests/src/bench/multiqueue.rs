//! Two processors send through one tap at once: counters that they share,
//! against counters that each has for itself.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    time::ClockId,
    unistd::{Pid, read, write},
};
use serde::Serialize;

use super::{
    path::time,
    report::Table,
    stats::{Estimate, median},
    variant::{Counters, Empty},
};
use crate::{
    Netns,
    command::{bridge_batch, ip_batch},
    frames::FrameSpec,
    link,
    tap::Tap,
};

/// Frames that each sender sends without a pause; they wait in the receiving tap.
const BATCH: u64 = 256;
const BATCHES: usize = 60;
const SENDERS: [usize; 2] = [1, 2];

/// What frames cost where several processors send through one tap.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Multiqueue {
    /// Counters that a program adds to, at each of two hooks.
    pub(super) additions: usize,
    /// One for each number of senders.
    pub(super) rows: Vec<Row>,
}

/// With so many senders. Nanoseconds are a sender's own time for a frame.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Row {
    /// Processors that send at once.
    pub(super) senders: usize,
    /// Without programs.
    pub(super) nothing_ns: f64,
    /// Added by atomic additions to counters that all share.
    pub(super) shared_added_ns: Estimate,
    /// Added by plain additions to counters of each processor.
    pub(super) per_cpu_added_ns: Estimate,
    /// The whole way with shared counters, over that with counters of each processor.
    pub(super) path_ratio: Estimate,
}

pub(super) fn table(cost: &Multiqueue) -> Table {
    let title = format!(
        "UDP 64 B, {} counters at each of two hooks, ns a frame",
        cost.additions
    );
    let heads = [
        "senders",
        "without programs",
        "added, shared counters",
        "added, counters of each processor",
        "whole way, shared to own",
    ];
    let mut table = Table::new(title, &heads);
    for row in &cost.rows {
        table.row([
            row.senders.to_string(),
            format!("{:.0}", row.nothing_ns),
            format!("{:.0}", row.shared_added_ns),
            format!("{:.0}", row.per_cpu_added_ns),
            format!("{:.3}", row.path_ratio),
        ]);
    }
    table
}

/// In the order in which they take turns.
const VARIANTS: [Option<Counters>; 3] = [None, Some(Counters::Shared), Some(Counters::PerCpu)];

pub(super) fn measure(rounds: usize, empty: &mut Empty) -> Result<Multiqueue> {
    let path = Path::new()?;
    let mut rows = Vec::new();
    for senders in SENDERS {
        path.sample(senders)?;
        let rounds = (0..rounds).map(|_| round(&path, empty, senders));
        rows.push(Row::new(senders, &rounds.collect::<Result<Vec<_>>>()?));
    }
    Ok(Multiqueue {
        additions: Counters::ADDITIONS,
        rows,
    })
}

/// Nanoseconds of each variant, there and back again (ABBA).
fn round(path: &Path, empty: &mut Empty, senders: usize) -> Result<[f64; VARIANTS.len()]> {
    let mut sums = [0.0; VARIANTS.len()];
    let forth = 0..VARIANTS.len();
    for index in forth.clone().chain(forth.rev()) {
        let attached = VARIANTS[index].map(|counters| empty.attach_counters(counters));
        let attached = attached.transpose()?;
        sums[index] += path.sample(senders)?;
        drop(attached);
    }
    Ok(sums.map(|sum| sum / 2.0))
}

impl Row {
    fn new(senders: usize, rounds: &[[f64; VARIANTS.len()]]) -> Self {
        let of = |f: fn(&[f64; VARIANTS.len()]) -> f64| {
            Estimate::of(rounds, |rounds| {
                median(&mut rounds.iter().map(f).collect::<Vec<_>>())
            })
        };
        Self {
            senders,
            nothing_ns: of(|[nothing, ..]| *nothing).median,
            shared_added_ns: of(|[nothing, shared, _]| shared - nothing),
            per_cpu_added_ns: of(|[nothing, _, own]| own - nothing),
            path_ratio: of(|[_, shared, own]| shared / own),
        }
    }
}

/// A tap of two queues, a bridge, a tap of two queues.
struct Path {
    from: Tap,
    to: Tap,
    /// A frame of each sender, with its virtio header.
    packets: [Vec<u8>; 2],
    _ns: Netns,
}

impl Path {
    fn new() -> Result<Self> {
        const DESTINATION: [u8; 6] = [0x52, 0x54, 0, 0xbe, 0, 2];
        let ns = Netns::new()?;
        ns.sysctl(&[("net/ipv6/conf/default/disable_ipv6", "1")])?;
        let from = Tap::create(&ns, "from", 2)?;
        let to = Tap::create(&ns, "to", 2)?;
        link::add_bridge(&ns, "br0")?;
        for dev in ["from", "to"] {
            link::enslave(&ns, dev, "br0")?;
            ip_batch(&ns, &[format!("link set {dev} up")])?;
        }
        let mac = crate::guest::format_mac(DESTINATION);
        bridge_batch(&ns, &[format!("fdb add {mac} dev to master static")])?;
        let packet = |sender: u8| -> Result<Vec<u8>> {
            let source = (
                [0x52, 0x54, 0, 0xbe, 1, sender],
                [198, 18, 1, sender].into(),
            );
            let spec = FrameSpec::udp4(source, (DESTINATION, [198, 18, 0, 2].into()), 22);
            let (frame, header) = spec.build()?;
            Ok([header.to_bytes().as_slice(), &frame].concat())
        };
        Ok(Self {
            from,
            to,
            packets: [packet(1)?, packet(2)?],
            _ns: ns,
        })
    }

    /// Nanoseconds a frame: the median of all batches, as the fastest are those
    /// in which the senders met least.
    fn sample(&self, senders: usize) -> Result<f64> {
        let arrived = AtomicUsize::new(0);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..senders)
                .map(|sender| {
                    let arrived = &arrived;
                    scope.spawn(move || self.send(sender, senders, arrived))
                })
                .collect();
            let mut batches = Vec::new();
            for thread in threads {
                batches.extend(thread.join().map_err(|_| anyhow::anyhow!("a sender"))??);
            }
            Ok(median(&mut batches))
        })
    }

    /// One sender, on its own processor. All begin a batch at once, and the first
    /// one takes the frames out between batches.
    fn send(&self, sender: usize, senders: usize, arrived: &AtomicUsize) -> Result<Vec<f64>> {
        let mut meetings = 0;
        let mut meet = || {
            meetings += senders;
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < meetings {
                std::hint::spin_loop();
            }
        };
        pin_to(sender)?;
        let queue = &self.from.queues()[sender];
        let mut sent = Vec::new();
        // Who fails still meets the others.
        let mut result = Ok(());
        for _ in 0..BATCHES {
            meet();
            result = result.and_then(|()| {
                let start = time(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
                for _ in 0..BATCH {
                    write(queue, &self.packets[sender]).context("sending a frame")?;
                }
                let spent = time(ClockId::CLOCK_THREAD_CPUTIME_ID)? - start;
                sent.push(spent.as_nanos() as f64 / BATCH as f64);
                Ok(())
            });
            meet();
            if sender == 0 {
                result = result.and_then(|()| self.drain(BATCH * senders as u64));
            }
        }
        result.map(|()| sent)
    }

    fn drain(&self, expected: u64) -> Result<()> {
        let mut frames = 0;
        for queue in self.to.queues() {
            loop {
                match read(queue, &mut [0; 256]) {
                    Ok(_) => frames += 1,
                    Err(Errno::EAGAIN) => break,
                    Err(error) => return Err(error).context("receiving a frame"),
                }
            }
        }
        ensure!(
            frames == expected,
            "of {expected} frames {frames} came through"
        );
        Ok(())
    }
}

fn pin_to(cpu: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu).context("the set of processors")?;
    sched_setaffinity(Pid::from_raw(0), &one)
        .context("sched_setaffinity: two processors are needed")
}
