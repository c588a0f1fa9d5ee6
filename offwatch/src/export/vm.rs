//! What a sample tells of one VM.

use std::sync::Arc;

use super::{labels::Labels, past_vm::PastVm, snapshot::VmRow};
use crate::sample::{Source, VcpuState, Vm, VmStats};

/// Its memory, bytes; none where that is not told.
pub(super) fn memory_bytes(vm: &Vm) -> Option<u64> {
    vm.stats.as_ref()?.memory_kib?.checked_mul(1024)
}

/// Virtual CPUs that are online.
fn vcpus(stats: &VmStats) -> Option<u64> {
    let vcpus = stats.vcpus.as_ref()?.iter();
    let online = vcpus.filter(|vcpu| vcpu.state != VcpuState::Offline);
    Some(online.count() as u64)
}

/// Its row, under its name here.
pub(super) fn row(vm: &Vm, name: &Arc<str>, past: &mut PastVm) -> VmRow {
    let mut text = Labels::default();
    text.push("vm", name);
    let mut info = text.clone();
    info.push("uuid", vm.uuid.as_deref().unwrap_or_default());
    info.push(
        "source",
        match vm.source {
            Source::Libvirt => "libvirt",
            Source::Status => "status",
            Source::Proc => "proc",
        },
    );
    let (labels, info) = past.labels.like(text.as_str(), info.as_str());
    let stats = vm.stats.as_deref();
    VmRow {
        name: Arc::clone(name),
        labels,
        info,
        state: vm.state.name(),
        id: vm.id,
        vcpus: stats.and_then(vcpus),
        memory_bytes: memory_bytes(vm),
        memory_maximum_bytes: stats.and_then(|stats| stats.memory_max_kib?.checked_mul(1024)),
        used: past.used,
    }
}
