//! The parts of the bench, each of which can be measured alone.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Traffic between two guests
    EndToEnd,
    /// A fixed number of frames from tap to tap
    Paths,
    /// The programs alone
    Bodies,
    /// The programs at the kernel's own functions
    Exact,
    /// Both processors sending through one tap
    Multiqueue,
    /// Attach, read, detach; kernel memory
    Control,
    /// A tick of `top` on hosts of several sizes
    Scale,
    /// Other tools on the same work
    Peers,
    /// One window of `advise`
    Advise,
    /// Features of many taps changed and verified
    Enforce,
    /// `enforce --watch`, idle and while guests negotiate
    Watch,
}

impl Part {
    /// In the order in which the page has them.
    pub const ALL: [Self; 11] = [
        Self::EndToEnd,
        Self::Paths,
        Self::Bodies,
        Self::Exact,
        Self::Multiqueue,
        Self::Control,
        Self::Scale,
        Self::Peers,
        Self::Advise,
        Self::Enforce,
        Self::Watch,
    ];

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Its heading.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::EndToEnd => "End to end, from guest to guest",
            Self::Paths => "A frame's way, with its hooks",
            Self::Bodies => "The programs alone",
            Self::Exact => "Exact hooks",
            Self::Multiqueue => "Both processors, one tap",
            Self::Control => "Attach, read, detach",
            Self::Scale => "A tick of `top`",
            Self::Peers => "Other tools on the same work",
            Self::Advise => "One window of `advise`",
            Self::Enforce => "Changing features of many taps",
            Self::Watch => "`enforce --watch`",
        }
    }

    /// How it is measured.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::EndToEnd => {
                "Each guest is a network namespace behind a tap on the host's bridge. In turns: \
                 `offwatch top --stream` runs, empty programs (one array increment) are at the same \
                 hooks, nothing is, and back again (ABBA), each from 1 s after its start. A loss is 1 less the median of the paired \
                 ratios. TCP is iperf3's, and threads copy frames between guest and tap, as QEMU does \
                 without vhost. Processors are all busy: whatever offwatch takes is missing \
                 elsewhere. UDP is a fixed number of datagrams from socket to socket, for which one \
                 thread on one processor does everything: it sends, copies, and receives. (With threads \
                 of their own, as iperf3 has them, what arrives of a flood varied by half from turn to \
                 turn.) Guests have the same kernel here as their host, so hooks run for frames on the \
                 guests' side as well, which they do not on a real host."
            }
            Self::Paths => {
                "One thread on one processor writes a fixed number of frames to a tap, and the kernel \
                 carries each to another tap within the write. Counted is CPU time of the thread, a \
                 frame. All contenders take turns and go back again (ABBA) in each round. \"Added\" is \
                 the time above that with no program attached; the empty programs sit at the same \
                 hooks. Nothing here but the kernel's forwarding touches the frame: no guest, no \
                 socket, no copy between them."
            }
            Self::Bodies => {
                "The kernel's run-time statistics of each program while frames pass, fastest of several \
                 attempts; they add two readings of the clock to each run, also to those of the empty \
                 programs. `BPF_PROG_TEST_RUN` repeats classifiers only."
            }
            Self::Exact => {
                "The same frames with and without the programs at the kernel's own functions, which run \
                 once a super-frame. Where this kernel does not let them attach, the row says so: \
                 there, emulated kernels count their instructions (next table, if it is there)."
            }
            Self::Multiqueue => {
                "Both processors send to one tap with two queues, so that they add to one slot at the \
                 same time: shared counters with atomic additions, as offwatch has them, against \
                 counters of each processor."
            }
            Self::Control => {
                "Median of 7. No interface exists here: the cost is the same for those that do. \
                 Kernel memory is what the kernel charges for all maps (`memlock` in `/proc/PID/fdinfo`), \
                 with room for 16,384 interfaces."
            }
            Self::Scale => {
                "CPU time of all threads of a release build, a tick of 1 s, in a namespace with as many \
                 taps as said, after all is listed; with most taps long enough that the screen and the \
                 exporter make their findings twice. Domains are those of libvirt's test driver; \
                 libvirt's own call runs inside each program there, and is part of all its figures \
                 but where it is left out."
            }
            Self::Peers => {
                "The same fixed numbers of frames as above, with offwatch's hooks and with a bpftrace \
                 script that counts packets, bytes and a histogram of `gso_size` for each interface, in \
                 turns (ABBA). For a tick: 1,000 domains of libvirt's test driver, in turns; `virsh` \
                 stays connected."
            }
            Self::Advise => {
                "`offwatch advise --json` over one short window in a namespace with as many taps as said; \
                 it starts, looks at everything twice, judges and ends. Middle of several runs. Wall \
                 time is that beyond the window. Memory is the highest seen by looking often."
            }
            Self::Enforce => {
                "Wall time of one `offwatch enforce --apply`, with its journal, read back and watchdog, of \
                 `undo`, and of a shell's loop of `ethtool -K` and `ethtool -k`, in turns."
            }
            Self::Watch => {
                "1,000 taps under a policy. Idle: CPU time of all threads. Then each tap in turn \
                 negotiates as a guest's driver does, and the time until the policy holds again is taken."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_in_the_page_once() {
        assert_eq!(Part::ALL.as_slice(), Part::value_variants());
    }
}
