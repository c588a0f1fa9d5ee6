//! Cases that a host does not see.

use crate::advise::rule::{Check, Family, Rule};

pub(super) static OLD_TAP_FRAGLIST: Rule = Rule {
    id: "old-tap-fraglist",
    family: Family::Stability,
    title: "Very old kernels handed taps merged frames they could not take",
    mechanism: "GRO made lists of frames that a tap without TSO did not cut",
    trigger: "A frame with a list of fragments to a tap without TSO.",
    remedy: "Upgrade.",
    cost: "None.",
    wrong_when: "the kernel is newer than 2.6.35",
    version_bound: Some("Linux before 2.6.35"),
    sources: &["Linux commit 622e0ca1cd4d"],
    check: Check::Unseen("kernels on which offwatch runs have the fix"),
    ..Rule::BASE
};

pub(super) static SKB_SEGMENT_BUG: Rule = Rule {
    id: "skb-segment-bug",
    family: Family::Stability,
    title: "A BPF program that changes gso_size of a merged frame stops the kernel",
    mechanism: "skb_segment cannot cut a list of frames whose segment size was changed, and ended \
        in BUG()",
    trigger: "A list of frames whose gso_size a BPF program changed.",
    remedy: "Upgrade; until then GRO off at the card.",
    cost: "CPU time for what is received.",
    wrong_when: "the kernel has the fixes",
    version_bound: Some("Linux without the two commits named as sources"),
    sources: &["Linux commits 3dcbdb134f32 and 9e4b7a99a03a"],
    check: Check::Unseen("the host has stopped by then; its console has the trace"),
    ..Rule::BASE
};

pub(super) static WINDOWS_LSO_SLOW: Rule = Rule {
    id: "windows-lso-slow",
    family: Family::Stability,
    title: "Windows sends slowly with large send offload",
    mechanism: "Not known; one report of 1 Mbit/s with LSO and 2 Gbit/s without",
    trigger: "GSO frames from a Windows guest, 5 % or more of its segments sent again, and \
        goodput below 50 Mbit/s.",
    remedy: "Try Large Send Offload V2 off in the adapter's properties, in that guest alone.",
    cost: "CPU time in the guest.",
    wrong_when: "the network loses frames",
    sources: &["virtio-win#1131"],
    check: Check::Unseen("what a guest's TCP sends again is not told from what it sends first"),
    ..Rule::BASE
};

pub(super) static GATEWAY_GRO: Rule = Rule {
    id: "gateway-gro",
    family: Family::Stability,
    title: "VMs behind a gateway are far slower than the gateway itself",
    mechanism: "Kernels of 2014 lost performance when frames merged by GRO were routed and cut \
        again",
    trigger: "Goodput of a VM far below that of its host on the same path.",
    remedy: "Try GRO off at the card, and measure both.",
    cost: "CPU time for what is received.",
    wrong_when: "the kernel is newer, as is likely",
    version_bound: Some("kernels of 2014"),
    sources: &[
        "tzpst.hatenablog.com",
        "e-com-net.com: 0.4 against 6.4 MB/s",
    ],
    check: Check::Unseen(
        "the two are never measured at the same time on the same path: that is a \
        trial",
    ),
    ..Rule::BASE
};
