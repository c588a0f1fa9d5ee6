//! The guest: what QEMU does between the host's tap and the guest's driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};

use crate::guest::Backend;
use crate::offloads::Offloads;
use crate::port::Port;
use crate::tap::Tap;
use crate::truth::Truth;
use crate::vnet::VnetHdr;
use crate::worker::{self, Lane, Shared};

/// Copies frames between a host tap and a guest tap and counts them. Stops
/// and joins its threads when dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Starts one worker a queue. Both taps need the same number of queues.
    /// With [`Backend::Vhost`], this process becomes the owner of the kernel's
    /// threads that carry the frames, and they are named after this thread.
    pub fn start(host_tap: Tap, guest_tap: Tap, backend: Backend) -> Result<Self> {
        let queues = host_tap.queues().len();
        if guest_tap.queues().len() != queues {
            bail!("the two taps of a guest need the same number of queues");
        }
        let name = host_tap.name().to_owned();
        let lanes = host_tap
            .queues()
            .iter()
            .map(|queue| Lane::new(Port::open(backend, queue, host_tap.has_vnet_hdr())?))
            .collect::<Result<_>>()?;
        let shared = Arc::new(Shared {
            host_tap,
            guest_tap,
            lanes,
            paused: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let mut relay = Self {
            shared: Arc::clone(&shared),
            workers: Vec::with_capacity(queues),
        };
        for index in 0..queues {
            let shared = Arc::clone(&shared);
            let worker = thread::Builder::new()
                .name(format!("{name}/{index}"))
                .spawn(move || worker::run(&shared, index))
                .context("cannot start a relay worker")?;
            relay.workers.push(worker);
        }
        Ok(relay)
    }

    /// Frames that the guest has sent: written to the host tap.
    pub fn truth_from_vm(&self) -> Truth {
        self.merged(Lane::lock_from_vm)
    }

    /// Frames that the guest has received: read from the host tap.
    pub fn truth_to_vm(&self) -> Truth {
        self.merged(Lane::lock_to_vm)
    }

    fn merged<'a>(&'a self, lock: impl Fn(&'a Lane) -> std::sync::MutexGuard<'a, Truth>) -> Truth {
        let mut sum = Truth::default();
        for lane in &self.shared.lanes {
            sum.merge(&lock(lane));
        }
        sum
    }

    /// Calls `f` with the counters (from the VM, to the VM) while the relay
    /// stands still: what `f` reads from the kernel matches them exactly, even
    /// under load.
    pub fn frozen<T>(&self, f: impl FnOnce(&Truth, &Truth) -> T) -> Result<T> {
        let lanes = &self.shared.lanes;
        let from: Vec<_> = lanes.iter().map(Lane::lock_from_vm).collect();
        let mut to: Vec<_> = lanes.iter().map(Lane::lock_to_vm).collect();
        for (index, truth) in to.iter_mut().enumerate() {
            self.shared.stop_lane(index, truth)?;
        }
        let sum = |guards: &[std::sync::MutexGuard<'_, Truth>]| {
            guards.iter().fold(Truth::default(), |mut sum, truth| {
                sum.merge(truth);
                sum
            })
        };
        let result = f(&sum(&from), &sum(&to));
        for lane in lanes.iter().filter(|_| !self.shared.is_paused()) {
            lane.port().start()?;
        }
        Ok(result)
    }

    /// Fails if the relay has ended on its own, as it does when someone
    /// deletes a tap.
    pub fn check(&self) -> Result<()> {
        for lane in &self.shared.lanes {
            if let Some(failure) = &*lane.failure() {
                bail!(
                    "the relay of {} ended: {failure}",
                    self.shared.host_tap.name()
                );
            }
        }
        Ok(())
    }

    /// Whether no frame waits in a ring of this guest or is halfway.
    pub fn is_idle(&self) -> Result<bool> {
        self.shared.is_idle()
    }

    /// Packets so far in both directions; cheap, for waiting.
    pub fn total_packets(&self) -> u64 {
        self.shared
            .lanes
            .iter()
            .map(|lane| lane.lock_from_vm().packets + lane.lock_to_vm().packets)
            .sum()
    }

    /// The guest's driver announces anew what it accepts to receive, as on a
    /// reboot or `ethtool -K` in the guest.
    pub fn renegotiate(&self, receive: Offloads) -> Result<()> {
        self.shared.host_tap.set_offloads(receive)
    }

    /// Changes what the guest's own stack may send, as `ethtool -K` of the
    /// transmit offloads in the guest does.
    pub fn renegotiate_send(&self, send: Offloads) -> Result<()> {
        self.shared.guest_tap.set_offloads(send)
    }

    /// The guest stops draining its receive ring. Once this returns, no
    /// further frame is read from the host tap.
    pub fn pause(&self) -> Result<()> {
        self.shared.paused.store(true, Ordering::Release);
        for (index, lane) in self.shared.lanes.iter().enumerate() {
            // A worker reads under this lock and looks at `paused` first.
            self.shared.stop_lane(index, &mut lane.lock_to_vm())?;
            lane.wake();
        }
        Ok(())
    }

    /// The guest drains its ring again.
    pub fn resume(&self) -> Result<()> {
        self.shared.paused.store(false, Ordering::Release);
        for lane in &self.shared.lanes {
            let _still = lane.lock_to_vm();
            lane.port().start()?;
            lane.wake();
        }
        Ok(())
    }

    /// Sends a hand-made frame with a hand-made header as if the guest's
    /// driver had, counted like any other. Fails if the kernel refuses it,
    /// which vhost-net does not tell.
    pub fn inject(&self, frame: &[u8], header: VnetHdr) -> Result<()> {
        let lane = self.shared.lanes.first().context("tap without queues")?;
        let packet = [&header.to_bytes()[..], frame].concat();
        let mut truth = lane.lock_from_vm();
        lane.port()
            .put(&packet)?
            .with_context(|| format!("injecting {} bytes with {header:?}", frame.len()))?;
        lane.port().flush()?;
        truth.count(header, frame);
        Ok(())
    }

    fn wake_all(&self) {
        for lane in &self.shared.lanes {
            lane.wake();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake_all();
        for worker in self.workers.drain(..) {
            // A panic has been printed already, and a drop must not add one.
            let _ = worker.join();
        }
    }
}
