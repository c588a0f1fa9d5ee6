//! The terminal, taken over until it is dropped.

use std::{
    io::{self, BufWriter, Stdout},
    mem::ManuallyDrop,
};

use crossterm::{
    cursor,
    event::{DisableMouseCapture, EnableMouseCapture, Event, EventStream},
    execute, terminal,
};
use futures_util::StreamExt as _;
use nix::sys::signal::{self, Signal as Number};
use ratatui::{Frame, Terminal, backend::CrosstermBackend, layout::Rect};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// A full-screen terminal with its keys. Dropping it, a signal and a panic give
/// the terminal back as it was.
pub struct Screen {
    /// Never dropped: it would tell stderr if it cannot show the cursor, and
    /// that panics where both have gone with the terminal. [`restore`] shows it.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
    events: EventStream,
    signals: [Signal; 4],
    continued: Signal,
    mouse: bool,
}

/// What happens at the terminal.
#[derive(Debug)]
pub enum Occasion {
    /// A key, the mouse, another size.
    Event(Event),
    /// The process was stopped and goes on: the shell has used the terminal.
    Continued,
    /// A signal, or the end of the terminal, asks to quit.
    End,
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
    pub fn open(mouse: bool) -> Result<Self, Error> {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
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
        let continued = signal(SignalKind::from_raw(Number::SIGCONT as i32));
        let continued = continued.map_err(terminal_error)?;
        take_over(mouse).map_err(|error| {
            restore();
            terminal_error(error)
        })?;
        let backend = CrosstermBackend::new(BufWriter::new(io::stdout()));
        let terminal = Terminal::new(backend).map_err(|error| {
            restore();
            terminal_error(error)
        })?;
        Ok(Self {
            terminal: ManuallyDrop::new(terminal),
            events: EventStream::new(),
            signals,
            continued,
            mouse,
        })
    }

    /// Draws a frame.
    pub fn draw(&mut self, frame: impl FnOnce(&mut Frame<'_>)) -> Result<(), Error> {
        self.terminal.draw(frame).map(drop).map_err(terminal_error)
    }

    /// Draws everything again at the next frame, whatever is on the terminal.
    pub fn clear(&mut self) -> Result<(), Error> {
        // `Terminal::clear` also asks the terminal where the cursor is. Not every
        // terminal answers, and the thread that waits for keys may take the answer.
        let size = self.terminal.size().map_err(terminal_error)?;
        let area = Rect::new(0, 0, size.width, size.height);
        self.terminal.resize(area).map_err(terminal_error)
    }

    /// What happens next.
    pub async fn next(&mut self) -> Occasion {
        let [interrupt, terminate, hangup, quit] = &mut self.signals;
        tokio::select! {
            event = self.events.next() => match event {
                Some(Ok(event)) => Occasion::Event(event),
                _ => Occasion::End,
            },
            _ = self.continued.recv() => Occasion::Continued,
            _ = interrupt.recv() => Occasion::End,
            _ = terminate.recv() => Occasion::End,
            _ = hangup.recv() => Occasion::End,
            _ = quit.recv() => Occasion::End,
        }
    }

    /// Gives the terminal to the shell until it continues this process, which
    /// is then told as [`Occasion::Continued`].
    pub fn suspend(&mut self) -> Result<(), Error> {
        restore();
        signal::raise(Number::SIGTSTP).map_err(|error| terminal_error(error.into()))?;
        self.resume()
    }

    /// Takes over the terminal again, whatever the shell made of it.
    pub fn resume(&mut self) -> Result<(), Error> {
        // What is raw already would be left as the shell has it.
        terminal::disable_raw_mode().map_err(terminal_error)?;
        take_over(self.mouse).map_err(terminal_error)?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn take_over(mouse: bool) -> io::Result<()> {
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

fn restore() {
    // Nothing can be done if the terminal is gone.
    let _ = execute!(
        io::stdout(),
        DisableMouseCapture,
        cursor::Show,
        terminal::LeaveAlternateScreen
    );
    let _ = terminal::disable_raw_mode();
}
