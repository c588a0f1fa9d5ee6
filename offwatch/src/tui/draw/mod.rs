//! Draws a frame. Pure: what is on the screen follows from what is given.

mod charts;
mod columns;
mod detail;
mod facts;
mod findings;
mod header;
mod help;
mod offloads;
mod text;

use jiff::tz::TimeZone;
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Position, Rect},
    text::Line,
    widgets::Widget as _,
};

use super::{
    history::History,
    listing::Listing,
    state::{Overlay, Page, State},
    theme::Theme,
};
use crate::{advise::Findings, feed, model::Model, own_cost::OwnCost};

/// What there is to be shown.
pub(super) struct View<'app> {
    /// Missing until the first sample.
    pub(super) model: Option<&'app Model>,
    pub(super) listing: &'app Listing,
    /// What `advise` would say; missing until enough was seen.
    pub(super) findings: Option<&'app Findings>,
    pub(super) history: &'app History,
    /// How many of the newest points are not to be shown.
    pub(super) held: usize,
    pub(super) position: Option<feed::Position>,
    /// What offwatch costs; missing until it is measured.
    pub(super) own_cost: Option<&'app OwnCost>,
    pub(super) theme: Theme,
    pub(super) zone: &'app TimeZone,
}

/// The least that lines can be read on.
const SMALLEST: (u16, u16) = (40, 9);

struct Areas {
    header: Rect,
    message: Rect,
    body: Rect,
    own_cost: Rect,
    footer: Rect,
}

impl Areas {
    fn new(area: Rect, own_cost: bool) -> Self {
        let [header, message, body, own_cost, footer] = Layout::vertical([
            Constraint::Length(header::LINES),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(if own_cost { header::OWN_COST_LINES } else { 0 }),
            Constraint::Length(1),
        ])
        .areas(area);
        Self {
            header,
            message,
            body,
            own_cost,
            footer,
        }
    }
}

fn is_too_small(area: Rect) -> bool {
    area.width < SMALLEST.0 || area.height < SMALLEST.1
}

/// The line on which the first row is.
pub(super) const FIRST_ROW: u16 = header::LINES + 2;

/// Makes selection and scrolling fit the screen and what there is to show.
pub(super) fn fit(state: &mut State, view: &View<'_>, area: Rect) {
    let body = Areas::new(area, state.own_cost).body;
    let room = usize::from(body.height);
    if let Some(Overlay::Help(scroll)) = &mut state.overlay {
        *scroll = (*scroll).min(help::lines().saturating_sub(usize::from(area.height)));
    }
    let Some(model) = view.model else { return };
    state.fit(model, view.listing, room.saturating_sub(1));
    let last_column = match &view.listing.text {
        Some(text) => text::last_column(state, text, area.width),
        None => offloads::last_column(area.width),
    };
    state.column = state.column.min(last_column);
    let Page::Detail(key, _) = &state.page else {
        return;
    };
    let Some(page) = page(key, state, view, area.width) else {
        // The VM is gone; so is its page.
        state.page = Page::List;
        return;
    };
    let lines = page.lines();
    if let Page::Detail(_, scroll) = &mut state.page {
        *scroll = (*scroll).min(lines.saturating_sub(room));
        state.room = room.max(1);
    }
}

fn page<'view>(
    key: &super::listing::RowKey,
    state: &State,
    view: &View<'view>,
    width: u16,
) -> Option<detail::Page<'view>> {
    let model = view.model?;
    Some(detail::Page {
        row: detail::find(key, model)?,
        model,
        findings: view.findings,
        history: view.history,
        held: view.held,
        in_bytes: state.in_bytes,
        theme: view.theme,
        width,
    })
}

/// Draws everything; where the cursor is to be, if it is to be seen.
pub(super) fn draw(state: &State, view: &View<'_>, buffer: &mut Buffer) -> Option<Position> {
    let area = buffer.area;
    if is_too_small(area) {
        let (width, height) = SMALLEST;
        let text = format!("{}x{}: needs {width}x{height}", area.width, area.height);
        Line::from(text).render(area, buffer);
        return None;
    }
    match &state.overlay {
        Some(Overlay::Help(scroll)) => {
            help::draw(*scroll, view.theme, area, buffer);
            return None;
        }
        Some(Overlay::Menu(cursor)) => {
            help::draw_menu(*cursor, state.order, view.theme, area, buffer);
            return None;
        }
        Some(Overlay::Prompt(..)) | None => {}
    }
    let areas = Areas::new(area, state.own_cost);
    header::draw(view, areas.header, buffer);
    let cursor = header::draw_message(state, view, areas.message, buffer);
    if let Some(model) = view.model {
        match &state.page {
            Page::List => {
                let (listing, theme, body) = (view.listing, view.theme, areas.body);
                match &listing.text {
                    Some(text) => text::draw(state, model, listing, text, theme, body, buffer),
                    None => offloads::draw(state, model, view, body, buffer),
                }
            }
            Page::Detail(key, scroll) => {
                if let Some(page) = page(key, state, view, area.width) {
                    page.draw(*scroll, areas.body, buffer);
                }
            }
        }
    }
    if state.own_cost {
        header::draw_own_cost(view, areas.own_cost, buffer);
    }
    header::draw_footer(state, view, areas.footer, buffer);
    cursor
}
