//! A host without idle processors does not show what a change costs.

use super::{
    period::{Period, Side},
    stats,
};

/// From this part of the processors' time on, they are fully used.
const FULL: f64 = 0.93;

/// What the user should know of the host's CPU time, if the processors had hardly any
/// time left in most periods with the change, or without it: whatever else ran made room
/// for what was added.
pub fn note(periods: &[Period], online_cpus: u32) -> Option<String> {
    let used = |period: &Period| {
        let busy_ns = *period.cpu.host_ns.known()? as f64;
        Some(busy_ns / (period.seconds * f64::from(online_cpus) * 1e9))
    };
    let of = |side| {
        let periods = periods.iter().filter(|period| period.side == side);
        stats::median(&periods.filter_map(used).collect::<Vec<_>>())
    };
    let sides = [of(Side::Without), of(Side::With)];
    let used = sides.into_iter().flatten().fold(0.0, f64::max);
    (used >= FULL).then(|| {
        format!(
            "all processors were busy ({:.0} %): if other work than this traffic took part, what \
             the change adds or saves was taken from it or given to it, and the CPU time of the \
             host does not show it; that of the VM does",
            used.min(1.0) * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sample::offloads::Fact, trial::period::Cpu};

    fn period(busy_s: f64) -> Period {
        Period {
            seconds: 2.0,
            cpu: Cpu {
                host_ns: Fact::Known((busy_s * 1e9) as u64),
                ..Cpu::default()
            },
            ..Period::default()
        }
    }

    #[test]
    fn only_a_host_without_idle_time_is_told_of() {
        let note_of = |busy: &[f64]| {
            let periods: Vec<Period> = busy.iter().map(|busy| period(*busy)).collect();
            note(&periods, 4)
        };
        let full = note_of(&[7.9, 7.95, 1.0]).expect("a note");
        assert!(full.contains("(99 %)"), "{full}");
        assert_eq!(note_of(&[7.9, 6.0, 1.0]), None);
        assert_eq!(note_of(&[]), None);
    }
}
