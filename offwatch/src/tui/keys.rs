//! What each key does. Pure: keys change the state and may ask for something.

mod prompt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::tz::TimeZone;
use tui_input::Input;

use super::{
    draw::FIRST_ROW,
    listing::{Listing, Row},
    search::Search,
    state::{Overlay, Page, Prompt, State},
};
use crate::{
    feed::Command,
    model::Model,
    output::virt_top::View,
    rank::{Key, Order},
    settings::Display,
};

/// What a key asks for besides another frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    None,
    Quit,
    /// To draw the whole screen again, and to sample now.
    Refresh,
    /// To give the terminal to the shell.
    Suspend,
    /// To write the init file.
    WriteSettings,
    Ask(Command),
}

/// What is on the screen.
pub(super) struct Shown<'model> {
    pub(super) model: &'model Model,
    pub(super) listing: &'model Listing,
    pub(super) zone: &'model TimeZone,
}

pub(super) const UNKNOWN: &str = "Unknown command - try 'h' for help";
/// What chooses the orders of the menu.
pub(super) const MENU_KEYS: &str = "0123456789abcdef";
const FASTEST: f64 = 1024.0;
const SLOWEST: f64 = 1.0 / 16.0;

/// The key that ends everything.
pub(super) fn is_interrupt(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Handles one key. `shown` is missing until there is something to show.
pub(super) fn on_key(state: &mut State, key: KeyEvent, shown: Option<&Shown<'_>>) -> Action {
    state.message = None;
    if key.modifiers.contains(KeyModifiers::ALT) {
        // Terminals send Esc and a key that follows at once as one.
        on_key(state, KeyEvent::from(KeyCode::Esc), shown);
        let rest = key.modifiers.difference(KeyModifiers::ALT);
        return on_key(state, KeyEvent::new(key.code, rest), shown);
    }
    if is_interrupt(key) {
        return Action::Quit;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        match key.code {
            KeyCode::Char('z') => return Action::Suspend,
            KeyCode::Char('l') => return Action::Refresh,
            _ => {}
        }
    }
    match (&mut state.overlay, &state.page) {
        (Some(Overlay::Prompt(prompt, _)), _) => {
            let prompt = *prompt;
            prompt::on_key(state, prompt, key, shown)
        }
        (Some(Overlay::Menu(_)), _) => on_menu(state, key.code),
        (Some(Overlay::Help(scroll)), _) => {
            match key.code {
                KeyCode::Char('q') => return Action::Quit,
                code => {
                    if !scroll_by_key(scroll, code, state.room) {
                        state.overlay = None;
                    }
                }
            }
            Action::None
        }
        (None, Page::Detail(..)) => on_detail(state, key.code, shown),
        (None, Page::List) => on_list(state, key.code, shown),
    }
}

/// The wheel moves through the rows, or scrolls; a click selects a row.
pub(super) fn on_mouse(state: &mut State, event: MouseEvent, shown: Option<&Shown<'_>>) -> Action {
    const LINES: usize = 3;
    let code = match event.kind {
        MouseEventKind::ScrollDown => KeyCode::Down,
        MouseEventKind::ScrollUp => KeyCode::Up,
        MouseEventKind::Down(MouseButton::Left) => {
            click(state, event.row, shown);
            return Action::None;
        }
        _ => return Action::None,
    };
    if !matches!(state.overlay, Some(Overlay::Prompt(..))) {
        for _ in 0..LINES {
            on_key(state, KeyEvent::from(code), shown);
        }
    }
    Action::None
}

fn click(state: &mut State, line: u16, shown: Option<&Shown<'_>>) {
    let (None, Page::List, Some(shown)) = (&state.overlay, &state.page, shown) else {
        return;
    };
    let place = line
        .checked_sub(FIRST_ROW)
        .map(|line| state.top + usize::from(line));
    if let Some(row) = place.and_then(|place| shown.listing.rows.get(place)) {
        state.selected = Some(row.key(shown.model));
    }
}

/// Whether the key scrolls text.
fn scroll_by_key(scroll: &mut usize, code: KeyCode, room: usize) -> bool {
    *scroll = match code {
        KeyCode::Down | KeyCode::Char('j') => scroll.saturating_add(1),
        KeyCode::Up | KeyCode::Char('k') => scroll.saturating_sub(1),
        KeyCode::PageDown => scroll.saturating_add(room),
        KeyCode::PageUp => scroll.saturating_sub(room),
        KeyCode::Home => 0,
        // As far as there is something: fitting the screen tells how far.
        KeyCode::End => usize::MAX,
        _ => return false,
    };
    true
}

fn on_detail(state: &mut State, code: KeyCode, shown: Option<&Shown<'_>>) -> Action {
    let Page::Detail(_, scroll) = &mut state.page else {
        return Action::None;
    };
    if scroll_by_key(scroll, code, state.room) {
        return Action::None;
    }
    match code {
        KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace => {
            state.page = Page::List;
            Action::None
        }
        code => on_command(state, code, shown),
    }
}

fn on_list(state: &mut State, code: KeyCode, shown: Option<&Shown<'_>>) -> Action {
    let page = isize::try_from(state.room).unwrap_or(1);
    match code {
        KeyCode::Down | KeyCode::Char('j') => move_by(state, 1, shown),
        KeyCode::Up | KeyCode::Char('k') => move_by(state, -1, shown),
        KeyCode::PageDown => move_by(state, page, shown),
        KeyCode::PageUp => move_by(state, -page, shown),
        KeyCode::Home => move_by(state, isize::MIN, shown),
        KeyCode::End => move_by(state, isize::MAX, shown),
        KeyCode::Right => state.column += 1,
        KeyCode::Left => state.column = state.column.saturating_sub(1),
        KeyCode::Enter => open(state, shown),
        KeyCode::Esc => {
            if state.search.take().is_none() {
                state.selected = None;
            }
        }
        KeyCode::Char('/') => {
            let text = state.search.as_ref().map_or("", Search::typed);
            state.overlay = Some(Overlay::Prompt(Prompt::Search, Input::from(text)));
        }
        KeyCode::Char('r') => state.order.is_reversed = !state.order.is_reversed,
        KeyCode::Char('F') => {
            let current = Key::ALL.iter().position(|key| *key == state.order.key);
            state.overlay = Some(Overlay::Menu(current.unwrap_or(0)));
        }
        _ => return on_command(state, code, shown),
    }
    Action::None
}

/// Keys that do the same on a list and on a page.
fn on_command(state: &mut State, code: KeyCode, shown: Option<&Shown<'_>>) -> Action {
    let KeyCode::Char(key) = code else {
        if code == KeyCode::F(1) {
            state.overlay = Some(Overlay::Help(0));
        } else {
            state.message = Some(UNKNOWN.into());
        }
        return Action::None;
    };
    let is_replay = state.source.is_replay;
    match key {
        'q' => return Action::Quit,
        ' ' => return Action::Refresh,
        'h' | '?' => state.overlay = Some(Overlay::Help(0)),
        'u' => state.in_bytes = !state.in_bytes,
        'o' => state.own_cost = !state.own_cost,
        'B' => state.block_in_bytes = !state.block_in_bytes,
        'P' => order_by(state, Key::Cpu),
        'M' => order_by(state, Key::Memory),
        'T' => order_by(state, Key::Time),
        'N' => order_by(state, Key::Id),
        'W' => return Action::WriteSettings,
        '0'..='4' => return change_view(state, key),
        'p' => {
            state.source.paused = !state.source.paused;
            if is_replay {
                return Action::Ask(Command::Play(!state.source.paused));
            }
        }
        's' | 'd' if !is_replay => {
            state.overlay = Some(Overlay::Prompt(Prompt::Interval, Input::default()));
        }
        '.' | ',' if is_replay => {
            let by = if key == '.' { 1 } else { -1 };
            state.source.paused = true;
            return Action::Ask(Command::Step(by));
        }
        '[' | ']' if is_replay => {
            let factor = if key == '[' { 0.5 } else { 2.0 };
            state.source.speed = (state.source.speed * factor).clamp(SLOWEST, FASTEST);
            return Action::Ask(Command::Speed(state.source.speed));
        }
        'J' if is_replay && shown.is_some() => {
            state.overlay = Some(Overlay::Prompt(Prompt::Jump, Input::default()));
        }
        's' | 'd' => state.message = Some("a recording has its own interval: see [ and ]".into()),
        '.' | ',' | '[' | ']' | 'J' => {
            state.message = Some("only a recording can be played (--replay)".into());
        }
        _ => state.message = Some(UNKNOWN.into()),
    }
    Action::None
}

fn order_by(state: &mut State, key: Key) {
    state.order = Order {
        key,
        is_reversed: false,
    };
}

/// A view; where it is shown already, the VMs.
fn change_view(state: &mut State, key: char) -> Action {
    let domains = Display::VirtTop(View::Domains);
    let pcpus = Display::VirtTop(View::Pcpus);
    let wanted = match key {
        '1' => pcpus,
        '2' => Display::VirtTop(View::Nics),
        '3' => Display::VirtTop(View::Disks),
        '4' => Display::Offload,
        _ => domains,
    };
    let had_pcpus = state.display == pcpus;
    state.show(match wanted == state.display {
        true => domains,
        false => wanted,
    });
    let has_pcpus = state.display == pcpus;
    match has_pcpus == had_pcpus {
        true => Action::None,
        false => Action::Ask(Command::WantPcpus(has_pcpus)),
    }
}

fn move_by(state: &mut State, by: isize, shown: Option<&Shown<'_>>) {
    let Some(Shown { model, listing, .. }) = shown else {
        return;
    };
    let Some(last) = listing.rows.len().checked_sub(1) else {
        // Lines that are no rows are scrolled.
        state.top = state.top.saturating_add_signed(by);
        return;
    };
    // The first key selects where the screen is.
    let from = match state.selected {
        Some(_) => state.cursor.saturating_add_signed(by),
        None if by.unsigned_abs() == 1 => state.top,
        None => state.top.saturating_add_signed(by),
    };
    state.cursor = from.min(last);
    state.selected = Some(listing.rows[state.cursor].key(model));
}

fn open(state: &mut State, shown: Option<&Shown<'_>>) {
    let Some(Shown { model, listing, .. }) = shown else {
        return;
    };
    let row = match state.selected {
        Some(_) => listing.rows.get(state.cursor),
        None => listing.rows.get(state.top),
    };
    let page = match row {
        // The page of a card is that of its VM.
        Some(Row::Card(vm, _) | Row::Device(vm, _)) => Row::Vm(*vm),
        Some(row) => *row,
        None => return,
    };
    state.page = Page::Detail(page.key(model), 0);
}

fn on_menu(state: &mut State, code: KeyCode) -> Action {
    let Some(Overlay::Menu(cursor)) = &mut state.overlay else {
        return Action::None;
    };
    let chosen = match code {
        KeyCode::Down | KeyCode::Char('j') => {
            *cursor = (*cursor + 1).min(Key::ALL.len() - 1);
            return Action::None;
        }
        KeyCode::Up | KeyCode::Char('k') => {
            *cursor = cursor.saturating_sub(1);
            return Action::None;
        }
        KeyCode::Enter | KeyCode::Char(' ') => Some(*cursor),
        KeyCode::Char(key) => MENU_KEYS.chars().position(|known| known == key),
        _ => None,
    };
    if let Some(key) = chosen.and_then(|chosen| Key::ALL.get(chosen)) {
        order_by(state, *key);
    }
    state.overlay = None;
    Action::None
}
