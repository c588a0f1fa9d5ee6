//! A table, for a terminal and for a page.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// Rows of text under heads; the first column says what a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::bench) struct Table {
    /// What it shows; empty if what is around it says so.
    pub(in crate::bench) title: String,
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(in crate::bench) fn new(title: impl Into<String>, heads: &[&str]) -> Self {
        Self {
            title: title.into(),
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// A row; cells that are missing at its end are empty.
    pub(in crate::bench) fn row<Cell: Into<String>>(
        &mut self,
        cells: impl IntoIterator<Item = Cell>,
    ) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.heads.len(), String::new());
        self.rows.push(cells);
    }

    /// As Markdown, numbers to the right.
    pub(in crate::bench) fn markdown(&self) -> String {
        let mut text = String::new();
        let mut line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            // Cannot fail: it is a string.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        line(&self.heads);
        let mut rule = vec!["---:".to_owned(); self.heads.len()];
        if let Some(first) = rule.first_mut() {
            *first = "---".to_owned();
        }
        line(&rule);
        self.rows.iter().for_each(|row| line(row));
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.heads.len()];
        for row in self.rows.iter().chain([&self.heads]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

/// As plain text.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.title.is_empty() {
            writeln!(f, "{}", self.title)?;
        }
        let widths = self.widths();
        for row in [&self.heads].into_iter().chain(&self.rows) {
            let mut line = String::from(" ");
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match index {
                    0 => write!(line, " {cell:<width$}")?,
                    _ => write!(line, "  {cell:>width$}")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Ways", &["", "ns", "ratio"]);
        table.row(["a|b", "1000", "1.00"]);
        table.row(["c", "7"]);
        table
    }

    #[test]
    fn columns_of_text_are_aligned() {
        assert_eq!(
            table().to_string(),
            "Ways\n         ns  ratio\n  a|b  1000   1.00\n  c       7\n"
        );
    }

    #[test]
    fn markdown_has_as_many_cells_in_each_row() {
        assert_eq!(
            table().markdown(),
            "|  | ns | ratio |\n| --- | ---: | ---: |\n| a\\|b | 1000 | 1.00 |\n| c | 7 |  |\n"
        );
    }
}
