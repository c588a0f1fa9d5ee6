//! Cases that a host does not see.

use crate::advise::rule::{Check, Family, Rule};

pub(super) static WINDOWS_TASKOFFLOAD: Rule = Rule {
    id: "windows-taskoffload",
    family: Family::Checksum,
    title: "Windows with taskoffload disabled asks for checksums at impossible places",
    mechanism: "With task offload disabled in Windows, old versions of NetKVM set a csum_start \
        that lies outside of the frame, and the tap refuses it",
    trigger: "Frames from the tap with a csum_start outside of them.",
    remedy: "netsh int ipv4 set global taskoffload=enabled; update NetKVM.",
    cost: "None.",
    wrong_when: "it was disabled for a fault of a physical card's driver",
    sources: &["virtio-win PR#1487", "virtio-win#583 and #59"],
    check: Check::Unseen(
        "a refused virtio header leaves no frame, and its counter \
        (rx_frame_errors) is not read",
    ),
    ..Rule::BASE
};

pub(super) static USERSPACE_CONSUMER: Rule = Rule {
    id: "userspace-consumer",
    family: Family::Checksum,
    title: "A program that reads raw frames does not understand super-frames",
    mechanism: "netmap, raw sockets and userspace bridges get frames before they are cut and \
        summed, and pass them on as they are",
    trigger: "Frames above the MTU, or with partial checksums, into such a program, and goodput \
        below 1 Mbit/s.",
    remedy: "tx, TSO, GSO and sg off at the sender's side of that program, and nowhere else.",
    cost: "1 Gbit/s became 365 Mbit/s with TSO off elsewhere.",
    wrong_when: "the program reads virtio headers (PACKET_VNET_HDR)",
    sources: &["netmap#175", "weave#1255", "siag.nu (2015)"],
    check: Check::Unseen("that a program reads raw frames, and what it then does, is not seen"),
    ..Rule::BASE
};

pub(super) static IDS_CAPTURE: Rule = Rule {
    id: "ids-capture",
    family: Family::Checksum,
    title: "An intrusion detection system sees merged frames",
    mechanism: "GRO and LRO of the capturing card merge frames before they are captured",
    trigger: "Mirrored traffic (foreign MAC addresses in both directions) with frames above the \
        MTU.",
    remedy: "gro off lro off and rx-gro-hw off, in the capturing guest or on the capturing card.",
    cost: "None, on a card that only captures.",
    wrong_when: "the card carries the VM's own traffic as well",
    sources: &[
        "docs.mirantis.com: intrusion detection",
        "Xore/APIARY#342: gro off alone is not enough",
    ],
    check: Check::Unseen("addresses are not counted, so a mirror looks like any traffic"),
    ..Rule::BASE
};

pub(super) static RX_CHECKSUM_TRUSTED: Rule = Rule {
    id: "rx-checksum-trusted",
    family: Family::Checksum,
    title: "Old kernels took a frame for verified behind a veth",
    mechanism: "A frame that no one had verified became one that was when it crossed a veth pair",
    trigger: "Frames with CHECKSUM_NONE before and CHECKSUM_UNNECESSARY behind a veth.",
    remedy: "Upgrade; until then rx off on the veth.",
    cost: "CPU time for what is received.",
    wrong_when: "the kernel is of 2016 or later",
    version_bound: Some("Linux of before 2016"),
    sources: &["vijayp (2016): data corruption behind veth"],
    check: Check::Unseen("kernels on which offwatch runs have the fix"),
    ..Rule::BASE
};
