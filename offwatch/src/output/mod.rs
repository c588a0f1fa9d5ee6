//! Outputs: one file a format, all made from a model.

mod csv_long;
pub(crate) mod grid;
mod json;
pub(crate) mod table;
pub mod units;
pub mod virt_top;

use std::io::{self, Write};

pub use self::{csv_long::CsvLong, json::Json, table::Table};
use crate::model::Model;

/// A format in which a model can be written.
pub trait Render {
    /// Writes one model.
    fn render(&self, model: &Model, to: &mut dyn Write) -> io::Result<()>;
}
