//! What is printed each tick.

use std::io::{self, BufWriter, Write};

use jiff::tz::TimeZone;

use crate::{
    error::Error,
    filter::Filter,
    model::{Model, overview::Overview},
    output::{
        Json, Render, Table,
        virt_top::{self, CpuHistory, View, ViewOptions},
    },
    rank,
    settings::{Display, Settings},
    source::Tick,
};

/// A form of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Nothing: the CSV or nobody is told.
    Silent,
    /// Nothing: stdout belongs to the recording.
    Record,
    /// An object a line.
    Json,
    /// offwatch's table.
    Table,
    /// virt-top's text blocks.
    Stream,
    /// virt-top's screens, one after the other.
    Screens(View),
}

impl Format {
    /// What the settings ask for where there is no live screen.
    pub(super) fn of(settings: &Settings, json: bool) -> Self {
        match (json, settings.stream, settings.display) {
            (true, _, _) => Self::Json,
            (_, false, _) if settings.script => Self::Silent,
            (_, _, Display::Offload) => Self::Table,
            (_, true, Display::VirtTop(_)) => Self::Stream,
            (_, false, Display::VirtTop(view)) => Self::Screens(view),
        }
    }

    /// It shows rates, for which there must be two samples.
    pub(super) fn needs_rates(self) -> bool {
        matches!(self, Self::Json | Self::Table | Self::Record)
    }

    /// It shows what only counting packets tells.
    pub(super) fn needs_packets(self, settings: &Settings) -> bool {
        self.needs_rates() || settings.order.key.needs_interfaces()
    }
}

/// Prints ticks in one form.
pub(super) struct Printer<'a> {
    pub(super) format: Format,
    filter: &'a Filter,
    options: ViewOptions,
    history: CpuHistory,
    /// The user chose an order; else the table has that of the sample.
    is_ordered: bool,
    printed: u64,
}

impl<'a> Printer<'a> {
    pub(super) fn new(
        format: Format,
        settings: &Settings,
        filter: &'a Filter,
        zone: &TimeZone,
        is_ordered: bool,
    ) -> Self {
        Self {
            format,
            filter,
            options: ViewOptions {
                order: settings.order,
                block_in_bytes: settings.block_in_bytes,
                zone: zone.clone(),
            },
            history: CpuHistory::new(settings.hist_cpu_seconds),
            is_ordered,
            printed: 0,
        }
    }

    /// What is printed holds the notes of the sample.
    pub(super) fn shows_notes(&self) -> bool {
        !matches!(
            self.format,
            Format::Silent | Format::Record | Format::Stream
        )
    }

    /// How many were printed.
    pub(super) fn printed(&self) -> u64 {
        self.printed
    }

    /// Prints a tick in this form, if there is anything to print of it.
    pub(super) fn print(&mut self, tick: &Tick<'_>, to: &mut dyn Write) -> Result<(), Error> {
        match self.format {
            format if format.needs_rates() && !tick.has_rates() => return Ok(()),
            Format::Silent | Format::Record => {}
            Format::Json | Format::Table => self.model(tick.model(), to)?,
            Format::Stream | Format::Screens(_) if self.options.order.key.needs_interfaces() => {
                let mut model = tick.model();
                self.filter.apply(&mut model);
                let view = self.view(Overview::of_model(&model));
                to.write_all(view.as_bytes()).map_err(Error::stdout)?;
            }
            Format::Stream | Format::Screens(_) => {
                let sample = self.filter.narrowed(tick.sample);
                let view = self.view(Overview::of_sample(&sample, tick.usage));
                to.write_all(view.as_bytes()).map_err(Error::stdout)?;
            }
        }
        self.printed += 1;
        Ok(())
    }

    fn view(&mut self, overview: Overview<'_>) -> String {
        let Format::Screens(view) = self.format else {
            return virt_top::stream(&overview.for_programs(), &self.options);
        };
        self.history.advance(&overview);
        let lines = virt_top::screen(view, &overview, &self.history, &self.options, None);
        let between = if self.printed == 0 { "" } else { "\n" };
        format!("{between}{}\n", lines.join("\n"))
    }

    /// Prints the only tick there is, in a form that shows rates.
    pub(super) fn print_without_rates(
        &self,
        tick: &Tick<'_>,
        to: &mut dyn Write,
    ) -> Result<(), Error> {
        match self.format {
            Format::Json | Format::Table => self.model(tick.model(), to),
            _ => Ok(()),
        }
    }

    /// A model in a form that shows rates.
    fn model(&self, mut model: Model, to: &mut dyn Write) -> Result<(), Error> {
        self.filter.apply(&mut model);
        if self.is_ordered {
            rank::sort_vms(&mut model.vms, self.options.order);
        }
        if self.format == Format::Table && self.printed > 0 {
            to.write_all(b"\n").map_err(Error::stdout)?;
        }
        let format: &dyn Render = match self.format {
            Format::Json => &Json { lines: true },
            _ => &Table,
        };
        format.render(&model, to).map_err(Error::stdout)
    }
}

/// Prints to stdout, all of it before this returns. What is large is never held
/// as a whole.
pub(super) fn to_stdout(
    print: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    const BUFFER_BYTES: usize = 64 << 10;
    let mut stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    print(&mut stdout)?;
    stdout.flush().map_err(Error::stdout)
}
