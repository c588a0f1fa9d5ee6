//! In which order interfaces are changed. Pure.

use std::collections::BTreeSet;

use super::Settings;

/// An interface that is to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Number of its change.
    pub change: usize,
    /// Its index.
    pub ifindex: u32,
    /// Its name.
    pub dev: String,
    /// The VM it belongs to, by UUID or name; `None`: none that is known.
    pub vm: Option<String>,
    /// Bytes a second before the change.
    pub bytes_per_s: f64,
}

/// One interface first, then few, then the others; of a VM with several interfaces
/// one at a time, so that its others still work. Those with the most traffic come
/// first: there harm shows. `None` if none of them has enough.
pub fn stages(candidates: &[Candidate], settings: &Settings) -> Option<Vec<Vec<Candidate>>> {
    let mut left: Vec<Candidate> = candidates.to_vec();
    left.sort_by(|one, other| {
        let by_traffic = other.bytes_per_s.total_cmp(&one.bytes_per_s);
        by_traffic.then(one.change.cmp(&other.change))
    });
    let has_traffic = |candidate: &Candidate| candidate.bytes_per_s >= settings.floor_bytes_per_s;
    left.first().filter(|first| has_traffic(first))?;
    let few = usize::try_from(settings.few).unwrap_or(usize::MAX);
    let mut sizes = [1, few].into_iter();
    let mut stages = Vec::new();
    let mut seen = BTreeSet::new();
    while !left.is_empty() {
        let size = sizes.next();
        let mut stage: Vec<Candidate> = Vec::new();
        let mut in_stage = BTreeSet::new();
        left.retain(|candidate| {
            let vm = candidate.vm.as_ref();
            let is_taken = vm.is_some_and(|vm| in_stage.contains(vm));
            // While it is still tried, no second one of a VM.
            let is_early = size.is_some() && vm.is_some_and(|vm| seen.contains(vm));
            if is_taken || is_early || size.is_some_and(|size| stage.len() >= size) {
                return true;
            }
            in_stage.extend(vm.cloned());
            stage.push(candidate.clone());
            false
        });
        seen.extend(in_stage);
        if !stage.is_empty() {
            stages.push(stage);
        }
    }
    Some(stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(change: usize, vm: Option<&str>, bytes_per_s: f64) -> Candidate {
        Candidate {
            change,
            ifindex: 10 + change as u32,
            dev: format!("tap{change}"),
            vm: vm.map(Into::into),
            bytes_per_s,
        }
    }

    fn order(candidates: &[Candidate], few: u32) -> Option<Vec<Vec<usize>>> {
        let settings = Settings {
            few,
            ..Settings::default()
        };
        let numbers = |stage: Vec<Candidate>| stage.iter().map(|it| it.change).collect();
        let stages = stages(candidates, &settings)?;
        Some(stages.into_iter().map(numbers).collect())
    }

    #[test]
    fn one_then_few_then_all_with_the_busiest_first() {
        let of = |change: usize| candidate(change, None, 20_000.0 + change as f64);
        let candidates: Vec<Candidate> = (0..8).map(of).collect();
        let expected = vec![vec![7], vec![6, 5], vec![4, 3, 2, 1, 0]];
        assert_eq!(order(&candidates, 2), Some(expected));
        assert_eq!(order(&candidates[..1], 2), Some(vec![vec![0]]));
    }

    #[test]
    fn interfaces_of_one_vm_are_in_different_stages() {
        let candidates = [
            candidate(0, Some("a"), 90_000.0),
            candidate(1, Some("a"), 80_000.0),
            candidate(2, Some("a"), 70_000.0),
            candidate(3, Some("b"), 60_000.0),
            candidate(4, Some("b"), 0.0),
            candidate(5, None, 0.0),
            candidate(6, None, 0.0),
        ];
        let expected = vec![vec![0], vec![3, 5, 6], vec![1, 4], vec![2]];
        assert_eq!(order(&candidates, 4), Some(expected));
        let pair = vec![vec![0], vec![1]];
        assert_eq!(order(&candidates[..2], 4), Some(pair));
    }

    #[test]
    fn without_traffic_there_is_no_canary() {
        let idle = [candidate(0, None, 9_999.0), candidate(1, None, 0.0)];
        assert_eq!(order(&idle, 4), None);
        assert_eq!(order(&[], 4), None);
        let busy = [candidate(0, None, 10_000.0)];
        assert!(order(&busy, 4).is_some());
    }
}
