//! The page of one VM, or of one other interface: drawn whole, of which the
//! screen shows a part.

use ratatui::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget as _};

use super::{
    charts::{Series, halves, histogram, sparkline},
    facts, findings, offloads,
};
use crate::{
    advise::Findings,
    model::{HistogramRow, Model, Port},
    offload::{Blame, Sizes, no_work_cpu_share},
    output::units::rate,
    text::plain,
    tui::{
        history::History,
        listing::{Row, RowKey},
        theme::Theme,
    },
};

const SPARKLINE_LINES: u16 = 2;
/// How many are named that have a part in the work.
const MOST_NAMED: usize = 5;

/// What a page is made from.
pub(super) struct Page<'model> {
    pub(super) row: Row,
    pub(super) model: &'model Model,
    pub(super) findings: Option<&'model Findings>,
    pub(super) history: &'model History,
    pub(super) held: usize,
    pub(super) in_bytes: bool,
    pub(super) theme: Theme,
    /// Columns that there are.
    pub(super) width: u16,
}

/// The row of a page; `None` if what it shows is gone.
pub(super) fn find(key: &RowKey, model: &Model) -> Option<Row> {
    let vms = (0..model.vms.len()).map(Row::Vm);
    let others = (0..model.other_interfaces.len()).map(Row::Other);
    vms.chain(others).find(|row| row.has_key(model, key))
}

type Draw<'page> = dyn Fn(Rect, &mut Buffer) + 'page;

/// Some lines of the page, and how they are drawn.
struct Part<'page> {
    lines: u16,
    draw: Box<Draw<'page>>,
}

impl<'page> Part<'page> {
    fn new(lines: usize, draw: impl Fn(Rect, &mut Buffer) + 'page) -> Self {
        Self {
            lines: u16::try_from(lines).unwrap_or(u16::MAX),
            draw: Box::new(draw),
        }
    }

    fn text(lines: Vec<Line<'page>>) -> Self {
        Self::new(lines.len(), move |area, buffer| {
            for (line, row) in lines.iter().zip(area.rows()) {
                line.render(row, buffer);
            }
        })
    }
}

impl<'model> Page<'model> {
    /// How many lines the whole page has.
    pub(super) fn lines(&self) -> usize {
        let parts = self.parts();
        parts.iter().map(|part| usize::from(part.lines)).sum()
    }

    /// Draws the part of the page that begins `scroll` lines below its top.
    pub(super) fn draw(&self, scroll: usize, area: Rect, buffer: &mut Buffer) {
        let mut top = -i64::try_from(scroll).unwrap_or(i64::MAX);
        for part in self.parts() {
            let bottom = top + i64::from(part.lines);
            if bottom > 0 && top < i64::from(area.height) {
                // Drawn beside the screen: it may reach beyond it.
                let whole = Rect::new(0, 0, area.width, part.lines);
                let mut drawn = Buffer::empty(whole);
                (part.draw)(whole, &mut drawn);
                for line in whole.rows() {
                    let y = top + i64::from(line.y);
                    if let Some(y) = u16::try_from(y).ok().filter(|y| *y < area.height) {
                        for cell in line.columns() {
                            buffer[(area.x + cell.x, area.y + y)] = drawn[(cell.x, cell.y)].clone();
                        }
                    }
                }
            }
            top = bottom;
        }
    }

    fn interfaces(&self) -> &'model [Port] {
        self.row.interfaces(self.model)
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let interfaces = self.interfaces();
        let mut parts = vec![
            Part::text(vec![self.title(), Line::default()]),
            Part::new(interfaces.len() + 1, |area, buffer| {
                offloads::draw_interfaces(self, interfaces, area, buffer);
            }),
            Part::text(vec![Line::default()]),
            Part::text(self.findings()),
            Part::text(vec![Line::default()]),
        ];
        if let Some(vm) = self.row.vm(self.model) {
            parts.extend(self.sparklines(&vm.name));
        }
        let (rx, tx) = Sizes::of(interfaces);
        parts.push(self.histograms("GSO frames by segment size", rx.segments, tx.segments));
        parts.push(self.histograms("frames by length", rx.lengths, tx.lengths));
        parts.push(Part::text(self.work()));
        for interface in interfaces {
            let lines = facts::lines(interface, self.theme, self.width);
            parts.push(Part::text(vec![Line::default(); lines.len().min(1)]));
            parts.push(Part::text(lines));
        }
        parts.push(Part::text(self.reasons()));
        parts
    }

    fn title(&self) -> Line<'static> {
        let text = match self.row.vm(self.model) {
            Some(vm) => {
                let id = vm.id.map_or_else(String::new, |id| format!(" - id {id}"));
                let uuid = vm
                    .uuid
                    .as_ref()
                    .map_or_else(String::new, |uuid| format!(" - {uuid}"));
                let vhost = vm.vhost.vhost_cpu_ns_per_s.map_or_else(String::new, |ns| {
                    format!(" - vhost {:.1} % of a core", ns / 1e7)
                });
                let state = vm.state.name();
                format!("{} - {state}{id}{uuid}{vhost}", plain(&vm.name))
            }
            None => {
                let names = self.interfaces().iter().map(|found| {
                    format!("{} - {}", plain(offloads::name(found)), plain(&found.kind))
                });
                names.collect()
            }
        };
        Line::styled(text, self.theme.title())
    }

    fn findings(&self) -> Vec<Line<'static>> {
        findings::lines(self.row, self.model, self.findings, self.theme, self.width)
    }

    /// Two rows of two sparklines, RX on the left and TX on the right.
    fn sparklines(&self, vm: &'model str) -> [Part<'_>; 3] {
        let theme = self.theme;
        let factor = if self.in_bytes { 1.0 } else { 8.0 };
        let unit = if self.in_bytes { "B/s" } else { "bit/s" };
        let scaled = move |value: f32| f64::from(value) * factor;
        let lines = usize::from(SPARKLINE_LINES) + 1;
        let pair = move |left: Series<'_>, right: Series<'_>, area: Rect, buffer: &mut Buffer| {
            let (left_area, right_area) = halves(area);
            for (series, area) in [(left, left_area), (right, right_area)] {
                let points = self.history.points(vm, usize::from(area.width), self.held);
                sparkline(&series, &points, theme, area, buffer);
            }
        };
        [
            Part::new(lines, move |area, buffer| {
                let rx = Series {
                    title: format!("RX {unit}"),
                    value: &move |point| scaled(point.rx_bytes_per_s),
                    style: theme.received(),
                };
                let tx = Series {
                    title: format!("TX {unit}"),
                    value: &move |point| scaled(point.tx_bytes_per_s),
                    style: theme.sent(),
                };
                pair(rx, tx, area, buffer);
            }),
            Part::new(lines, move |area, buffer| {
                let work = Series {
                    title: "segments cut/s".into(),
                    value: &|point| f64::from(point.software_segments_per_s),
                    style: theme.work(),
                };
                let drops = Series {
                    title: "drops/s".into(),
                    value: &|point| f64::from(point.drops_per_s),
                    style: theme.bad(),
                };
                pair(work, drops, area, buffer);
            }),
            Part::text(vec![Line::default()]),
        ]
    }

    fn histograms(
        &self,
        title: &'static str,
        rx: Option<Vec<HistogramRow>>,
        tx: Option<Vec<HistogramRow>>,
    ) -> Part<'_> {
        let theme = self.theme;
        let rows = [&rx, &tx].map(|rows| rows.as_ref().map_or(0, Vec::len));
        let lines = rows[0].max(rows[1]).max(1) + 2;
        Part::new(lines, move |area, buffer| {
            let (left, right) = halves(area);
            histogram(
                &format!("RX {title}"),
                rx.as_deref(),
                theme.received(),
                theme,
                left,
                buffer,
            );
            histogram(
                &format!("TX {title}"),
                tx.as_deref(),
                theme.sent(),
                theme,
                right,
                buffer,
            );
        })
    }

    /// Who causes work for whom, as far as that is certain.
    fn work(&self) -> Vec<Line<'static>> {
        let blame = Blame::of(self.model);
        let name = match self.row.vm(self.model) {
            Some(vm) => &*vm.name,
            None => self.interfaces().first().map_or("", Port::name),
        };
        let of = |list: &[(String, f64)]| {
            let mut found = list.iter();
            found
                .find(|(found, _)| found == name)
                .map(|(_, segments)| *segments)
        };
        let mut lines = vec![Line::styled("software segmentation", self.theme.heading())];
        let mut tell = |what: &str, of: Option<f64>, way: &str, list: &[(String, f64)]| {
            let Some(segments) = of else {
                lines.push(Line::from(format!("  {what}: none")));
                return;
            };
            let total = format!("  {what}: {} segments/s", rate(Some(segments)));
            match (blame.only(list), list) {
                (Some(only), _) => {
                    lines.push(Line::from(format!("{total}, all {way} {}", plain(only))));
                }
                (None, []) => lines.push(Line::from(format!("{total}, {way} unknown ends"))),
                (None, list) => {
                    lines.push(Line::from(format!("{total}; cut on the whole host {way}")));
                    for (name, segments) in list.iter().take(MOST_NAMED) {
                        let segments = rate(Some(*segments));
                        lines.push(Line::from(format!("    {segments:>5} {}", plain(name))));
                    }
                }
            }
        };
        let (to, from) = (of(&blame.destinations), of(&blame.sources));
        tell("for frames to it", to, "from", &blame.sources);
        tell(
            "for frames from it",
            from,
            "on the way to",
            &blame.destinations,
        );
        lines
    }

    fn reasons(&self) -> Vec<Line<'static>> {
        let interfaces = self.interfaces().iter();
        let reasons = interfaces.flat_map(|interface| {
            let of_cost = no_work_cpu_share(interface).map(|reason| format!("CORE%: {reason}"));
            let reasons = interface.reasons().into_iter().map(str::to_owned);
            let reasons = reasons.chain(of_cost);
            reasons.map(|reason| Line::from(format!("  {}", offloads::told(interface, &reason))))
        });
        let reasons: Vec<Line<'static>> = reasons.collect();
        if reasons.is_empty() {
            return reasons;
        }
        let heading = Line::styled("what is missing, and why", self.theme.heading());
        [Line::default(), heading]
            .into_iter()
            .chain(reasons)
            .collect()
    }
}
