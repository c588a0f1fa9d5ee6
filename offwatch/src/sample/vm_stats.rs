//! What a VM used, as raw totals: CPU time, memory, disks, network cards.

use serde::{Deserialize, Serialize};

/// Totals of one VM at one moment, as its source tells them. They count from
/// the start of the VM, so they are compared only with those of the same start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VmStats {
    /// Monotonic clock, nanoseconds, when the source was asked. Samples that
    /// hold the same statistics, for want of a newer answer, have it in common.
    pub monotonic_ns: u64,
    /// Who told.
    pub source: StatsSource,
    /// Tells one start of the VM from the next: libvirt's id of the domain, or
    /// the start of the process in clock ticks since boot.
    pub start: u64,
    /// CPU time of all its threads, nanoseconds.
    pub cpu_time_ns: Option<u64>,
    /// Virtual CPUs that are online.
    pub vcpus: Option<Vec<Vcpu>>,
    /// What it used of each physical CPU. Asked for only where it is shown.
    pub pcpus: Option<Vec<PcpuTime>>,
    /// Memory it is given now, KiB: the balloon's size, which is not what the
    /// guest uses.
    pub memory_kib: Option<u64>,
    /// Memory it can be given, KiB.
    pub memory_max_kib: Option<u64>,
    /// Memory of the host that its process occupies, KiB.
    pub memory_rss_kib: Option<u64>,
    /// Disks.
    pub disks: Option<Vec<DiskStats>>,
    /// Network cards as libvirt counts them, else as offwatch does.
    pub nics: Option<Vec<NicStats>>,
}

/// Who told statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatsSource {
    /// libvirt's bulk statistics.
    #[default]
    Libvirt,
    /// `/proc` of the process.
    Proc,
}

/// A virtual CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vcpu {
    /// Its number.
    pub number: u32,
    /// What it does.
    pub state: VcpuState,
    /// CPU time of its thread, nanoseconds.
    pub time_ns: Option<u64>,
    /// Physical CPU it was last on. Asked for only where it is shown.
    pub pcpu: Option<u32>,
}

/// State of a virtual CPU, in libvirt's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VcpuState {
    /// Not plugged in.
    Offline,
    /// Running.
    Running,
    /// Blocked on a resource.
    Blocked,
    /// Not known.
    #[default]
    Unknown,
}

/// CPU time of a VM on one physical CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PcpuTime {
    /// Number of the physical CPU.
    pub number: u32,
    /// Time of all the VM's threads there, nanoseconds.
    pub time_ns: Option<u64>,
    /// Time of its virtual CPUs alone, nanoseconds.
    pub vcpu_time_ns: Option<u64>,
}

/// A disk, from the guest's side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskStats {
    /// Name that libvirt gives it (`vda`).
    pub name: String,
    /// Requests to read.
    pub read_requests: Option<u64>,
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Requests to write.
    pub write_requests: Option<u64>,
    /// Bytes written.
    pub write_bytes: Option<u64>,
}

/// A network card, from the guest's side: received is what the guest received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NicStats {
    /// The host's interface (`vnet0`).
    pub name: String,
    /// Counted by offwatch itself, not by libvirt: generation of the interface,
    /// which tells it from another one that had its name before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// Frames received.
    pub rx_packets: Option<u64>,
    /// Errors while receiving.
    pub rx_errors: Option<u64>,
    /// Frames dropped before they were received.
    pub rx_drops: Option<u64>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
    /// Frames sent.
    pub tx_packets: Option<u64>,
    /// Errors while sending.
    pub tx_errors: Option<u64>,
    /// Frames dropped while sending.
    pub tx_drops: Option<u64>,
}

/// The machine that the VMs run on, as far as their statistics need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Host name as libvirt resolves it, else the kernel's.
    pub host_name: String,
    /// Architecture (`x86_64`).
    pub arch: String,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// CPUs that could be.
    pub cpus: u32,
    /// Clock of a CPU, if the system tells.
    pub mhz: Option<u32>,
    /// Memory, KiB.
    pub memory_kib: u64,
}
