//! The live screen.

use std::io::{self, Stdout, Write as _};

use crossterm::{
    cursor,
    event::{Event, EventStream, KeyCode, KeyEvent, KeyModifiers},
    execute, queue, style, terminal,
};
use futures_util::StreamExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// The terminal, taken over until this is dropped.
pub struct Screen {
    out: Stdout,
    events: EventStream,
    signals: [Signal; 4],
    text: Vec<u8>,
}

fn terminal_error(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Io {
            what: "cannot use the terminal".into(),
            source,
        },
    }
}

impl Screen {
    /// Takes over the terminal. A panic gives it back before it is reported.
    pub fn open() -> Result<Self, Error> {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
        terminal::enable_raw_mode().map_err(terminal_error)?;
        let handled = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ];
        let [interrupt, terminate, hangup, quit] = handled.map(signal);
        let signals = [
            interrupt.map_err(terminal_error)?,
            terminate.map_err(terminal_error)?,
            hangup.map_err(terminal_error)?,
            quit.map_err(terminal_error)?,
        ];
        let screen = Self {
            out: io::stdout(),
            events: EventStream::new(),
            signals,
            text: b"sampling...\n".into(),
        };
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)
            .map_err(terminal_error)?;
        let mut screen = screen;
        screen.paint()?;
        Ok(screen)
    }

    /// Shows a text.
    pub fn draw(&mut self, text: &[u8]) -> Result<(), Error> {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.text.extend(b"\nq quits\n");
        self.paint()
    }

    /// Completes when the user, or a signal, asks to quit.
    pub async fn quit(&mut self) {
        loop {
            let [interrupt, terminate, hangup, quit] = &mut self.signals;
            let event = tokio::select! {
                event = self.events.next() => event,
                _ = interrupt.recv() => None,
                _ = terminate.recv() => None,
                _ = hangup.recv() => None,
                _ = quit.recv() => None,
            };
            let Some(event) = event else { return };
            match event {
                Ok(Event::Key(KeyEvent {
                    code: KeyCode::Char('q'),
                    ..
                }))
                | Err(_) => return,
                Ok(Event::Key(KeyEvent {
                    code: KeyCode::Char('c'),
                    modifiers,
                    ..
                })) if modifiers.contains(KeyModifiers::CONTROL) => {
                    return;
                }
                // The screen can be drawn again at the next tick at the latest.
                Ok(Event::Resize(..)) => drop(self.paint()),
                Ok(_) => {}
            }
        }
    }

    fn paint(&mut self) -> Result<(), Error> {
        let (columns, lines) = terminal::size().map_err(terminal_error)?;
        let text = String::from_utf8_lossy(&self.text);
        queue!(self.out, cursor::MoveTo(0, 0)).map_err(terminal_error)?;
        for line in text.lines().take(usize::from(lines)) {
            let visible: String = line.chars().take(usize::from(columns)).collect();
            queue!(
                self.out,
                style::Print(visible),
                terminal::Clear(terminal::ClearType::UntilNewLine),
                cursor::MoveToNextLine(1)
            )
            .map_err(terminal_error)?;
        }
        queue!(
            self.out,
            terminal::Clear(terminal::ClearType::FromCursorDown)
        )
        .map_err(terminal_error)?;
        self.out.flush().map_err(terminal_error)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // Nothing can be done if the terminal is gone.
    let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}
