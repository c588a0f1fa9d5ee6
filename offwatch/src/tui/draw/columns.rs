//! The columns of the offload view, the most telling ones first: a narrow
//! screen shows those, and scrolls to the others.

use ratatui::{
    layout::Alignment,
    style::Style,
    text::{Line, Text},
};

use crate::{
    model::histogram::Range,
    offload::{Figures, Sizes},
    output::units::{percent, rate},
    tui::theme::Theme,
};

/// What the cells of a row are made from.
pub(super) struct Cells {
    pub(super) figures: Figures,
    /// What is on of the offloads.
    pub(super) offloads: String,
    pub(super) rx_sizes: Sizes,
    pub(super) tx_sizes: Sizes,
    /// Bytes instead of bits.
    pub(super) in_bytes: bool,
}

pub(super) struct Column {
    pub(super) title: &'static str,
    /// Where bytes are shown instead of bits.
    pub(super) title_in_bytes: &'static str,
    pub(super) width: u16,
    alignment: Alignment,
    cell: fn(&Cells) -> Cell,
}

struct Cell {
    text: String,
    tone: Tone,
}

#[derive(Clone, Copy, PartialEq)]
enum Tone {
    Plain,
    Work,
    Bad,
}

const fn column(title: &'static str, width: u16, cell: fn(&Cells) -> Cell) -> Column {
    Column {
        title,
        title_in_bytes: title,
        width,
        alignment: Alignment::Right,
        cell,
    }
}

pub(super) const COLUMNS: [Column; 18] = [
    Column {
        title_in_bytes: "RXB/s",
        ..column("RXbit/s", 7, |row| {
            row.plain(row.speed(row.figures.rx.bytes_per_s))
        })
    },
    Column {
        title_in_bytes: "TXB/s",
        ..column("TXbit/s", 7, |row| {
            row.plain(row.speed(row.figures.tx.bytes_per_s))
        })
    },
    column("RXgso%", 6, |row| {
        row.plain(percent(row.figures.rx.gso_share()))
    }),
    column("TXgso%", 6, |row| {
        row.plain(percent(row.figures.tx.gso_share()))
    }),
    column("SWSEG/s", 7, |row| {
        let work = row.figures.software_segments_per_s;
        row.counted(work, row.figures.at_least, Tone::Work)
    }),
    column("SWCSUM/s", 8, |row| {
        let work = row.figures.software_checksum_bytes_per_s;
        row.counted(work, row.figures.at_least, Tone::Work)
    }),
    column("DROP/s", 6, |row| {
        row.counted(row.figures.drops_per_s, false, Tone::Bad)
    }),
    column("CORE%", 5, Cells::core),
    column("RXpk/s", 6, |row| {
        row.plain(rate(row.figures.rx.packets_per_s))
    }),
    column("TXpk/s", 6, |row| {
        row.plain(rate(row.figures.tx.packets_per_s))
    }),
    column("CAUSES/s", 8, |row| {
        let caused = row.figures.caused_segments_per_s;
        row.counted(caused, row.figures.caused_at_least, Tone::Work)
    }),
    column("RXseg50", 7, |row| row.size(&row.rx_sizes, 50)),
    column("RXseg99", 7, |row| row.size(&row.rx_sizes, 99)),
    column("TXseg50", 7, |row| row.size(&row.tx_sizes, 50)),
    column("TXseg99", 7, |row| row.size(&row.tx_sizes, 99)),
    column("RXseg", 6, |row| {
        row.plain(rate(row.figures.rx.segment_bytes()))
    }),
    column("TXseg", 6, |row| {
        row.plain(rate(row.figures.tx.segment_bytes()))
    }),
    Column {
        alignment: Alignment::Left,
        ..column("OFFLOADS", 24, |row| Cell {
            text: row.offloads.clone(),
            tone: Tone::Plain,
        })
    },
];

impl Cells {
    /// Marks the sums of a VM of which not every card can be seen.
    fn plain(&self, text: String) -> Cell {
        Cell {
            text: self.at_least(text, self.figures.partial),
            tone: Tone::Plain,
        }
    }

    fn counted(&self, value: Option<f64>, at_least: bool, above_zero: Tone) -> Cell {
        Cell {
            text: self.at_least(rate(value), at_least || self.figures.partial),
            tone: match value {
                Some(value) if value > 0.0 => above_zero,
                _ => Tone::Plain,
            },
        }
    }

    fn core(&self) -> Cell {
        let share = self.figures.work_cpu_share;
        let at_least = self.figures.work_cpu_at_least || self.figures.partial;
        let text = match share {
            None => "-".into(),
            Some(0.0) => "0".into(),
            Some(share) if share < 0.0005 => "<0.1".into(),
            Some(share) => format!("{:.1}", share * 100.0),
        };
        Cell {
            text: self.at_least(text, at_least),
            tone: match share {
                Some(share) if share > 0.0 => Tone::Work,
                _ => Tone::Plain,
            },
        }
    }

    fn at_least(&self, text: String, at_least: bool) -> String {
        if at_least && text != "-" {
            format!("~{text}")
        } else {
            text
        }
    }

    fn speed(&self, bytes_per_s: Option<f64>) -> String {
        let factor = if self.in_bytes { 1.0 } else { 8.0 };
        rate(bytes_per_s.map(|bytes| bytes * factor))
    }

    /// A percentile lies in a range: it is less than what follows the range.
    fn size(&self, sizes: &Sizes, percent: u64) -> Cell {
        self.plain(match sizes.segment_percentile(percent) {
            None => "-".into(),
            Some(range) => less_than(range),
        })
    }
}

fn less_than((low, high): Range) -> String {
    match high {
        Some(high) => format!("<{}", u64::from(high) + 1),
        None => format!("{low}+"),
    }
}

impl Column {
    /// The title of the column.
    pub(super) fn heading(&self, in_bytes: bool) -> Text<'static> {
        let title = if in_bytes {
            self.title_in_bytes
        } else {
            self.title
        };
        Text::from(Line::from(title).alignment(self.alignment))
    }

    /// The cell of a row.
    pub(super) fn cell(&self, row: &Cells, theme: Theme) -> Text<'static> {
        let cell = (self.cell)(row);
        let style = match cell.tone {
            _ if cell.text == "-" || cell.text == "0" => theme.faint(),
            Tone::Plain => Style::new(),
            Tone::Work => theme.work(),
            Tone::Bad => theme.bad(),
        };
        Text::styled(cell.text, style).alignment(self.alignment)
    }
}

/// Which columns fit into `width` cells with one cell between them, of those
/// after the first `skipped` ones. So many are never skipped that there is
/// room left.
pub(super) fn fitting(width: u16, skipped: usize) -> &'static [Column] {
    let mut first = skipped.min(last_first(width));
    first = first.min(COLUMNS.len());
    let count = count_from(first, width);
    &COLUMNS[first..first + count]
}

/// How many columns can be skipped at most.
pub(super) fn last_first(width: u16) -> usize {
    (0..COLUMNS.len())
        .find(|first| first + count_from(*first, width) == COLUMNS.len())
        .unwrap_or(COLUMNS.len())
}

fn count_from(first: usize, width: u16) -> usize {
    let mut used = 0;
    let fits = |column: &&Column| {
        used += column.width + 1;
        used <= width + 1
    };
    COLUMNS[first..].iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(width: u16, skipped: usize) -> Vec<&'static str> {
        let columns = fitting(width, skipped).iter();
        columns.map(|column| column.title).collect()
    }

    #[test]
    fn a_title_fits_its_column() {
        for column in &COLUMNS {
            assert!(
                column.title.len() <= usize::from(column.width),
                "{}",
                column.title
            );
        }
    }

    #[test]
    fn a_narrow_screen_shows_the_first_and_scrolls_to_the_last() {
        assert_eq!(titles(15, 0), ["RXbit/s", "TXbit/s"]);
        assert_eq!(titles(14, 0), ["RXbit/s"]);
        assert_eq!(titles(15, 1), ["TXbit/s", "RXgso%"]);
        assert_eq!(titles(33, 99), ["TXseg", "OFFLOADS"]);
        assert_eq!(titles(500, 3).len(), COLUMNS.len(), "there is room for all");
    }

    #[test]
    fn a_percentile_is_less_than_what_follows_its_range() {
        assert_eq!(less_than((1280, Some(1535))), "<1536");
        assert_eq!(less_than((32_768, None)), "32768+");
    }
}
