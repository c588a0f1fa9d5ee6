//! Who causes software segmentation for whom.
//!
//! The kernel side counts work by the device it is done for and by the device
//! its frames came from, each for itself. Which source caused which part is
//! certain only where there is one source or one destination.

use crate::model::{Model, Port, Rates};

/// Segments cut in one interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blame {
    /// Where frames came from for which segments were cut, the largest first.
    pub sources: Vec<(String, f64)>,
    /// What segments were cut for, the largest first.
    pub destinations: Vec<(String, f64)>,
    /// A figure is a lower bound or missing, so there may be more of either.
    pub incomplete: bool,
}

/// What is said of sources that the kernel does not know any more.
pub const UNKNOWN_SOURCE: &str = "the host itself or an unknown source";

impl Blame {
    /// The work of the interval.
    pub fn of(model: &Model) -> Self {
        let mut blame = Self::default();
        for vm in &model.vms {
            blame.add(&vm.name, &vm.interfaces);
        }
        for other in &model.other_interfaces {
            blame.add(other.name(), std::slice::from_ref(other));
        }
        match &model.host.unattributed {
            Some(work) => {
                blame.incomplete |= work.software_work_approximate;
                let segments = work.software_segments_per_s;
                put(&mut blame.sources, UNKNOWN_SOURCE, segments);
            }
            None => blame.incomplete = true,
        }
        for list in [&mut blame.sources, &mut blame.destinations] {
            list.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        }
        blame
    }

    fn add(&mut self, name: &str, interfaces: &[Port]) {
        let (mut caused, mut done) = (None, None);
        let sum = |sum: Option<f64>, value: Option<f64>| match (sum, value) {
            (Some(sum), Some(value)) => Some(sum + value),
            (sum, value) => sum.or(value),
        };
        for rates in interfaces.iter().filter_map(Port::rates) {
            let Rates {
                software_segments_per_s,
                software_work_approximate,
                caused_segments_per_s,
                caused_approximate,
                ..
            } = rates;
            caused = sum(caused, caused_segments_per_s);
            done = sum(done, software_segments_per_s);
            self.incomplete |= software_work_approximate || caused_approximate;
        }
        put(&mut self.sources, name, caused);
        put(&mut self.destinations, name, done);
    }

    /// The one name in a list, if it alone has any part in the work.
    pub fn only<'list>(&self, list: &'list [(String, f64)]) -> Option<&'list str> {
        match list {
            [(name, _)] if !self.incomplete => Some(name),
            _ => None,
        }
    }
}

fn put(list: &mut Vec<(String, f64)>, name: &str, segments: Option<f64>) {
    if let Some(segments) = segments.filter(|segments| *segments > 0.0) {
        list.push((name.to_owned(), segments));
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use offwatch_common::Work;

    use super::*;
    use crate::sample::{self, Counters, Nic, Sample};

    fn work(segments: u64) -> Work {
        Work {
            gso_segments_gone: segments,
            single_frames_added: segments,
            ..Work::default()
        }
    }

    /// VMs with the segments cut for each and because of each.
    fn blame(vms: &[(&str, u64, u64)], unattributed: Work) -> Blame {
        let sample = |factor: u64| {
            let interfaces = vms.iter().enumerate().map(|(index, (dev, done, caused))| {
                let mut slot = Box::<offwatch_common::Slot>::default();
                slot.egress_work = work(done * factor);
                slot.caused_work = work(caused * factor);
                sample::Interface {
                    dev: (*dev).into(),
                    ifindex: index as u32 + 1,
                    counters: Counters::Counted(slot.into()),
                    ..sample::Interface::default()
                }
            });
            let mut sample = Sample {
                interfaces: interfaces.map(Arc::new).collect(),
                vms: vms
                    .iter()
                    .map(|(name, ..)| sample::Vm {
                        name: (*name).into(),
                        nics: vec![Nic {
                            dev: Some((*name).into()),
                            ..Nic::default()
                        }]
                        .into(),
                        ..sample::Vm::default()
                    })
                    .collect(),
                ..Sample::default()
            };
            let before = factor == 0;
            sample.host.unattributed = Some(if before {
                Work::default()
            } else {
                unattributed
            });
            sample
        };
        let model = Model::new(&sample(1), Some((&sample(0), Duration::from_secs(1))));
        Blame::of(&model)
    }

    #[test]
    fn one_source_is_to_blame_for_everything() {
        let vms = [("web", 0, 30), ("db", 10, 0), ("legacy", 20, 0)];
        let blame = blame(&vms, Work::default());
        assert_eq!(blame.sources, [("web".into(), 30.0)]);
        let destinations = [("legacy".into(), 20.0), ("db".into(), 10.0)];
        assert_eq!(blame.destinations, destinations);
        assert_eq!(blame.only(&blame.sources), Some("web"));
        assert_eq!(blame.only(&blame.destinations), None);
    }

    #[test]
    fn an_unknown_source_is_a_source() {
        let blame = blame(&[("web", 0, 20), ("legacy", 30, 0)], work(10));
        assert_eq!(blame.sources.len(), 2);
        assert_eq!(blame.only(&blame.sources), None);
        assert_eq!(blame.only(&blame.destinations), Some("legacy"));
    }

    #[test]
    fn lower_bounds_prove_nothing() {
        let bound = Work {
            gso_segments_gone: 900,
            ..Work::default()
        };
        let blame = blame(&[("web", 0, 20), ("legacy", 20, 0)], bound);
        assert!(blame.incomplete);
        assert_eq!(blame.only(&blame.sources), None);
    }
}
