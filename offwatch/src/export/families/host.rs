//! Metrics of the host: sums over everything, work without a known source, what
//! cannot be seen.

use super::{Family, Kind, Values, series};
use crate::export::{snapshot::HostValues, value::Value};

const BYTES: Option<&str> = Some("bytes");
const SECONDS: Option<&str> = Some("seconds");

/// A counter for each sum of a direction.
macro_rules! sums {
    ($($side:ident $prefix:literal $of:literal;)*) => {
        /// Sums of interfaces.
        pub(super) const SUMS: &[Family] = &[
            $(
                counter(
                    concat!("offwatch_host_", $prefix, "_packets"),
                    None,
                    concat!("Frames ", $of, "."),
                    |host| Some(Value::Count(host.sums.$side.packets)),
                ),
                counter(
                    concat!("offwatch_host_", $prefix, "_bytes"),
                    BYTES,
                    concat!("Bytes ", $of, "."),
                    |host| Some(Value::Count(host.sums.$side.bytes)),
                ),
                counter(
                    concat!("offwatch_host_", $prefix, "_gso_packets"),
                    None,
                    concat!("GSO frames ", $of, "."),
                    |host| host.has_gso.then_some(Value::Count(host.sums.$side.gso_packets)),
                ),
                counter(
                    concat!("offwatch_host_", $prefix, "_gso_bytes"),
                    BYTES,
                    concat!("Bytes of GSO frames ", $of, "."),
                    |host| host.has_gso.then_some(Value::Count(host.sums.$side.gso_bytes)),
                ),
                counter(
                    concat!("offwatch_host_", $prefix, "_drops"),
                    None,
                    concat!("Frames that the kernel dropped, ", $of, "."),
                    |host| host.has_drops.then_some(Value::Count(host.sums.$side.drops)),
                ),
            )*
        ];
    };
}

sums! {
    vm_receive "vm_receive"
        "received by all VMs (from the guests' side), those left out or gone included";
    vm_transmit "vm_transmit"
        "sent by all VMs (from the guests' side), those left out or gone included";
    interface_receive "interface_receive"
        "received from all interfaces of no VM (from the host's side), those left out or gone included";
    interface_transmit "interface_transmit"
        "sent to all interfaces of no VM (from the host's side), those left out or gone included";
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "offwatch_host",
        kind: Kind::Info,
        unit: None,
        help: "The host, its kernel, and how packets are counted.",
        labels: &["host", "kernel", "hook"],
        values: Values::OfHost(|snapshot, to| {
            if !snapshot.host.info.is_empty() {
                to.series(&snapshot.host.info, None, Value::Count(1));
            }
        }),
    },
    gauge(
        "offwatch_host_online_cpus",
        None,
        "CPUs of the host that are online.",
        |host| host.online_cpus.map(Value::Count),
    ),
    gauge(
        "offwatch_host_memory_bytes",
        BYTES,
        "Memory of the host.",
        |host| host.memory_bytes.map(Value::Count),
    ),
    gauge("offwatch_vms", None, "VMs known on this host.", |host| {
        Some(Value::Count(host.vms))
    }),
    gauge(
        "offwatch_interfaces",
        None,
        "Interfaces of the observed network namespace, without loopback.",
        |host| Some(Value::Count(host.interfaces)),
    ),
    gauge(
        "offwatch_interfaces_left_out",
        None,
        "Interfaces without series of their own, as --top allows no more.",
        |host| Some(Value::Count(host.left_out)),
    ),
    counter(
        "offwatch_host_software_segments",
        None,
        "Segments that the host's CPU cut on the way to any interface, those left out or gone \
         included.",
        |host| {
            let (segments, _) = host.has_work;
            segments.then_some(Value::Count(host.sums.segments))
        },
    ),
    counter(
        "offwatch_host_software_checksum_bytes",
        BYTES,
        "Bytes that the host's CPU checksummed on the way to any interface, those left out or \
         gone included.",
        |host| {
            let (_, bytes) = host.has_work;
            bytes.then_some(Value::Count(host.sums.checksum_bytes))
        },
    ),
    counter(
        "offwatch_host_unattributed_software_segments",
        None,
        "Segments that the host's CPU cut for frames of the host itself, or whose source the \
         kernel had forgotten (after routing, a tunnel or a veth).",
        |host| host.unattributed.0.map(Value::Count),
    ),
    counter(
        "offwatch_host_unattributed_software_checksum_bytes",
        BYTES,
        "Bytes that the host's CPU checksummed for such frames.",
        |host| host.unattributed.1.map(Value::Count),
    ),
    gauge(
        "offwatch_host_segment_cost_seconds",
        SECONDS,
        "CPU time of a segment that is cut, mean of those measured on this host; only where it \
         is timed.",
        |host| host.cost.0.map(Value::Number),
    ),
    gauge(
        "offwatch_host_checksum_byte_cost_seconds",
        SECONDS,
        "CPU time of a byte that is checksummed, mean of those measured on this host; only where \
         it is timed.",
        |host| host.cost.1.map(Value::Number),
    ),
    gauge(
        "offwatch_vm_statistics_timestamp_seconds",
        SECONDS,
        "When the oldest statistics of a VM (CPU time, memory, disks) were told, since the Unix \
         epoch: no scrape waits for libvirt.",
        |host| host.statistics_unix_ms.map(Value::unix_ms),
    ),
    Family {
        name: "offwatch_unavailable",
        kind: Kind::Gauge,
        unit: None,
        help: "What cannot be seen on this host, and why; always 1.",
        labels: &["what", "reason"],
        values: Values::OfHost(|snapshot, to| series(&snapshot.host.unavailable, to)),
    },
    Family {
        name: "offwatch_vm_unobservable",
        kind: Kind::Gauge,
        unit: None,
        help: "Network cards of a VM that cannot be seen, and why: how many.",
        labels: &["vm", "dev", "reason"],
        values: Values::OfHost(|snapshot, to| series(&snapshot.host.unobservable, to)),
    },
    Family {
        name: "offwatch_interface_unobservable",
        kind: Kind::Gauge,
        unit: None,
        help: "Interfaces of no VM whose frames are not counted, and why; always 1.",
        labels: &["dev", "reason"],
        values: Values::OfHost(|snapshot, to| series(&snapshot.host.uncounted, to)),
    },
];

/// Of what `Values::Host` needs: a field of the host.
const fn gauge(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    value: fn(&HostValues) -> Option<Value>,
) -> Family {
    Family {
        name,
        kind: Kind::Gauge,
        unit,
        help,
        labels: &[],
        values: Values::OneOfHost(value),
    }
}

const fn counter(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    value: fn(&HostValues) -> Option<Value>,
) -> Family {
    Family {
        kind: Kind::Counter,
        ..gauge(name, unit, help, value)
    }
}
