//! The filter of the capture, run by the kernel: TCP over IPv4 or IPv6, with one VLAN
//! tag or none, and of it the headers alone.

use libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX,
    BPF_RET, sock_filter,
};

use crate::measure::tcp::SNAP_BYTES;

/// Bytes before the length of IPv6, and before the protocol of IPv4.
const ETHERTYPE: u32 = 12;
const V4_FRAGMENT: u32 = 20;
const V4_PROTOCOL: u32 = 23;
const V6_NEXT_HEADER: u32 = 20;
const TAG_BYTES: u32 = 4;

const fn load(code: u32, at: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k: at,
    }
}

const fn branch(test: u32, value: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: (BPF_JMP | test | BPF_K) as u16,
        jt,
        jf,
        k: value,
    }
}

/// X is the length of the tag, and 0 at first.
pub(super) const TCP: [sock_filter; 15] = [
    load(BPF_LD | BPF_H | BPF_ABS, ETHERTYPE),
    branch(BPF_JEQ, libc::ETH_P_8021Q as u32, 1, 0),
    branch(BPF_JEQ, libc::ETH_P_8021AD as u32, 0, 2),
    load(BPF_LDX | BPF_IMM, TAG_BYTES),
    load(BPF_LD | BPF_H | BPF_IND, ETHERTYPE),
    branch(BPF_JEQ, libc::ETH_P_IP as u32, 0, 4),
    load(BPF_LD | BPF_B | BPF_IND, V4_PROTOCOL),
    branch(BPF_JEQ, libc::IPPROTO_TCP as u32, 0, 5),
    load(BPF_LD | BPF_H | BPF_IND, V4_FRAGMENT),
    branch(BPF_JSET, 0x1fff, 3, 4),
    branch(BPF_JEQ, libc::ETH_P_IPV6 as u32, 0, 2),
    load(BPF_LD | BPF_B | BPF_IND, V6_NEXT_HEADER),
    branch(BPF_JEQ, libc::IPPROTO_TCP as u32, 1, 0),
    load(BPF_RET | BPF_K, 0),
    load(BPF_RET | BPF_K, SNAP_BYTES as u32),
];
