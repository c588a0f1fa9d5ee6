//! What is promised, and what is to be said where a promise is not kept.

use serde::{Deserialize, Serialize};

use super::part::Part;

/// A promise: a figure that is at most its limit.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) part: Part,
    /// What is measured, in the fewest words. It is how the page and the JSON know it.
    pub(super) name: &'static str,
    pub(super) limit: f64,
    pub(super) unit: &'static str,
    /// Why it is no less, told where it is missed; empty for what is not expected to be.
    pub(super) note: &'static str,
}

const fn goal(part: Part, name: &'static str, limit: f64, unit: &'static str) -> Goal {
    Goal {
        part,
        name,
        limit,
        unit,
        note: "",
    }
}

impl Goal {
    const fn because(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

pub(super) const TCP_GSO: Goal = goal(
    Part::EndToEnd,
    "TCP with GSO, goodput lost for certain (lower end of the 95 % interval)",
    0.0,
    " %",
);
pub(super) const UDP_64: Goal = goal(Part::EndToEnd, "UDP 64 B, packets lost", 2.0, " %").because(
    "One processor does everything here, so what the hooks take of a frame's cost is what is missing. \
     Empty programs, that only add one to an array, take most of that: it is the kernel's dispatch. They \
     run on the guests' side as well, which they do not on a real host.",
);

pub(super) const BRIDGE: Goal = goal(
    Part::Paths,
    "64 B through a bridge: added by the default hooks, to what empty programs add",
    1.25,
    "x",
)
.because(
    "Empty programs add one to one array. A frame here has two interfaces, each with packets, bytes, and \
     a bucket of lengths.",
);
pub(super) const VETH: Goal = goal(
    Part::Paths,
    "64 B through a bridge, a veth pair and a bridge: the same",
    1.25,
    "x",
)
.because("As through one bridge, with four interfaces.");

pub(super) const ATTACH: Goal = goal(
    Part::Control,
    "Attach and detach, 10,000 interfaces",
    200.0,
    " ms",
);
pub(super) const READ: Goal = goal(Part::Control, "Reading 10,000 interfaces", 2.0, " ms");
pub(super) const READ_CALLS: Goal = goal(
    Part::Control,
    "System calls to read 10,000 interfaces",
    0.0,
    "",
);
pub(super) const KERNEL_MEMORY: Goal = goal(
    Part::Control,
    "Kernel memory with room for 16,384 interfaces",
    16.0,
    " MiB",
);

pub(super) const TICK: Goal = goal(
    Part::Scale,
    "A tick of `top` at 10,000 interfaces, with its screen, CPU time",
    10.0,
    " ms",
)
.because(
    "A quarter is asking the kernel about the next 1,100 interfaces, as on any large host; a quarter is \
     drawing, and findings, which are made every half minute; a seventh is reading 15 MB of counters.",
);
pub(super) const STREAM_TICK: Goal = goal(
    Part::Scale,
    "A tick of `top --stream` at 10,000 interfaces, CPU time",
    10.0,
    " ms",
);
pub(super) const SYSCALLS: Goal = goal(
    Part::Scale,
    "System calls of a tick of `top` at 10,000 interfaces, above those at 10",
    0.0,
    "",
)
.because(
    "No call is made more often for more interfaces, which a test asserts by name and object. Threads that \
     wait for each other make some more or fewer from run to run: the table has as many more on the \
     middle host.",
);
pub(super) const MEMORY: Goal = goal(
    Part::Scale,
    "Resident memory of `top` at 10,000 interfaces",
    40.0,
    " MiB",
)
.because(
    "The counters, which are the kernel's memory and mapped, take 15, libvirt and its libraries 14, and the \
     program's own pages 10: that is 39 without any heap, which takes 18 and more.",
);
pub(super) const VIRT_TOP: Goal = goal(
    Part::Scale,
    "A tick at 1,000 domains, to one of virt-top",
    1.0 / 3.0,
    "x",
)
.because(
    "libvirt's own call, the same in both, takes two fifths of virt-top's tick or more, by what it takes in \
     offwatch's: what makes it cannot take a third.",
);
pub(super) const VIRT_TOP_WITHOUT: Goal = goal(
    Part::Scale,
    "The same without libvirt's call in offwatch's tick",
    0.1,
    "x",
)
.because("What is left is making and printing the rows of 1,000 domains, which takes virt-top twice as long or more.");

pub(super) const BPFTRACE: Goal = goal(
    Part::Peers,
    "64 B through a bridge: added by the default hooks, to what the bpftrace script adds",
    0.25,
    "x",
)
.because(
    "What both have in common is the kernel's dispatch of a program at a hook, which offwatch pays at \
     three hooks of a frame and the script at two.",
);

pub(super) const ADVISE: Goal = goal(
    Part::Advise,
    "One window of `advise` at 10,000 interfaces, CPU time",
    1000.0,
    " ms",
);
pub(super) const ENFORCE: Goal = goal(
    Part::Enforce,
    "`enforce --apply` on 1,000 taps, to the loop of ethtool",
    1.0 / 40.0,
    "x",
)
.because(
    "Half of its CPU time is the kernel's, which sets features, notifies of each and lists them before and \
     after; an eighth is linking with libvirt's libraries, twice: the watchdog has to be there before anything \
     is changed.",
);
pub(super) const WATCH_IDLE: Goal = goal(
    Part::Watch,
    "`enforce --watch` on 1,000 taps, idle: share of a processor",
    0.1,
    " %",
);
pub(super) const WATCH_ANSWER: Goal = goal(
    Part::Watch,
    "`enforce --watch` on 1,000 taps: answer, 99th percentile",
    20.0,
    " ms",
);

const OF_A_CALL: &str = "A call takes some 780 instructions, whatever the work is: the kernel's way to two \
     programs, two readings of the clock, finding the interface, and its counters.";
const CUT: Goal = goal(
    Part::Exact,
    "Exact hooks by fexit, 64 KB cut into 45 segments: added, to the work",
    2.0,
    " %",
)
.because(OF_A_CALL);
const CUT_AND_SUMMED: Goal = goal(
    Part::Exact,
    "Exact hooks by fexit, 64 KB cut into 45 segments and summed: the same",
    2.0,
    " %",
)
.because(OF_A_CALL);
const SUMMED: Goal = goal(
    Part::Exact,
    "Exact hooks by fexit, one checksum of 1.5 KB: the same",
    2.0,
    " %",
)
.because(
    "Summing up so few bytes takes fewer instructions than both programs, of which the kernel's way to them \
     and two readings of the clock are the same whatever the work is.",
);

/// Those that an emulated kernel decides, by its name for the call.
pub(super) const EXACT: [(&Goal, &str); 3] = [
    (&CUT, "64 KB cut into 45 segments"),
    (&CUT_AND_SUMMED, "64 KB cut into 45 segments and summed"),
    (&SUMMED, "1.5 KB summed"),
];

/// All others, in the order of the page.
pub(super) const ALL: [&Goal; 19] = [
    &TCP_GSO,
    &UDP_64,
    &BRIDGE,
    &VETH,
    &BPFTRACE,
    &ATTACH,
    &READ,
    &READ_CALLS,
    &KERNEL_MEMORY,
    &TICK,
    &STREAM_TICK,
    &SYSCALLS,
    &MEMORY,
    &VIRT_TOP,
    &VIRT_TOP_WITHOUT,
    &ADVISE,
    &ENFORCE,
    &WATCH_IDLE,
    &WATCH_ANSWER,
];

/// What became of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) goal: String,
    pub(super) limit: f64,
    pub(super) unit: String,
    /// The figure, if there is one.
    pub(super) value: Option<f64>,
    /// Why there is none.
    pub(super) reason: Option<String>,
    pub(super) met: bool,
}

impl Goal {
    /// It was measured, or could not be for a reason.
    pub(super) fn outcome(&self, measured: Result<f64, String>) -> Outcome {
        Outcome {
            goal: self.name.to_owned(),
            limit: self.limit,
            unit: self.unit.to_owned(),
            met: measured.as_ref().is_ok_and(|value| *value <= self.limit),
            value: measured.as_ref().ok().copied(),
            reason: measured.err(),
        }
    }
}

impl Outcome {
    /// Whether it was measured, and is above its limit.
    pub(super) fn is_missed(&self) -> bool {
        self.value.is_some() && !self.met
    }

    pub(super) fn limit_text(&self) -> String {
        format!("{}{}", figure(self.limit), self.unit)
    }

    pub(super) fn value_text(&self) -> String {
        match self.value {
            Some(value) => format!("{}{}", figure(value), self.unit),
            None => "-".to_owned(),
        }
    }

    /// In words.
    pub(super) fn verdict(&self) -> String {
        match (self.value, &self.reason) {
            (Some(_), _) if self.met => "met".to_owned(),
            (Some(value), _) => {
                format!("missed by {}{}", figure(value - self.limit), self.unit)
            }
            (None, Some(reason)) => format!("not measured: {reason}"),
            (None, None) => "not measured".to_owned(),
        }
    }
}

/// Three digits, where there are as many. What is not 0 is not told as 0.
fn figure(value: f64) -> String {
    const LEAST: f64 = 0.0001;
    if value != 0.0 && value.abs() < LEAST {
        return format!("less than {LEAST}");
    }
    let precision = match value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{value:.precision$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_goals_apart() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|goal| goal.name).collect();
        assert_eq!(names.len(), ALL.len());
        for part in ALL.iter().map(|goal| goal.part) {
            assert!(Part::ALL.contains(&part));
        }
    }

    #[test]
    fn a_limit_is_met_up_to_itself_and_missed_by_what_is_above() {
        let met = ATTACH.outcome(Ok(200.0));
        assert!(met.met && !met.is_missed());
        assert_eq!(met.verdict(), "met");
        let missed = ATTACH.outcome(Ok(212.34));
        assert!(missed.is_missed());
        assert_eq!(missed.verdict(), "missed by 12.3 ms");
        assert_eq!(missed.value_text(), "212 ms");
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let outcome = VIRT_TOP.outcome(Err("virt-top is not installed".into()));
        assert!(!outcome.met && !outcome.is_missed());
        assert_eq!(outcome.value_text(), "-");
        assert_eq!(outcome.verdict(), "not measured: virt-top is not installed");
    }

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0 / 3.0, "0.33"),
            (0.025, "0.025"),
            (1.25, "1.25"),
            (16.0, "16"),
            (-0.5, "-0.5"),
            (1234.5, "1234"),
            (0.00003, "less than 0.0001"),
        ] {
            assert_eq!(figure(value), text);
        }
    }
}
