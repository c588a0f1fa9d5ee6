//! Lines that the user types: a search, an interval, a time.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use tui_input::InputRequest;

use super::{Action, Shown};
use crate::{
    cli,
    feed::Command,
    settings::end_time::{Deadline, EndTime, Moment},
    text,
    tui::{
        search::Search,
        state::{Overlay, Prompt, State},
    },
};

/// Handles a key of a line that is typed.
pub(super) fn on_key(
    state: &mut State,
    prompt: Prompt,
    key: KeyEvent,
    shown: Option<&Shown<'_>>,
) -> Action {
    let Some(Overlay::Prompt(_, input)) = &mut state.overlay else {
        return Action::None;
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let request = match key.code {
        KeyCode::Enter => {
            let text = input.value().trim().to_owned();
            state.overlay = None;
            return answer(state, prompt, &text, shown);
        }
        KeyCode::Esc => {
            if prompt == Prompt::Search {
                state.search = None;
            }
            state.overlay = None;
            return Action::None;
        }
        KeyCode::Char('u') if control => InputRequest::DeleteLine,
        KeyCode::Char('w') if control => InputRequest::DeletePrevWord,
        KeyCode::Char('a') if control => InputRequest::GoToStart,
        KeyCode::Char('e') if control => InputRequest::GoToEnd,
        KeyCode::Char(_) if control => return Action::None,
        KeyCode::Char(char) => InputRequest::InsertChar(char),
        KeyCode::Backspace => InputRequest::DeletePrevChar,
        KeyCode::Delete => InputRequest::DeleteNextChar,
        KeyCode::Left => InputRequest::GoToPrevChar,
        KeyCode::Right => InputRequest::GoToNextChar,
        KeyCode::Home => InputRequest::GoToStart,
        KeyCode::End => InputRequest::GoToEnd,
        _ => return Action::None,
    };
    input.handle(request);
    if prompt == Prompt::Search {
        // As it is typed.
        state.search = Search::new(input.value());
    }
    Action::None
}

fn answer(state: &mut State, prompt: Prompt, text: &str, shown: Option<&Shown<'_>>) -> Action {
    let result = match prompt {
        Prompt::Search => {
            state.search = Search::new(text);
            return Action::None;
        }
        _ if text.is_empty() => return Action::None,
        Prompt::Interval => cli::seconds(text).map(|interval| {
            state.source.interval = interval;
            state.message = Some(format!("delay set to {} seconds", interval.as_secs_f64()));
            Command::Interval(interval)
        }),
        Prompt::Jump => {
            let Some(shown) = shown else {
                return Action::None;
            };
            jump_target(text, shown.model.time_unix_ms, shown.zone).map(|to| {
                state.source.paused = true;
                Command::Jump(to)
            })
        }
    };
    match result {
        Ok(command) => Action::Ask(command),
        Err(reason) => {
            state.message = Some(format!("{}: {reason}", text::plain(text)));
            Action::None
        }
    }
}

/// The time that was typed: of the day that is shown, of another day, or so
/// long before or after `now`.
fn jump_target(text: &str, now_unix_ms: u64, zone: &TimeZone) -> Result<u64, String> {
    let back = text.strip_prefix('-').map(|period| format!("+{period}"));
    let is_short = back.is_none() && !text.starts_with('+') && text.matches(':').count() == 1;
    let text = match back.as_deref() {
        Some(period) => period.to_owned(),
        None if is_short => format!("{text}:00"),
        None => text.to_owned(),
    };
    let wrong = |_| "not HH:MM:SS, 'YYYY-MM-DD HH:MM:SS', +SECONDS or -SECONDS".to_owned();
    let now = Moment {
        unix_ms: now_unix_ms,
        monotonic_ns: 0,
    };
    let period_ms = match text
        .parse::<EndTime>()
        .map_err(wrong)?
        .deadline(now, zone)?
    {
        Deadline::Wall(unix_ms) => return Ok(unix_ms),
        Deadline::Monotonic(period_ns) => period_ns / 1_000_000,
    };
    Ok(match back {
        Some(_) => now_unix_ms.saturating_sub(period_ms),
        None => now_unix_ms.saturating_add(period_ms),
    })
}
