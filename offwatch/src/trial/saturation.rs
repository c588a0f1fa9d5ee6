//! A host without idle processors does not show what a change costs.

use super::{period::Period, stats};

/// From this part of the processors' time on, they are fully used.
const FULL: f64 = 0.97;

/// What the user should know of the host's CPU time, if the processors had hardly any
/// time left in most periods: whatever else ran made room for what was added.
pub fn note(periods: &[Period], online_cpus: u32) -> Option<String> {
    let used = |period: &Period| {
        let busy_ns = *period.cpu.host_ns.known()? as f64;
        Some(busy_ns / (period.seconds * f64::from(online_cpus) * 1e9))
    };
    let used: Vec<f64> = periods.iter().filter_map(used).collect();
    let used = stats::median(&used).filter(|used| *used >= FULL)?;
    Some(format!(
        "all processors were busy ({:.0} %): what a change adds or saves is then taken from or \
         given to other work, and the CPU time of the host does not show it; that of the VM does",
        used.min(1.0) * 100.0
    ))
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
