//! What the user has chosen, and what the keys change.

use std::time::Duration;

use tui_input::Input;

use super::{
    listing::{Listing, RowKey},
    search::Search,
};
use crate::{
    model::Model,
    rank::Order,
    settings::{Display, Settings},
};

/// What the screen shows and how.
#[derive(Debug)]
pub(super) struct State {
    pub(super) display: Display,
    pub(super) page: Page,
    pub(super) overlay: Option<Overlay>,
    pub(super) order: Order,
    pub(super) search: Option<Search>,
    pub(super) selected: Option<RowKey>,
    /// Where the selected row was: what takes its place when it goes away.
    pub(super) cursor: usize,
    /// First row on the screen.
    pub(super) top: usize,
    /// Rows that the screen has room for.
    pub(super) room: usize,
    /// How far the columns are scrolled out to the left.
    pub(super) column: usize,
    /// Bytes per second instead of bits.
    pub(super) in_bytes: bool,
    /// Bytes of disks instead of requests.
    pub(super) block_in_bytes: bool,
    pub(super) own_cost: bool,
    pub(super) source: SourceState,
    pub(super) message: Option<String>,
}

/// What fills the screen.
#[derive(Debug, Default)]
pub(super) enum Page {
    #[default]
    List,
    /// One VM or interface, scrolled by so many lines.
    Detail(RowKey, usize),
}

/// What is in front of the page and gets the keys.
#[derive(Debug)]
pub(super) enum Overlay {
    /// Scrolled by so many lines.
    Help(usize),
    /// The choice of an order; which one the cursor is on.
    Menu(usize),
    Prompt(Prompt, Input),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Search,
    Interval,
    Jump,
}

/// How the source is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceState {
    pub(super) is_replay: bool,
    pub(super) paused: bool,
    /// Of samples of this host.
    pub(super) interval: Duration,
    /// Of a recording.
    pub(super) speed: f64,
}

impl State {
    pub(super) fn new(settings: &Settings, is_replay: bool) -> Self {
        Self {
            display: settings.display,
            page: Page::List,
            overlay: None,
            order: settings.order,
            search: None,
            selected: None,
            cursor: 0,
            top: 0,
            room: 1,
            column: 0,
            in_bytes: false,
            block_in_bytes: settings.block_in_bytes,
            own_cost: false,
            source: SourceState {
                is_replay,
                paused: false,
                interval: settings.interval,
                speed: 1.0,
            },
            message: None,
        }
    }

    /// What decides which rows there are, and in which order.
    pub(super) fn listed_by(&self) -> (Display, Order, bool, Option<String>) {
        let search = self.search.as_ref().map(|search| search.typed().to_owned());
        (self.display, self.order, self.block_in_bytes, search)
    }

    /// Shows another view from its beginning.
    pub(super) fn show(&mut self, display: Display) {
        self.display = display;
        self.page = Page::List;
        self.selected = None;
        self.cursor = 0;
        self.top = 0;
        self.column = 0;
    }

    /// Makes the selection and the scrolling fit rows that may have changed,
    /// and a screen with room for `room` of them.
    pub(super) fn fit(&mut self, model: &Model, listing: &Listing, room: usize) {
        self.room = room.max(1);
        let last = listing.rows.len().saturating_sub(1);
        if let Some(key) = &self.selected {
            let mut rows = listing.rows.iter();
            self.cursor = match rows.position(|row| row.has_key(model, key)) {
                Some(place) => place,
                None => self.cursor.min(last),
            };
            self.selected = listing.rows.get(self.cursor).map(|row| row.key(model));
        }
        if self.selected.is_some() {
            self.top = self.top.min(self.cursor);
            self.top = self.top.max((self.cursor + 1).saturating_sub(self.room));
        }
        self.top = self.top.min(listing.len().saturating_sub(self.room));
    }
}
