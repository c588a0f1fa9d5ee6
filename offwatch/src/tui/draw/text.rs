//! virt-top's views: lines of text, and beside the VMs, where there is room,
//! what offloads do for them.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::Line,
    widgets::{Paragraph, Widget as _},
};
use unicode_width::UnicodeWidthStr as _;

use super::offloads;
use crate::{
    model::{Model, Vm, overview::Domain},
    output::virt_top::View,
    settings::Display,
    tui::{
        listing::{Listing, Text},
        state::State,
        theme::Theme,
    },
};

/// The figures of a VM and the most of its name.
const VM_WIDTH: u16 = 72;
/// How wide a screen has room for more.
const WIDE: u16 = VM_WIDTH + 40;
/// How much a key scrolls to the side.
const SCROLLED: usize = 8;

fn has_offloads(state: &State, width: u16) -> bool {
    state.display == Display::VirtTop(View::Domains) && width >= WIDE
}

/// How often a screen can scroll to the side.
pub(super) fn last_column(state: &State, text: &Text, width: u16) -> usize {
    if has_offloads(state, width) {
        return offloads::last_column_beside(width - VM_WIDTH - 1);
    }
    let lines = text.lines.iter().chain([&text.heading]);
    let widest = lines.map(|line| line.trim_end().width()).max().unwrap_or(0);
    widest.saturating_sub(usize::from(width)).div_ceil(SCROLLED)
}

/// Draws the heading and as many rows as there is room for.
pub(super) fn draw(
    state: &State,
    model: &Model,
    listing: &Listing,
    text: &Text,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let beside = has_offloads(state, area.width);
    let mut left = area;
    if beside {
        left.width = VM_WIDTH;
    }
    let scrolled = if beside { 0 } else { state.column * SCROLLED };
    let scrolled = u16::try_from(scrolled).unwrap_or(u16::MAX);
    let put = |line: &str, style: Style, row: Rect, buffer: &mut Buffer| {
        Paragraph::new(Line::styled(line, style))
            .scroll((0, scrolled))
            .render(row, buffer);
    };
    let mut rows = left.rows();
    if let Some(row) = rows.next() {
        put(&text.heading, theme.heading(), row, buffer);
    }
    let lines = text.lines.iter().enumerate().skip(state.top);
    for ((place, line), row) in lines.zip(rows) {
        put(line, Style::new(), row, buffer);
        if state.selected.is_some() && place == state.cursor {
            buffer.set_style(
                Rect {
                    width: area.width,
                    ..row
                },
                theme.selected(),
            );
        }
    }
    if beside {
        let right = Rect {
            x: area.x + VM_WIDTH + 1,
            width: area.width - VM_WIDTH - 1,
            ..area
        };
        offloads::draw_beside(state, model, listing, theme, right, buffer);
    }
}

/// Why a VM lacks figures in a view, if it does.
pub(super) fn reason(view: View, vm: &Vm) -> Option<String> {
    if !Domain::of(vm).is_active {
        return Some(format!("{}: it does not run", vm.name));
    }
    let Some(usage) = &vm.usage else {
        return Some(format!("{}: nothing tells what it uses", vm.name));
    };
    let fields: &[&str] = match view {
        View::Domains => &["cpu_percent", "memory_percent", "disks", "nics"],
        View::Pcpus => &["vcpus"],
        View::Nics => &["nics"],
        View::Disks => &["disks"],
    };
    let unavailable = usage.unavailable();
    let mut missing = fields.iter();
    missing.find_map(|field| {
        let reason = unavailable.get(*field)?;
        Some(format!(
            "{}, {}: {reason}",
            vm.name,
            field.replace('_', " ")
        ))
    })
}
