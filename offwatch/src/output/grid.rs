//! Text in columns, each as wide as its widest cell.
//!
//! All cells are kept in one text: as cells of their own, the table of 10,000
//! interfaces took 36 MiB.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

/// Rows of `COLUMNS` cells.
pub(crate) struct Grid<const COLUMNS: usize> {
    /// So many columns are aligned to the left, the others to the right.
    left: usize,
    text: String,
    /// Where each cell ends in the text.
    ends: Vec<usize>,
    widths: [usize; COLUMNS],
}

impl<const COLUMNS: usize> Grid<COLUMNS> {
    /// With headings.
    pub(crate) fn new(left: usize, headings: [&str; COLUMNS]) -> Self {
        let mut grid = Self {
            left,
            text: String::new(),
            ends: Vec::new(),
            widths: [0; COLUMNS],
        };
        grid.add_row(headings);
        grid
    }

    /// Adds a row.
    pub(crate) fn add_row(&mut self, cells: [impl AsRef<str>; COLUMNS]) {
        for (cell, width) in cells.iter().zip(&mut self.widths) {
            let cell = cell.as_ref();
            *width = (*width).max(cell.width());
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
    }

    /// Writes all rows, a blank behind each cell.
    pub(crate) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut start = 0;
        for row in self.ends.chunks(COLUMNS) {
            for ((column, end), width) in row.iter().enumerate().zip(&self.widths) {
                let cell = &self.text[start..*end];
                start = *end;
                // Formatting counts characters, not their widths.
                let blanks = width - cell.width();
                match column < self.left {
                    true => write!(to, "{cell}{:blanks$} ", "")?,
                    false => write!(to, "{:blanks$}{cell} ", "")?,
                }
            }
            writeln!(to)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cells() {
        let mut grid = Grid::new(1, ["VM", "RX"]);
        grid.add_row(["web", "1.00k"]);
        grid.add_row(["日本", "0"]);
        grid.add_row([String::new(), "-".to_owned()]);
        let mut text = Vec::new();
        grid.write(&mut text).expect("a Vec takes it");
        let text = String::from_utf8(text).expect("text");
        let lines = ["VM      RX ", "web  1.00k ", "日本     0 ", "         - "];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }
}
