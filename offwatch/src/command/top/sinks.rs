//! Where samples go besides the screen or stdout.

use std::time::Duration;

use super::{csv_file::CsvFile, ending::Ending};
use crate::{
    error::Error, filter::Filter, model::overview::Overview, output::CsvLong, source::Tick,
};

/// The files, and the end of the run.
pub(super) struct Sinks {
    pub(super) filter: Filter,
    pub(super) csv: Option<CsvFile>,
    pub(super) csv_long: Option<CsvLong>,
    pub(super) ending: Ending,
}

impl Sinks {
    /// Takes a sample. If none is to follow, how long the run still lasts.
    pub(super) fn take(&mut self, tick: &Tick<'_>) -> Result<Option<Duration>, Error> {
        if let Some(csv) = &mut self.csv {
            let sample = self.filter.narrowed(tick.sample);
            csv.append(&Overview::of_sample(&sample, tick.usage).for_programs())?;
        }
        if let Some(csv) = &mut self.csv_long {
            if tick.has_rates() {
                let mut model = tick.model();
                self.filter.apply(&mut model);
                csv.write(&model)?;
            } else {
                csv.begin()?;
            }
        }
        self.ending.after(tick.sample)
    }
}
