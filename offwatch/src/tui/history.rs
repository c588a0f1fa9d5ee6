//! Rates of each VM over time, for sparklines.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    model::{Model, Vm},
    offload::Figures,
};

/// Points of a VM at most: as many as a wide screen shows.
const POINTS: usize = 120;
const FEWEST_POINTS: usize = 30;
/// With many VMs each has fewer points, so that all together stay below this.
const BYTES: usize = 8 << 20;

/// Figures of one interval, NaN where they are not known. A sparkline needs no
/// more digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Bytes received per second.
    pub(super) rx_bytes_per_s: f32,
    /// Bytes sent per second.
    pub(super) tx_bytes_per_s: f32,
    /// Segments cut in software per second.
    pub(super) software_segments_per_s: f32,
    /// Frames dropped per second.
    pub(super) drops_per_s: f32,
}

impl Point {
    fn of(vm: &Vm) -> Self {
        let figures = Figures::of(&vm.interfaces);
        let short = |value: Option<f64>| value.map_or(f32::NAN, |value| value as f32);
        Self {
            rx_bytes_per_s: short(figures.rx.bytes_per_s),
            tx_bytes_per_s: short(figures.tx.bytes_per_s),
            software_segments_per_s: short(figures.software_segments_per_s),
            drops_per_s: short(figures.drops_per_s),
        }
    }
}

/// Points of all VMs, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    vms: HashMap<Arc<str>, Points>,
    /// How many intervals were added.
    added: u64,
}

#[derive(Debug, Default)]
struct Points {
    points: VecDeque<Point>,
    /// The interval that was added last.
    added: u64,
}

impl History {
    /// Adds the newest interval, and forgets VMs that are gone.
    pub(super) fn push(&mut self, model: &Model) {
        self.added += 1;
        let most = most_points(model.vms.len());
        for vm in &model.vms {
            let Points { points, added } = match self.vms.get_mut(&vm.name) {
                Some(known) => known,
                None => self.vms.entry(Arc::clone(&vm.name)).or_default(),
            };
            while points.len() >= most {
                points.pop_front();
            }
            points.push_back(Point::of(vm));
            *added = self.added;
        }
        self.vms.retain(|_, known| known.added == self.added);
    }

    /// Adds the interval before the oldest one.
    pub(super) fn push_past(&mut self, model: &Model) {
        let most = most_points(model.vms.len());
        for vm in &model.vms {
            // A VM that is not there any more has no page to be shown on.
            if let Some(points) = self
                .vms
                .get_mut(&vm.name)
                .map(|known| &mut known.points)
                .filter(|points| points.len() < most)
            {
                points.push_front(Point::of(vm));
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.vms.clear();
    }

    /// Points of a VM without the `held` newest ones, oldest first, at most
    /// `most`.
    pub(super) fn points(&self, vm: &str, most: usize, held: usize) -> Vec<Point> {
        let points = self.vms.get(vm).map(|known| &known.points);
        let count = points.map_or(0, |points| points.len().saturating_sub(held));
        let points = points.into_iter().flatten().take(count);
        points.skip(count.saturating_sub(most)).copied().collect()
    }
}

fn most_points(vms: usize) -> usize {
    (BYTES / size_of::<Point>() / vms.max(1)).clamp(FEWEST_POINTS, POINTS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sample::{self, Counters, Nic, Sample};

    /// A model in which each VM received so many bytes a second.
    fn model(vms: &[(&str, u64)]) -> Model {
        let sample = |factor: u64| Sample {
            interfaces: vms
                .iter()
                .enumerate()
                .map(|(index, (_, bytes))| {
                    let mut slot = Box::<offwatch_common::Slot>::default();
                    slot.egress.kinds[0].bytes = bytes * factor;
                    sample::Interface {
                        dev: format!("t{index}").into(),
                        ifindex: index as u32 + 1,
                        counters: Counters::Counted(slot.into()),
                        ..sample::Interface::default()
                    }
                })
                .map(Arc::new)
                .collect(),
            vms: vms
                .iter()
                .enumerate()
                .map(|(index, (name, _))| sample::Vm {
                    name: (*name).into(),
                    nics: vec![Nic {
                        dev: Some(format!("t{index}")),
                        ..Nic::default()
                    }]
                    .into(),
                    ..sample::Vm::default()
                })
                .collect(),
            ..Sample::default()
        };
        Model::new(&sample(1), Some((&sample(0), Duration::from_secs(1))))
    }

    fn received(history: &History, vm: &str, most: usize) -> Vec<f32> {
        let points = history.points(vm, most, 0);
        points.iter().map(|point| point.rx_bytes_per_s).collect()
    }

    #[test]
    fn points_come_oldest_first() {
        let mut history = History::default();
        history.push(&model(&[("web", 3)]));
        history.push(&model(&[("web", 4)]));
        history.push_past(&model(&[("web", 2), ("gone", 9)]));
        assert_eq!(received(&history, "web", 9), [2.0, 3.0, 4.0]);
        assert_eq!(received(&history, "web", 2), [3.0, 4.0]);
        assert!(received(&history, "gone", 9).is_empty());
        let held = history.points("web", 1, 1);
        assert_eq!(held[0].rx_bytes_per_s, 3.0, "what came later is held back");
    }

    #[test]
    fn what_is_gone_or_old_is_forgotten() {
        let mut history = History::default();
        history.push(&model(&[("gone", 1)]));
        for bytes in 0..POINTS as u64 + 5 {
            history.push(&model(&[("web", bytes)]));
        }
        assert!(received(&history, "gone", 9).is_empty());
        let points = received(&history, "web", 1000);
        assert_eq!((points.len(), points[0]), (POINTS, 5.0));
        history.clear();
        assert!(received(&history, "web", 9).is_empty());
    }

    #[test]
    fn many_vms_have_fewer_points() {
        assert_eq!(most_points(10), POINTS);
        assert_eq!(most_points(1_000_000), FEWEST_POINTS);
        assert!(most_points(10_000) * 10_000 * size_of::<Point>() <= BYTES);
    }
}
