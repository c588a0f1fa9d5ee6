//! What the exporter tells of itself, as it stands when it is scraped.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aya::sys::{Stats, enable_stats};

use crate::{
    clock,
    own_cost::{self, Runs},
};

/// What the exporter counts of itself.
#[derive(Debug)]
pub struct Own {
    /// Answers to requests, by status code.
    requests: Mutex<BTreeMap<u16, u64>>,
    /// Connections that are open.
    connections: AtomicU64,
    samples: AtomicU64,
    /// When this process was started, seconds since the Unix epoch.
    start_seconds: Option<f64>,
    /// While it is there, the kernel times BPF programs.
    statistics: Option<OwnedFd>,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            connections: AtomicU64::default(),
            samples: AtomicU64::default(),
            start_seconds: own_cost::start_seconds(),
            statistics: None,
        }
    }
}

impl Own {
    /// Has the kernel time BPF programs as well. The error is why it does not.
    pub fn with_bpf_statistics() -> Result<Self, String> {
        let statistics = enable_stats(Stats::RunTime);
        let statistics = statistics.map_err(|error| own_cost::refused(&error.io_error))?;
        Ok(Self {
            statistics: Some(statistics),
            ..Self::default()
        })
    }

    /// A request was answered with a status code.
    pub fn answered(&self, code: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry(code).or_default() += 1;
    }

    /// A connection was accepted.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that was accepted has ended.
    pub fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A sample was taken.
    pub(crate) fn sampled(&self) {
        self.samples.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> BTreeMap<u16, u64> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Runs of this process's BPF programs, if they are timed.
    pub(super) fn bpf(&self) -> Option<Runs> {
        self.statistics.as_ref()?;
        Some(own_cost::all_runs())
    }

    pub(super) fn cpu_ns(&self) -> Option<u64> {
        u64::try_from(clock::own_cpu().as_nanos()).ok()
    }

    pub(super) fn resident_bytes(&self) -> Option<u64> {
        own_cost::resident_bytes()
    }

    pub(super) fn start_seconds(&self) -> Option<f64> {
        self.start_seconds
    }
}
