//! Sparklines and histograms.

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Sparkline, Widget as _},
};

use crate::{
    model::HistogramRow,
    output::units::rate,
    tui::{history::Point, theme::Theme},
};

/// Left and right half, with a gap between them.
pub(super) fn halves(area: Rect) -> (Rect, Rect) {
    let [left, right] = Layout::horizontal([Constraint::Fill(1); 2])
        .spacing(2)
        .areas(area);
    (left, right)
}

/// What a sparkline shows.
pub(super) struct Series<'value> {
    pub(super) title: String,
    pub(super) value: &'value dyn Fn(&Point) -> f64,
    pub(super) style: Style,
}

/// A title with the newest and the largest value, above bars, the newest on
/// the right.
pub(super) fn sparkline(
    series: &Series<'_>,
    points: &[Point],
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let values: Vec<f64> = points.iter().map(series.value).collect();
    let known = |value: f64| (!value.is_nan()).then_some(value);
    let now = rate(values.last().copied().and_then(known));
    let most = values.iter().copied().filter_map(known).reduce(f64::max);
    let title = Line::from(vec![
        Span::styled(format!("{} ", series.title), theme.heading()),
        Span::raw(format!("{now} (max {})", rate(most))),
    ]);
    title.render(area, buffer);

    let height = area.height.saturating_sub(1);
    let width = u16::try_from(values.len())
        .unwrap_or(area.width)
        .min(area.width);
    let bars = Rect::new(area.right() - width, area.y + 1, width, height);
    let scaled = values
        .iter()
        .map(|value| known(*value).map(|value| value.round() as u64));
    Sparkline::default()
        .data(scaled)
        .max((most.unwrap_or(0.0).round() as u64).max(1))
        .bar_set(theme.sparkline())
        .absent_value_symbol("?")
        .absent_value_style(theme.faint())
        .style(series.style)
        .render(bars, buffer);
}

/// Bars with the share of each range.
pub(super) fn histogram(
    title: &str,
    rows: Option<&[HistogramRow]>,
    style: Style,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    /// `65536 or more` and `100 %`, with a space after each.
    const TEXT_WIDTH: u16 = 14 + 6;
    let heading = Line::styled(format!("{title}, bytes"), theme.heading());
    heading.render(area, buffer);
    let mut lines = area.rows().skip(1);
    let rows = match rows {
        Some(rows) if !rows.is_empty() => rows,
        nothing => {
            let told = nothing.map_or("not known", |_| "none in this interval");
            if let Some(line) = lines.next() {
                Line::styled(told, theme.faint()).render(line, buffer);
            }
            return;
        }
    };
    let all: u64 = rows.iter().map(|row| row.2).sum();
    for ((low, high, count), line) in rows.iter().zip(lines) {
        let range = match high {
            Some(high) => format!("{low}-{high}"),
            None => format!("{low} or more"),
        };
        let share = *count as f64 / all as f64;
        let bar = theme.bar(share, line.width.saturating_sub(TEXT_WIDTH));
        let percent = match share {
            share if share < 0.005 => " <1 %".into(),
            share => format!("{:>3.0} %", share * 100.0),
        };
        Line::from(vec![
            Span::raw(format!("{range:>13} {percent} ")),
            Span::styled(bar, style),
        ])
        .render(line, buffer);
    }
}
