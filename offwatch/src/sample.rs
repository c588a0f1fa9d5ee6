//! A sample: the raw counters and facts of one moment, as plain data.
//!
//! Live runs take samples, recordings hold them and tests write them by hand;
//! every output is made from samples alone ([`crate::model`]).

pub mod evidence;
mod exact;
pub mod offloads;
mod vm_stats;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use offwatch_common::{Slot, Work};
use serde::{Deserialize, Serialize};

pub use self::exact::{ExactCounters, ExactHooks, Exactness, Method};
pub use self::vm_stats::{
    DiskStats, NicStats, Node, PcpuTime, StatsSource, Vcpu, VcpuState, VmStats,
};
use self::{
    evidence::Evidence,
    offloads::{Fact, FeatureNames, KernelCounters, Limits, Offloads},
};
use crate::facts::Facts;

/// Everything read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Wall clock, milliseconds since the Unix epoch; for display only.
    pub time_unix_ms: u64,
    /// Monotonic clock, nanoseconds; intervals are measured with it.
    pub monotonic_ns: u64,
    /// The host, and what can be observed on it.
    pub host: Host,
    /// Network interfaces of the observed network namespace. Samples that
    /// follow each other share those of which nothing has changed.
    pub interfaces: Vec<Arc<Interface>>,
    /// VMs known on this host.
    pub vms: Vec<Vm>,
    /// How the host is set up, in the samples for which that was gathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Arc<Facts>>,
}

impl Sample {
    /// How much later than `earlier` this sample was taken; zero if it was not.
    pub fn since(&self, earlier: &Self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.saturating_sub(earlier.monotonic_ns))
    }
}

/// The host that was observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Host name.
    pub name: String,
    /// Kernel release (`uname -r`).
    pub kernel: String,
    /// CPUs that are online.
    pub online_cpus: u32,
    /// The machine as statistics of VMs see it; none in old recordings.
    #[serde(default)]
    pub node: Option<Arc<Node>>,
    /// Inode number of the observed network namespace.
    pub netns: u64,
    /// How packets are counted.
    pub hook: Hook,
    /// What of a frame can be read.
    #[serde(default)]
    pub reads: Reads,
    /// Software work for frames of the host itself, or whose source the kernel
    /// had forgotten (after routing, a tunnel or a veth); none where packets are
    /// not counted.
    pub unattributed: Option<Work>,
    /// What is counted where it is done.
    #[serde(default)]
    pub exact: ExactHooks,
    /// libvirt does not answer, though it did or has files of VMs: those and `/proc`
    /// tell of them instead, and nothing does of their disks.
    #[serde(default, skip_serializing_if = "is_false")]
    pub libvirt_is_silent: bool,
    /// Things the user should know about the whole sample, as a libvirt that
    /// does not answer.
    pub notes: Vec<String>,
    /// How the kernel calls offload features, in the order of their numbers.
    #[serde(default)]
    pub feature_names: FeatureNames,
    /// What the kernel says about the host.
    #[serde(default)]
    pub evidence: Evidence,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// How packets are counted. All hooks run the same counting function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// BTF tracepoints.
    #[default]
    Tp,
    /// Raw tracepoints.
    Raw,
    /// tc classifiers on each interface.
    Tc,
}

impl Hook {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tp => "tp",
            Self::Raw => "raw",
            Self::Tc => "tc",
        }
    }
}

/// What of a frame the programs can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Everything.
    #[default]
    All,
    /// The fields of `struct sk_buff` itself. `gso_size` is not one of them, so
    /// neither GSO nor software work is seen.
    FieldsOnly,
}

/// Why a kind of value cannot be seen; `None` where it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blind {
    /// Whether a frame is GSO, and everything that follows from it.
    pub gso: Option<&'static str>,
    /// Software segmentation and checksum work.
    pub work: Option<&'static str>,
    /// Dropped frames.
    pub drops: Option<&'static str>,
}

impl Host {
    /// What cannot be seen with the hook in use.
    pub fn blind(&self) -> Blind {
        const TC: Option<&str> = Some("tc programs run before segmentation and see no drops");
        const FIELDS: Option<&str> = Some(
            "lockdown=confidentiality keeps programs from reading gso_size, and this kernel has \
             no bpf_rdonly_cast (Linux 6.2)",
        );
        match (self.reads, self.hook) {
            (Reads::FieldsOnly, _) => Blind {
                gso: FIELDS,
                work: FIELDS,
                drops: None,
            },
            (Reads::All, Hook::Tc) => Blind {
                gso: None,
                work: TC,
                drops: TC,
            },
            (Reads::All, Hook::Tp | Hook::Raw) => Blind::default(),
        }
    }
}

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Name at the time of the sample.
    pub dev: Arc<str>,
    /// Index in the observed network namespace.
    pub ifindex: u32,
    /// Distinguishes interfaces that had the same ifindex one after the other:
    /// samples are joined by (ifindex, generation), never by name.
    pub generation: u64,
    /// What it is.
    pub kind: Kind,
    /// MAC address of the host's side, if it has one.
    pub mac: Option<Arc<str>>,
    /// ifindex of the bridge, bond or switch it belongs to.
    pub master: Option<u32>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Counters since offwatch began to observe the interface, or why there are none.
    pub counters: Counters,
    /// Its offloads.
    #[serde(default)]
    pub offloads: Arc<Offloads>,
    /// Its limits.
    #[serde(default)]
    pub limits: Fact<Arc<Limits>>,
    /// The kernel's own counters.
    #[serde(default)]
    pub kernel: Fact<KernelCounters>,
    /// Software work counted where it is done, and drops by class.
    #[serde(default)]
    pub exact: ExactCounters,
}

/// Counters of an interface, or the reason why it has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counters {
    /// Counted since the interface was first seen.
    Counted(Arc<Slot>),
    /// Not counted, because.
    Unavailable(Arc<str>),
}

impl Default for Counters {
    fn default() -> Self {
        Self::Counted(Arc::default())
    }
}

/// What an interface is, as far as offloads are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A tap: the host's end of a VM's network card.
    Tap,
    /// A tun device without Ethernet headers.
    Tun,
    /// A Linux bridge.
    Bridge,
    /// A device with hardware below it: an uplink.
    Physical,
    /// The loopback device.
    Loopback,
    /// The kernel gave no kind.
    #[default]
    Unknown,
    /// Any other kind, by the name the kernel gives it (`veth`, `vxlan`, ...).
    #[serde(untagged)]
    Other(String),
}

impl Kind {
    /// Name for tables and JSON.
    pub fn name(&self) -> &str {
        match self {
            Self::Tap => "tap",
            Self::Tun => "tun",
            Self::Bridge => "bridge",
            Self::Physical => "physical",
            Self::Loopback => "loopback",
            Self::Other(name) => name,
            Self::Unknown => "unknown",
        }
    }
}

/// One VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vm {
    /// Name.
    pub name: Arc<str>,
    /// UUID, if known.
    pub uuid: Option<Arc<str>>,
    /// libvirt's id of a running domain.
    pub id: Option<u32>,
    /// Process id of QEMU, where it is known.
    pub pid: Option<u32>,
    /// State.
    pub state: VmState,
    /// Who told its name and interfaces.
    pub source: Source,
    /// Its network cards.
    pub nics: Arc<Vec<Nic>>,
    /// Nanoseconds that the living vhost threads of its process have run; none
    /// where they cannot be seen.
    pub vhost_cpu_ns: Option<u64>,
    /// What it used; none while it is off, and in old recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Arc<VmStats>>,
}

/// State of a VM, in libvirt's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// Running.
    Running,
    /// Blocked on a resource.
    Blocked,
    /// Paused by the user.
    Paused,
    /// Shutting down.
    Shutdown,
    /// Shut off.
    Shutoff,
    /// Crashed.
    Crashed,
    /// Suspended by the guest's power management.
    Suspended,
    /// Not known.
    #[default]
    Unknown,
}

impl VmState {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
            Self::Shutdown => "shutting down",
            Self::Shutoff => "shut off",
            Self::Crashed => "crashed",
            Self::Suspended => "suspended",
            Self::Unknown => "state unknown",
        }
    }
}

/// Who told about a VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// libvirt's API.
    #[default]
    Libvirt,
    /// libvirt's status files in `/run/libvirt/qemu`.
    Status,
    /// `/proc` of the QEMU process.
    Proc,
}

/// One network card of a VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Name of the host's interface behind it, if there is one.
    pub dev: Option<String>,
    /// MAC address as the guest sees it.
    pub mac: Option<String>,
    /// What carries its frames: `tap`, `macvtap`, `vhost-user`, `vfio`, `passt`, ...
    pub backend: String,
    /// Why its traffic cannot be observed on this host, if so.
    pub unobservable: Option<String>,
}

/// Reasons by field name, as printed in every output.
pub type Unavailable = BTreeMap<String, String>;
