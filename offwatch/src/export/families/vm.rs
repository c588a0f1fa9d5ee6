//! Metrics of VMs themselves.

use super::{Family, Kind, Values};
use crate::export::{snapshot::VmRow, value::Value};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "offwatch_vm",
        kind: Kind::Info,
        unit: None,
        help: "A VM, and who told of it: libvirt, libvirt's status files, or /proc. Of VMs that \
               share a name, the first keeps it; the UUID is added to that of the others.",
        labels: &["vm", "uuid", "source"],
        values: Values::OfVms(|vm, to| to.series(&vm.info, None, Value::Count(1))),
    },
    Family {
        name: "offwatch_vm_state",
        kind: Kind::Gauge,
        unit: None,
        help: "The state of the VM, in the label; always 1.",
        labels: &["vm", "state"],
        values: Values::OfVms(|vm, to| {
            to.series(&vm.labels, Some(("state", vm.state)), Value::Count(1));
        }),
    },
    gauge(
        "offwatch_vm_id",
        None,
        "libvirt's id of the running VM.",
        |vm| vm.id.map(|id| Value::Count(id.into())),
    ),
    counter(
        "offwatch_vm_cpu_seconds",
        Some("seconds"),
        "CPU time of all threads of the VM since its start, as libvirt told it last; while that \
         does not answer, it goes on by what /proc tells.",
        |vm| vm.used.cpu_ns.map(Value::Ns),
    ),
    gauge(
        "offwatch_vm_memory_bytes",
        Some("bytes"),
        "Memory that the VM is given now: the balloon's size.",
        |vm| vm.memory_bytes.map(Value::Count),
    ),
    gauge(
        "offwatch_vm_memory_maximum_bytes",
        Some("bytes"),
        "Memory that the VM can be given.",
        |vm| vm.memory_maximum_bytes.map(Value::Count),
    ),
    gauge(
        "offwatch_vm_vcpus",
        None,
        "Virtual CPUs of the VM that are online.",
        |vm| vm.vcpus.map(Value::Count),
    ),
    counter(
        "offwatch_vm_disk_read_requests",
        None,
        "Requests of the VM to read, all disks together, also those that were unplugged.",
        |vm| vm.used.read_requests.map(Value::Count),
    ),
    counter(
        "offwatch_vm_disk_write_requests",
        None,
        "Requests of the VM to write, all disks together, also those that were unplugged.",
        |vm| vm.used.write_requests.map(Value::Count),
    ),
    counter(
        "offwatch_vm_disk_read_bytes",
        Some("bytes"),
        "Bytes that the VM read, all disks together, also those that were unplugged.",
        |vm| vm.used.read_bytes.map(Value::Count),
    ),
    counter(
        "offwatch_vm_disk_write_bytes",
        Some("bytes"),
        "Bytes that the VM wrote, all disks together, also those that were unplugged.",
        |vm| vm.used.write_bytes.map(Value::Count),
    ),
    counter(
        "offwatch_vm_vhost_cpu_seconds",
        Some("seconds"),
        "CPU time of the VM's living vhost threads, which carry its frames; the highest figure \
         seen, as threads end.",
        |vm| vm.used.vhost_cpu_ns.map(Value::Ns),
    ),
];

const fn gauge(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    value: fn(&VmRow) -> Option<Value>,
) -> Family {
    Family {
        name,
        kind: Kind::Gauge,
        unit,
        help,
        labels: &["vm"],
        values: Values::Vms(value),
    }
}

const fn counter(
    name: &'static str,
    unit: Option<&'static str>,
    help: &'static str,
    value: fn(&VmRow) -> Option<Value>,
) -> Family {
    Family {
        kind: Kind::Counter,
        ..gauge(name, unit, help, value)
    }
}
