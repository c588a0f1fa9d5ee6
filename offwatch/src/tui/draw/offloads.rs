//! The offload view: a row for each VM, each of its cards where there are
//! several, and each other interface.

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Rect},
    text::Text,
    widgets::{Row, Table, Widget as _},
};

use super::{
    View,
    columns::{self, Cells, Column},
    detail::Page,
    findings,
};
use crate::{
    model::{Interface, Model, OFFLOADS, Port},
    offload::{Figures, Sizes, no_work_cpu_share},
    text::plain,
    tui::{
        listing::{Listing, Row as Listed},
        state::State,
        theme::Theme,
    },
};

/// Width of the mark between the names and the numbers.
const MARK_WIDTH: u16 = 1;

/// Widths of the names before the numbers: of the VM and of the interface.
fn name_widths(width: u16) -> (u16, u16) {
    match width {
        0..60 => (7, 7),
        60..100 => (12, 10),
        100..160 => (16, 15),
        _ => (24, 15),
    }
}

fn numbers_width(width: u16) -> u16 {
    let (vm, dev) = name_widths(width);
    width.saturating_sub(vm + dev + MARK_WIDTH + 3)
}

/// How many columns a screen can scroll to the right.
pub(super) fn last_column(width: u16) -> usize {
    columns::last_first(numbers_width(width))
}

/// The same without names.
pub(super) fn last_column_beside(width: u16) -> usize {
    columns::last_first(width)
}

/// A row of numbers, and what stands before them.
struct TableRow<'model> {
    names: Vec<String>,
    /// `advise` has a finding.
    is_marked: bool,
    interfaces: &'model [Port],
    is_selected: bool,
}

/// Draws the heading and as many rows as there is room for.
pub(super) fn draw(state: &State, model: &Model, view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let rows = view.listing.rows.iter().enumerate().skip(state.top);
    let rows = rows.map(|(place, row)| TableRow {
        names: names(*row, model).into(),
        is_marked: findings::is_marked(*row, model, view.findings),
        interfaces: row.interfaces(model),
        is_selected: state.selected.is_some() && place == state.cursor,
    });
    Grid {
        headings: &["VM", "DEV", "!"],
        columns: columns::fitting(numbers_width(area.width), state.column),
        in_bytes: state.in_bytes,
        theme: view.theme,
    }
    .draw(rows, area, buffer);
}

/// The numbers alone, for rows whose names are drawn already.
pub(super) fn draw_beside(
    state: &State,
    model: &Model,
    listing: &Listing,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let rows = listing.rows.iter().enumerate().skip(state.top);
    let rows = rows.map(|(place, row)| TableRow {
        names: Vec::new(),
        is_marked: false,
        interfaces: row.interfaces(model),
        is_selected: state.selected.is_some() && place == state.cursor,
    });
    Grid {
        headings: &[],
        columns: columns::fitting(area.width, state.column),
        in_bytes: state.in_bytes,
        theme,
    }
    .draw(rows, area, buffer);
}

/// The interfaces of a page, as rows of the same table.
pub(super) fn draw_interfaces(
    page: &Page<'_>,
    interfaces: &[Port],
    area: Rect,
    buffer: &mut Buffer,
) {
    let rows = interfaces.iter().map(|interface| {
        let bridge = interface.master.as_deref().unwrap_or("-");
        TableRow {
            names: vec![plain(bridge), plain(name(interface))],
            is_marked: findings::is_interface_marked(interface.ifindex(), page.findings),
            interfaces: std::slice::from_ref(interface),
            is_selected: false,
        }
    });
    Grid {
        headings: &["BRIDGE", "DEV", "!"],
        columns: columns::fitting(numbers_width(area.width), 0),
        in_bytes: page.in_bytes,
        theme: page.theme,
    }
    .draw(rows, area, buffer);
}

/// How a table looks.
struct Grid<'table> {
    /// What stands before the numbers: nothing, or two names and the mark.
    headings: &'table [&'static str],
    columns: &'static [Column],
    in_bytes: bool,
    theme: Theme,
}

impl Grid<'_> {
    fn draw<'model>(
        &self,
        rows: impl Iterator<Item = TableRow<'model>>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let (vm_width, dev_width) = name_widths(area.width);
        let names = [vm_width, dev_width, MARK_WIDTH];
        let names = names.into_iter().take(self.headings.len());
        let widths = names.chain(self.columns.iter().map(|column| column.width));
        let rows = rows.take(usize::from(area.height.saturating_sub(1)));
        let rows = rows.map(|row| self.row(row));
        let headings = self
            .columns
            .iter()
            .map(|column| column.heading(self.in_bytes));
        let names = self.headings.iter().map(|name| Text::from(*name));
        Table::new(rows, widths.map(Constraint::Length))
            .header(Row::new(names.chain(headings)).style(self.theme.heading()))
            .column_spacing(1)
            .render(area, buffer);
    }

    fn row(&self, row: TableRow<'_>) -> Row<'static> {
        let (rx_sizes, tx_sizes) = Sizes::of(row.interfaces);
        let cells = Cells {
            figures: Figures::of(row.interfaces),
            offloads: state(row.interfaces),
            rx_sizes,
            tx_sizes,
            in_bytes: self.in_bytes,
        };
        let numbers = self
            .columns
            .iter()
            .map(|column| column.cell(&cells, self.theme));
        let mark = (!self.headings.is_empty()).then(|| {
            let mark = if row.is_marked { "!" } else { "" };
            Text::styled(mark, self.theme.work())
        });
        let names = row.names.into_iter().map(Text::from).chain(mark);
        let drawn = Row::new(names.chain(numbers));
        match row.is_selected {
            true => drawn.style(self.theme.selected()),
            false => drawn,
        }
    }
}

/// What stands before the numbers of a row.
fn names(row: Listed, model: &Model) -> [String; 2] {
    match row {
        Listed::Vm(vm) | Listed::Device(vm, _) => {
            let vm = &model.vms[vm];
            let dev = match &vm.interfaces[..] {
                [] => "(none)".into(),
                [only] => plain(name(only)),
                several => format!("({} cards)", several.len()),
            };
            [plain(&vm.name), dev]
        }
        Listed::Card(vm, card) => {
            let card = &model.vms[vm].interfaces[card];
            [String::new(), plain(name(card))]
        }
        Listed::Other(other) => {
            let other = &model.other_interfaces[other];
            let label = if other.unowned {
                "unowned"
            } else {
                &other.kind
            };
            [format!("({})", plain(label)), plain(name(other))]
        }
    }
}

pub(super) fn name(interface: &Interface) -> &str {
    interface.dev.as_deref().unwrap_or(&interface.kind)
}

/// Why a row lacks values, if it does.
pub(super) fn reason(row: Listed, model: &Model) -> Option<String> {
    let interfaces = row.interfaces(model);
    if interfaces.is_empty() {
        return Some("the VM has no network card".into());
    }
    let missing = interfaces.iter().find_map(|interface| {
        let reason = *interface.reasons().first()?;
        Some(told(interface, reason))
    });
    missing.or_else(|| {
        let reason = interfaces
            .iter()
            .find_map(|found| no_work_cpu_share(found))?;
        Some(plain(&format!("CORE%: {reason}")))
    })
}

/// The groups of `ethtool -K` of which something is on, then, with `!`, those of
/// which something is wanted and off.
fn state(interfaces: &[Port]) -> String {
    let mut states = interfaces.iter().map(|interface| {
        let offloads = interface.facts.offloads.as_ref()?;
        let unmet = OFFLOADS.iter().filter(|(name, _)| {
            offloads.wanted.on.contains(name) && !offloads.active.on.contains(name)
        });
        let on = offloads.active_groups.iter();
        let mut groups: Vec<String> = on.map(ToString::to_string).collect();
        for (_, group) in unmet {
            let unmet = format!("!{group}");
            if !group.is_empty() && !groups.contains(&unmet) {
                groups.push(unmet);
            }
        }
        Some(groups.join(" "))
    });
    match states.next() {
        Some(Some(first)) if states.all(|state| state.as_ref() == Some(&first)) => first,
        Some(Some(_)) => "(differ)".into(),
        _ => "-".into(),
    }
}

/// A reason with the name of the interface, if it has one.
pub(super) fn told(interface: &Interface, reason: &str) -> String {
    match &interface.dev {
        Some(dev) => plain(&format!("{dev}: {reason}")),
        None => plain(reason),
    }
}
