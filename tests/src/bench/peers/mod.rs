//! Other tools on the same work, in the same run, where they are installed.

mod bpftrace;
mod netqtop;
mod results;
mod virsh;

use std::{env, iter, path::PathBuf};

use anyhow::Result;

pub(super) use self::results::{Peers, goals, tables};
use super::variant::Empty;

/// A directory that is searched before `PATH`.
const DIRECTORY: &str = "OFFWATCH_PEERS";

/// A tool that offwatch is held against.
struct Peer {
    program: &'static str,
    /// How to get it.
    get: &'static str,
}

const ALL: [Peer; 6] = [
    Peer {
        program: "bpftrace",
        get: "apt install bpftrace",
    },
    Peer {
        program: "virt-top",
        get: "apt install virt-top",
    },
    Peer {
        program: "virsh",
        get: "apt install libvirt-clients",
    },
    Peer {
        program: netqtop::PROGRAM,
        get: "apt install bpfcc-tools, and the kernel's headers",
    },
    Peer {
        program: "strace",
        get: "apt install strace",
    },
    Peer {
        program: "iperf3",
        get: "cargo xtask setup",
    },
];

/// Where a program is: in `OFFWATCH_PEERS`, or in `PATH`.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let first = env::var_os(DIRECTORY).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = first.into_iter().chain(env::split_paths(&path));
    let mut programs = directories.map(|directory| directory.join(name));
    programs.find(|program| program.is_file())
}

/// A line for each that is missing, and how to get it.
pub(super) fn missing() -> Vec<String> {
    let missing = ALL.iter().filter(|peer| program(peer.program).is_none());
    missing
        .map(|peer| {
            format!(
                "{} is not installed: {} (or name a directory in {DIRECTORY})",
                peer.program, peer.get
            )
        })
        .collect()
}

/// Of a tool that is not there.
fn not_installed(program: &str) -> String {
    format!("{program} is not installed")
}

pub(super) fn measure(empty: &mut Empty, rounds: usize, ticks: u32) -> Result<Peers> {
    Ok(Peers {
        bpftrace: bpftrace::measure(empty, rounds)?,
        ticks: virsh::measure(ticks)?,
        netqtop: netqtop::refusal()?,
    })
}

/// Forth and back again, so that a steady drift is the same for all.
fn forth_and_back(count: usize) -> impl Iterator<Item = usize> {
    iter::chain(0..count, (0..count).rev())
}
