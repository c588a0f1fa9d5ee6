//! The lines above and below the rows.

use jiff::tz::TimeZone;
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::{Line, Span},
    widgets::Widget as _,
};

use super::{View, offloads, text};
use crate::{
    model::Model,
    offload::Figures,
    output::{units::rate, virt_top::local_time},
    own_cost::OwnCost,
    settings::Display,
    text::plain,
    tui::state::{Overlay, Page, Prompt, State},
};

pub(super) const LINES: u16 = 3;
pub(super) const OWN_COST_LINES: u16 = 3;

const HINTS: &str = "0-4: views  Enter: page of a VM  /: search  F: order  h: help  q: quit";
const PAGE_HINTS: &str = "Esc: back  arrows: scroll  u: bits or bytes  h: help  q: quit";

pub(super) fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let mut rows = area.rows();
    let mut put = |line: Line<'_>| {
        if let Some(row) = rows.next() {
            line.render(row, buffer);
        }
    };
    let Some(model) = view.model else {
        put(Line::styled(
            "offwatch: waiting for the first sample",
            view.theme.title(),
        ));
        return;
    };
    if let Some(text) = &view.listing.text {
        for line in &text.header {
            put(Line::from(line.as_str()));
        }
        return;
    }
    put(Line::styled(headline(model, view.zone), view.theme.title()));
    put(Line::from(totals(model)));
    if let Some(note) = model.host.notes.first() {
        let more = model.host.notes.len() - 1;
        let more = if more > 0 {
            format!(" (and {more} more)")
        } else {
            String::new()
        };
        put(Line::styled(
            format!("note: {}{more}", plain(note)),
            view.theme.bad(),
        ));
    }
}

/// Which moment of which host this is.
fn headline(model: &Model, zone: &TimeZone) -> String {
    let interval = match model.interval_seconds {
        Some(seconds) => format!("over {seconds:.1} s"),
        None => "no interval yet".into(),
    };
    let host = &model.host;
    format!(
        "offwatch {} - {} - Linux {} - hook {} - {interval}",
        local_time(model.time_unix_ms, zone),
        plain(&host.name),
        plain(&host.kernel),
        host.hook.name(),
    )
}

/// Sums over all interfaces.
fn totals(model: &Model) -> String {
    let of_vms = model.vms.iter().flat_map(|vm| &vm.interfaces);
    let interfaces = of_vms.chain(&model.other_interfaces);
    let Figures {
        software_segments_per_s: segments,
        software_checksum_bytes_per_s: checksums,
        drops_per_s: drops,
        ..
    } = Figures::of(interfaces);
    let unattributed = model.host.unattributed.as_ref();
    let unattributed = unattributed.and_then(|work| work.software_segments_per_s);
    format!(
        "{} VMs; software: {} seg/s (unknown source {}), csum {} B/s; drops {}/s",
        model.vms.len(),
        rate(segments),
        rate(unattributed),
        rate(checksums),
        rate(drops),
    )
}

/// A prompt with its cursor, or a message, or how the screen is used.
pub(super) fn draw_message(
    state: &State,
    view: &View<'_>,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<Position> {
    if let Some(Overlay::Prompt(prompt, input)) = &state.overlay {
        let question = match prompt {
            Prompt::Search => "Search: ".to_owned(),
            Prompt::Interval => {
                let seconds = state.source.interval.as_secs_f64();
                format!("Change delay from {seconds:.1} to: ")
            }
            Prompt::Jump => "Go to time (HH:MM:SS, +SECONDS, -SECONDS): ".to_owned(),
        };
        let start = u16::try_from(question.len())
            .unwrap_or(u16::MAX)
            .min(area.width);
        let width = area.width.saturating_sub(start + 1);
        let scroll = input.visual_scroll(usize::from(width));
        let typed: String = plain(input.value()).chars().skip(scroll).collect();
        Line::from(vec![
            Span::styled(question, view.theme.title()),
            Span::raw(typed),
        ])
        .render(area, buffer);
        let column = u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or(width);
        return Some(Position::new(area.x + start + column.min(width), area.y));
    }
    let line = match &state.message {
        Some(message) => Line::styled(plain(message), view.theme.title()),
        None => {
            let text = view.listing.text.as_ref().map(|text| text.message.as_str());
            let text = text.filter(|text| !text.is_empty());
            let parts: Vec<String> = status(state, view)
                .into_iter()
                .chain(text.map(str::to_owned))
                .collect();
            Line::from(parts.join(" - "))
        }
    };
    line.render(area, buffer);
    None
}

/// How the screen is used, where that cannot be seen.
fn status(state: &State, view: &View<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(position) = view.position {
        parts.push(format!(
            "sample {} of {}",
            position.number + 1,
            position.count
        ));
    }
    if state.source.is_replay {
        let speed = state.source.speed;
        if speed != 1.0 {
            parts.push(format!("speed {speed}"));
        }
        parts.push(
            if state.source.paused {
                "held"
            } else {
                "playing"
            }
            .into(),
        );
    } else if state.source.paused {
        parts.push("paused".into());
    }
    if let Some(search) = &state.search {
        let (listed, all) = view.listing.vms;
        let typed = plain(search.typed());
        parts.push(format!("{listed} of {all} VMs match '{typed}'"));
    }
    if state.order.is_reversed {
        parts.push("reversed".into());
    }
    parts
}

pub(super) fn draw_own_cost(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let lines = match view.own_cost {
        None => vec!["offwatch itself: measured from now to the next sample".to_owned()],
        Some(cost) => own_cost(cost).into(),
    };
    for (text, row) in lines.into_iter().zip(area.rows().skip(1)) {
        Line::from(text).render(row, buffer);
    }
}

fn own_cost(cost: &OwnCost) -> [String; 2] {
    let memory = match cost.resident_bytes {
        Some(bytes) => format!("{:.1} MiB resident", bytes as f64 / f64::from(1 << 20)),
        None => "memory not known".into(),
    };
    let bpf = match &cost.bpf {
        Ok(bpf) => format!(
            "{} BPF programs: {} runs/s of {} ns, {:.2} % of a core (timing them adds to it)",
            bpf.programs,
            rate(Some(bpf.runs_per_s)),
            rate(bpf.ns_per_run),
            bpf.cpu_share * 100.0
        ),
        Err(reason) => format!("BPF programs: {reason}"),
    };
    [
        format!(
            "offwatch itself: {:.2} % of a core, {memory}",
            cost.cpu_share * 100.0
        ),
        bpf,
    ]
}

/// Why the selected row lacks values, else what keys there are.
pub(super) fn draw_footer(state: &State, view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let text = match (&state.page, view.model) {
        (Page::Detail(..), _) => PAGE_HINTS.to_owned(),
        (Page::List, Some(model)) => state
            .selected
            .as_ref()
            .and_then(|_| view.listing.rows.get(state.cursor))
            .and_then(|row| match state.display {
                Display::Offload => offloads::reason(*row, model),
                Display::VirtTop(view) => text::reason(view, row.vm(model)?),
            })
            .map_or_else(|| HINTS.to_owned(), |reason| plain(&reason)),
        (Page::List, None) => HINTS.to_owned(),
    };
    Line::styled(text, view.theme.faint()).render(area, buffer);
}
