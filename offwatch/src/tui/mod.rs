//! The live screen.

mod draw;
mod history;
mod keys;
mod listing;
mod search;
mod state;
mod terminal;
mod theme;

use std::sync::Arc;

use crossterm::{
    event::{Event, KeyEventKind},
    style::force_color_output,
};
use jiff::tz::TimeZone;

pub use self::terminal::{Occasion, Screen};
use self::{
    draw::View,
    history::History,
    keys::{Action, Shown, is_interrupt, on_key, on_mouse},
    listing::Listing,
    state::State,
    theme::Theme,
};
use crate::{
    advise::Findings,
    cli::Color,
    error::Error,
    feed::{Command, Feed, Position, Tick, Update},
    model::{Model, overview::Overview},
    output::virt_top::{CpuHistory, ViewOptions},
    own_cost::{Meter, OwnCost},
    settings::{Display, Settings},
};

/// What the screen is drawn on, and for whom.
#[derive(Clone, Debug)]
pub struct Looks {
    /// When to use colours.
    pub colour: Color,
    /// Whether the mouse scrolls and selects.
    pub mouse: bool,
    /// Whether the source is a recording.
    pub is_replay: bool,
    /// In which times are shown and typed.
    pub zone: TimeZone,
}

/// Shows what comes from a feed until the user or the feed ends it.
pub async fn run(mut feed: Feed, settings: Settings, looks: Looks) -> Result<(), Error> {
    let theme = Theme::new(looks.colour);
    // It has its own mind about NO_COLOR; the user's wish is known here.
    force_color_output(theme.colour);
    let mut screen = Screen::open(looks.mouse)?;
    let result = App::new(settings, theme, &looks)
        .run(&mut feed, &mut screen)
        .await;
    // The terminal is given back before anything is waited for.
    drop(screen);
    feed.end().await;
    result
}

struct App {
    settings: Settings,
    state: State,
    theme: Theme,
    zone: TimeZone,
    model: Option<Model>,
    /// What `advise` would say; missing until enough was seen.
    findings: Option<Arc<Findings>>,
    /// What came last while the screen is held.
    newest: Option<(Model, Option<Arc<Findings>>)>,
    position: Option<Position>,
    listing: Listing,
    /// The listing is that of another model, order or search.
    is_stale: bool,
    history: History,
    cpu_history: CpuHistory,
    /// How many points the history has that came while the screen is held.
    held: usize,
    meter: Option<Meter>,
    own_cost: Option<OwnCost>,
}

impl App {
    fn new(settings: Settings, theme: Theme, looks: &Looks) -> Self {
        Self {
            state: State::new(&settings, looks.is_replay),
            theme,
            zone: looks.zone.clone(),
            cpu_history: CpuHistory::new(settings.hist_cpu_seconds),
            settings,
            model: None,
            findings: None,
            newest: None,
            position: None,
            listing: Listing::default(),
            is_stale: false,
            history: History::default(),
            held: 0,
            meter: None,
            own_cost: None,
        }
    }

    async fn run(&mut self, feed: &mut Feed, screen: &mut Screen) -> Result<(), Error> {
        loop {
            self.draw(screen)?;
            let occasion = tokio::select! {
                occasion = screen.next() => occasion,
                update = feed.next() => {
                    let Some(update) = update else { return Ok(()) };
                    self.on_update(update?);
                    continue;
                }
            };
            let event = match occasion {
                Occasion::Event(event) => event,
                Occasion::Continued => {
                    screen.resume()?;
                    continue;
                }
                Occasion::End => return Ok(()),
            };
            match self.on_event(&event) {
                Action::None => {}
                Action::Quit => return Ok(()),
                Action::Suspend => screen.suspend()?,
                Action::WriteSettings => self.write_settings(),
                Action::Refresh => {
                    screen.clear()?;
                    feed.ask(Command::Now);
                }
                Action::Ask(command) => feed.ask(command),
            }
        }
    }

    fn draw(&mut self, screen: &mut Screen) -> Result<(), Error> {
        self.list();
        screen.draw(|frame| {
            let view = View {
                model: self.model.as_ref(),
                listing: &self.listing,
                findings: self.findings.as_deref(),
                history: &self.history,
                held: self.held,
                position: self.position,
                own_cost: self.own_cost.as_ref(),
                theme: self.theme,
                zone: &self.zone,
            };
            draw::fit(&mut self.state, &view, frame.area());
            if let Some(cursor) = draw::draw(&self.state, &view, frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        })
    }

    fn list(&mut self) {
        if let (true, Some(model)) = (self.is_stale, &self.model) {
            let State {
                order,
                block_in_bytes,
                ..
            } = self.state;
            let search = self.state.search.as_ref();
            self.listing = match self.state.display {
                Display::Offload => Listing::of_offloads(model, order, search),
                Display::VirtTop(view) => {
                    let options = ViewOptions {
                        order,
                        block_in_bytes,
                        zone: self.zone.clone(),
                    };
                    Listing::of_view(view, model, &self.cpu_history, &options, search)
                }
            };
            self.is_stale = false;
        }
    }

    fn on_event(&mut self, event: &Event) -> Action {
        let listed_by = self.state.listed_by();
        let model = self.model.as_ref();
        let listing = &self.listing;
        let zone = &self.zone;
        let shown = model.map(|model| Shown {
            model,
            listing,
            zone,
        });
        let action = match event {
            // As in virt-top: it still draws.
            Event::Key(key) if self.settings.batch && !is_interrupt(*key) => Action::None,
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                on_key(&mut self.state, *key, shown.as_ref())
            }
            Event::Mouse(mouse) if !self.settings.batch => {
                on_mouse(&mut self.state, *mouse, shown.as_ref())
            }
            _ => Action::None,
        };
        self.is_stale |= self.state.listed_by() != listed_by;
        if !self.state.source.paused {
            self.held = 0;
            if let Some((model, findings)) = self.newest.take() {
                self.show(model, findings);
            }
        }
        if self.state.own_cost != self.meter.is_some() {
            self.own_cost = None;
            self.meter = self.state.own_cost.then(Meter::start);
        }
        action
    }

    /// Writes what the user chose to the init file.
    fn write_settings(&mut self) {
        let settings = Settings {
            display: self.state.display,
            interval: self.state.source.interval,
            order: self.state.order,
            block_in_bytes: self.state.block_in_bytes,
            ..self.settings.clone()
        };
        self.state.message = Some(match settings.write_init_file(&self.zone) {
            Ok(Some(path)) => format!("Wrote settings to {}", path.display()),
            Ok(None) => "the init file is not to be overwritten".into(),
            Err(error) => format!("cannot write the init file: {error}"),
        });
    }

    fn on_update(&mut self, update: Update) {
        match update {
            Update::Message(message) => self.state.message = Some(message),
            Update::Past(model) => self.history.push_past(&model),
            Update::Tick(tick) => {
                let Tick {
                    model,
                    findings,
                    position,
                    jumped,
                } = *tick;
                if jumped {
                    self.history.clear();
                    self.cpu_history = CpuHistory::new(self.settings.hist_cpu_seconds);
                }
                self.history.push(&model);
                self.position = position;
                self.own_cost = self.meter.as_mut().map(Meter::read);
                // A recording is held at its source.
                if self.state.source.paused && !self.state.source.is_replay {
                    self.held += 1;
                    self.newest = Some((model, findings));
                } else {
                    self.show(model, findings);
                }
            }
        }
    }

    fn show(&mut self, model: Model, findings: Option<Arc<Findings>>) {
        self.cpu_history.advance(&Overview::of_model(&model));
        self.model = Some(model);
        self.findings = findings;
        self.is_stale = true;
    }
}

#[cfg(test)]
mod tests;
