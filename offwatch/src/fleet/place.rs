//! What VMs of all hosts are ranked by.

use super::rows::Vm;
use crate::{model::Rates, offload::Figures, rank::Ranked};

/// A VM among those of all hosts.
pub(super) struct Place<'a> {
    pub(super) vm: &'a Vm,
    /// Not all hosts time what software work takes: all are ranked by its segments.
    pub(super) cost_by_segments: bool,
}

impl<'a> Ranked<'a> for Place<'a> {
    fn name(&self) -> &'a str {
        &self.vm.name
    }

    fn is_active(&self) -> bool {
        self.vm.is_active()
    }

    fn id(&self) -> Option<f64> {
        self.vm.id
    }

    fn cpu_percent(&self) -> Option<f64> {
        self.vm.cpu_percent()
    }

    fn memory_kib(&self) -> Option<f64> {
        self.vm.memory_bytes.map(|bytes| bytes / 1024.0)
    }

    fn cpu_time_ns(&self) -> Option<f64> {
        self.vm.cpu_seconds.map(|seconds| seconds * 1e9)
    }

    fn received_bytes(&self) -> Option<f64> {
        let bytes = self.rates().filter_map(|rates| rates.egress.bytes_per_s);
        bytes.reduce(|one, other| one + other)
    }

    fn sent_bytes(&self) -> Option<f64> {
        let bytes = self.rates().filter_map(|rates| rates.ingress.bytes_per_s);
        bytes.reduce(|one, other| one + other)
    }

    fn read_requests(&self) -> Option<f64> {
        self.vm.disk_reads_per_s
    }

    fn write_requests(&self) -> Option<f64> {
        self.vm.disk_writes_per_s
    }

    fn rates(&self) -> impl Iterator<Item = Rates> {
        self.vm.card_rates()
    }

    fn cost(&self) -> Option<f64> {
        let figures = Figures::of_cards(self.rates());
        match self.cost_by_segments {
            true => figures.software_segments_per_s,
            false => figures.work_cpu_share,
        }
    }
}
