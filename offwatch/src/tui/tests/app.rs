//! A screen in memory.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};
use jiff::tz::TimeZone;
use ratatui::{Terminal, backend::TestBackend};

use super::host::{VMS, model};
use crate::{
    advise::Findings,
    model::Model,
    output::virt_top::{CpuHistory, ViewOptions},
    settings::{Display, Settings},
    tui::{
        draw::{self, View},
        history::History,
        keys::{Action, Shown, on_key, on_mouse},
        listing::Listing,
        state::State,
        theme::Theme,
    },
};

/// A screen that is used by keys and looked at.
pub(super) struct App {
    pub(super) state: State,
    pub(super) model: Option<Model>,
    pub(super) listing: Listing,
    pub(super) findings: Option<Findings>,
    pub(super) history: History,
    pub(super) cpu_history: CpuHistory,
    pub(super) size: (u16, u16),
}

impl App {
    pub(super) fn new(width: u16, height: u16) -> Self {
        let mut app = Self::empty(width, height);
        app.model = Some(model(VMS));
        if let Some(model) = &app.model {
            app.history.push(model);
        }
        app
    }

    pub(super) fn empty(width: u16, height: u16) -> Self {
        Self {
            state: State::new(
                &Settings {
                    display: Display::Offload,
                    ..Settings::default()
                },
                false,
            ),
            cpu_history: CpuHistory::new(20),
            model: None,
            listing: Listing::default(),
            findings: None,
            history: History::default(),
            size: (width, height),
        }
    }

    pub(super) fn of_recording(width: u16, height: u16) -> Self {
        let mut app = Self::new(width, height);
        app.state.source.is_replay = true;
        app
    }

    /// Draws, then handles a key.
    pub(super) fn key(&mut self, key: impl Into<KeyEvent>) -> Action {
        self.screen();
        let listing = &self.listing;
        let zone = &TimeZone::UTC;
        let shown = self.model.as_ref().map(|model| Shown {
            model,
            listing,
            zone,
        });
        on_key(&mut self.state, key.into(), shown.as_ref())
    }

    pub(super) fn keys(&mut self, text: &str) -> Action {
        let mut last = Action::None;
        for char in text.chars() {
            last = self.key(KeyCode::Char(char));
        }
        last
    }

    pub(super) fn mouse(&mut self, kind: MouseEventKind, row: u16) {
        self.screen();
        let listing = &self.listing;
        let zone = &TimeZone::UTC;
        let shown = self.model.as_ref().map(|model| Shown {
            model,
            listing,
            zone,
        });
        let event = MouseEvent {
            kind,
            column: 0,
            row,
            modifiers: KeyModifiers::NONE,
        };
        on_mouse(&mut self.state, event, shown.as_ref());
    }

    /// The lines of the screen, without trailing spaces.
    pub(super) fn screen(&mut self) -> Vec<String> {
        let (width, height) = self.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("in memory");
        if let Some(model) = &self.model {
            let search = self.state.search.as_ref();
            let order = self.state.order;
            self.listing = match self.state.display {
                Display::Offload => Listing::of_offloads(model, order, search),
                Display::VirtTop(view) => {
                    let options = ViewOptions {
                        order,
                        block_in_bytes: self.state.block_in_bytes,
                        zone: TimeZone::UTC,
                    };
                    Listing::of_view(view, model, &self.cpu_history, &options, search)
                }
            };
        }
        let view = View {
            model: self.model.as_ref(),
            listing: &self.listing,
            findings: self.findings.as_ref(),
            history: &self.history,
            held: 0,
            position: None,
            own_cost: None,
            theme: Theme {
                colour: true,
                unicode: true,
            },
            zone: &TimeZone::UTC,
        };
        let drawn = terminal.draw(|frame| {
            draw::fit(&mut self.state, &view, frame.area());
            draw::draw(&self.state, &view, frame.buffer_mut());
        });
        let buffer = drawn.expect("in memory").buffer;
        let lines = buffer.content.chunks(usize::from(width)).map(|line| {
            let line: String = line.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned()
        });
        lines.collect()
    }

    /// The names of the rows, VM and interface.
    pub(super) fn rows(&mut self) -> Vec<String> {
        let screen = self.screen();
        let rows = screen[5..screen.len() - 1].iter();
        let rows = rows.filter(|row| !row.is_empty());
        rows.map(|row| {
            row.chars()
                .take(23)
                .collect::<String>()
                .trim_end()
                .to_owned()
        })
        .collect()
    }

    pub(super) fn selected(&self) -> Option<String> {
        self.state.selected.as_ref().map(|key| format!("{key:?}"))
    }

    pub(super) fn last_line(&mut self) -> String {
        self.screen().pop().unwrap_or_default()
    }
}
