//! What virt-top prints: its screens, its stream and its CSV, column by column.
//!
//! Pure: each view makes lines of an [`Overview`]. Figures are those of one
//! interval, not per second.

mod csv;
mod disks;
mod domains;
mod header;
mod nics;
mod number;
mod pcpus;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;

pub(crate) use self::header::local_time;
pub use self::{
    csv::{CsvColumns, CsvFormat},
    header::{CpuHistory, header},
    stream::stream,
};
use crate::{model::overview::Overview, rank::Order};

/// What fills the screen below its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// VMs.
    #[default]
    Domains,
    /// Physical CPUs, with a column for each VM.
    Pcpus,
    /// Network cards.
    Nics,
    /// Disks.
    Disks,
}

/// How a view is made.
#[derive(Clone, Debug)]
pub struct ViewOptions {
    /// The order of rows.
    pub order: Order,
    /// Bytes instead of requests in the view of VMs and in the stream.
    pub block_in_bytes: bool,
    /// In which times are shown.
    pub zone: TimeZone,
}

/// The heading of a view's columns, and its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The heading, which virt-top shows in reverse.
    pub heading: String,
    /// The rows.
    pub rows: Vec<String>,
    /// For each row the place of its VM; none where rows are not of VMs.
    pub owners: Vec<usize>,
    /// What keeps figures from being shown.
    pub message: Option<String>,
}

impl View {
    /// Its name in the init file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Domains => "task",
            Self::Pcpus => "pcpu",
            Self::Nics => "net",
            Self::Disks => "block",
        }
    }

    /// Makes it.
    pub fn body(self, overview: &Overview<'_>, options: &ViewOptions) -> Body {
        match self {
            Self::Domains => domains::body(overview, options),
            Self::Pcpus => pcpus::body(overview),
            Self::Nics => nics::body(overview, options),
            Self::Disks => disks::body(overview, options),
        }
    }
}

/// The one line for what the user should know, `of_view` last.
pub(crate) fn message(of_view: Option<String>, overview: &Overview<'_>) -> String {
    const NS_PER_S: f64 = 1e9;
    let stale = overview.stale_ns().map(|age_ns| {
        let seconds = age_ns as f64 / NS_PER_S;
        format!("libvirt has not answered yet: figures are {seconds:.1} s old")
    });
    let note = overview.notes.first().map(|note| crate::text::plain(note));
    stale.or(note).or(of_view).unwrap_or_default()
}

/// A whole screen: three lines of header, one for a message, the heading and
/// the rows. No line is wider than `width` columns.
pub fn screen(
    view: View,
    overview: &Overview<'_>,
    history: &CpuHistory,
    options: &ViewOptions,
    width: Option<usize>,
) -> Vec<String> {
    let body = view.body(overview, options);
    let mut lines = header(overview, history, &options.zone);
    lines.push(message(body.message, overview));
    lines.push(body.heading);
    lines.extend(body.rows);
    for line in &mut lines {
        let end = width.map_or(line.len(), |width| number::cut(line, width));
        line.truncate(end);
        line.truncate(line.trim_end().len());
    }
    lines
}
