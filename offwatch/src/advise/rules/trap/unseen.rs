//! What is believed or decided elsewhere, for the record.

use crate::advise::rule::{Check, Family, Rule};

pub(super) static SG_OFF_XEN: Rule = Rule {
    id: "sg-off-xen",
    family: Family::Trap,
    title: "'Turn sg off' is a story of Xen",
    mechanism: "An article tells of 20 KB/s under Xen that sg off cured; scatter-gather off takes \
        TSO and GSO with it, so it cures what TSO off cures, and costs copies",
    trigger: "Never: it is an anecdote.",
    remedy: "Do not turn sg off. If it is off, the rule tap-sg-off says what it costs.",
    cost: "Sender tx, sg, TSO and GSO off: 0.6 to 1.6 of 6.8 to 9.1 Gbit/s.",
    wrong_when: "never",
    sources: &["kris.io", "Linux, net/core/dev.c: netdev_fix_features"],
    check: Check::Unseen("there is no evidence that would ask for it"),
    ..Rule::BASE
};

pub(super) static FLEET_TSO_OFF: Rule = Rule {
    id: "fleet-tso-off",
    family: Family::Trap,
    title: "A provider turned TSO and GSO off for all its VMs",
    mechanism: "A fault of one version made guests slow (50 kbit/s); the provider turned the \
        offloads off everywhere, and planned to turn them on again",
    trigger: "Never: it is a decision about a fleet, not about this host.",
    remedy: "Ask for the evidence on this host; the rules of this catalogue look for it.",
    cost: "The price that keep-on tells.",
    wrong_when: "never",
    sources: &["Exoscale, on TSO and GSO of its instances"],
    check: Check::Unseen("it is a decision about other hosts"),
    ..Rule::BASE
};

pub(super) static USO_MIGRATION: Rule = Rule {
    id: "uso-migration",
    family: Family::Trap,
    title: "A VM that negotiated USO does not migrate to a host without it",
    mechanism: "QEMU refuses a VM whose features its host does not have (features unsupported)",
    trigger: "Never: other hosts are not seen.",
    remedy: "Change USO in the XML on all hosts of a cluster alike, or not at all.",
    cost: "None.",
    wrong_when: "the VM never migrates",
    sources: &["qemu-devel: Features 0x1c0010130afffa7 unsupported"],
    check: Check::Unseen("what the other hosts of a cluster have is not known here"),
    ..Rule::BASE
};

pub(super) static OVS_USERSPACE_TSO: Rule = Rule {
    id: "ovs-userspace-tso",
    family: Family::Trap,
    title: "Open vSwitch in userspace drops TSO frames at ports without TSO",
    mechanism: "Its userspace datapath did not segment in software (of that version): what a port \
        cannot take is dropped",
    trigger: "Never: vhost-user frames pass no hook.",
    remedy: "Use ports that all have TSO, or turn userspace-tso-enable off there.",
    cost: "That of TSO off, on that switch.",
    wrong_when: "a newer version segments in software",
    sources: &["Open vSwitch documentation: userspace TSO"],
    check: Check::Unseen("vhost-user moves frames past the kernel"),
    ..Rule::BASE
};

pub(super) static DRIVER_FIXED_UPSTREAM: Rule = Rule {
    id: "driver-fixed-upstream",
    family: Family::Trap,
    title: "A driver's fault is fixed in the driver, not on every host",
    mechanism: "ldmvsw turned its own TSO and GSO off when bridging broke with them; no other \
        device was touched",
    trigger: "Never: it is an example.",
    remedy: "Upgrade the driver at fault.",
    cost: "None.",
    wrong_when: "never",
    sources: &["Linux commit bc221a34ac47"],
    check: Check::Unseen("it is an example, not a condition"),
    ..Rule::BASE
};
