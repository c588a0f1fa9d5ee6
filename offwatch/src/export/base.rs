//! Where counters begin under labels that an interface took over.

use super::snapshot::{Figure, Figures, GsoSizes, Row};

/// What an interface had counted when it came to its labels: it was renamed, or another
/// VM's. Under these labels there may have been another one, so counters begin anew.
#[derive(Debug)]
pub(super) struct Base {
    figures: Figures,
    drops: [Option<u64>; offwatch_common::drop_class::COUNT],
    receive_gso_sizes: Option<Box<GsoSizes>>,
    transmit_gso_sizes: Option<Box<GsoSizes>>,
}

impl Base {
    pub(super) fn of(row: &Row) -> Self {
        let mut figures = row.figures;
        // These two are no counters.
        for figure in [Figure::SoftwareWorkApproximate, Figure::CausedApproximate] {
            figures.set(figure, row.figures.get(figure).map(|_| 0));
        }
        Self {
            figures,
            drops: row.drops,
            receive_gso_sizes: row.receive_gso_sizes.clone(),
            transmit_gso_sizes: row.transmit_gso_sizes.clone(),
        }
    }

    /// What was counted since.
    pub(super) fn subtract(&self, row: &mut Row) {
        row.figures = row.figures.since(&self.figures);
        for (now, then) in row.drops.iter_mut().zip(self.drops) {
            *now = now.map(|now| now.saturating_sub(then.unwrap_or(0)));
        }
        for (now, then) in [
            (&mut row.receive_gso_sizes, &self.receive_gso_sizes),
            (&mut row.transmit_gso_sizes, &self.transmit_gso_sizes),
        ] {
            let (Some(sizes), Some(then)) = (now.as_deref_mut(), then) else {
                continue;
            };
            for (frames, then) in sizes.iter_mut().zip(then.iter()) {
                *frames = frames.saturating_sub(*then);
            }
            if sizes[sizes.len() - 1] == 0 {
                *now = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_begin_anew_and_gauges_do_not() {
        let row = |segments| {
            let mut row = Row::default();
            row.figures.set(Figure::SoftwareSegments, Some(segments));
            row.figures.set(Figure::SoftwareWorkApproximate, Some(1));
            row.drops[0] = Some(segments);
            row
        };
        let base = Base::of(&row(90));
        for (segments, expected) in [(90, Some(0)), (95, Some(5))] {
            let mut row = row(segments);
            base.subtract(&mut row);
            assert_eq!(row.figures.get(Figure::SoftwareSegments), expected);
            assert_eq!(row.figures.get(Figure::SoftwareWorkApproximate), Some(1));
            assert_eq!(row.figures.get(Figure::ReceiveBytes), None, "not known");
            assert_eq!(row.drops, [expected, None, None, None]);
        }
    }
}
