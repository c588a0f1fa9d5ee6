//! Cells in columns.

use unicode_width::UnicodeWidthStr as _;

/// Rows with columns as wide as their widest cells, two blanks between them. Those of
/// `right` are aligned to the right.
pub(super) fn lines<const COLUMNS: usize>(
    rows: &[[String; COLUMNS]],
    right: std::ops::Range<usize>,
) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].width());
        widths.max().unwrap_or_default()
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let blanks = " ".repeat(widths[column] - cell.width());
            let (before, after) = match right.contains(&column) {
                true => (blanks.as_str(), ""),
                false => ("", blanks.as_str()),
            };
            line.extend([before, cell, after, "  "]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
