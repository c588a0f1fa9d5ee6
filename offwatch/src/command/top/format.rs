//! What is printed each tick.

use std::io::{self, Write as _};

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

    /// A tick in this form; none if there is nothing to print of it.
    pub(super) fn text(&mut self, tick: &Tick<'_>) -> Result<Option<Vec<u8>>, Error> {
        let text = match self.format {
            format if format.needs_rates() && !tick.has_rates() => return Ok(None),
            Format::Silent | Format::Record => Vec::new(),
            Format::Json | Format::Table => self.model(tick.model())?,
            Format::Stream | Format::Screens(_) if self.options.order.key.needs_interfaces() => {
                let mut model = tick.model();
                self.filter.apply(&mut model);
                self.view(Overview::of_model(&model)).into_bytes()
            }
            Format::Stream | Format::Screens(_) => {
                let sample = self.filter.narrowed(tick.sample);
                self.view(Overview::of_sample(&sample, tick.usage))
                    .into_bytes()
            }
        };
        self.printed += 1;
        Ok(Some(text))
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

    /// The only tick there is, in a form that shows rates.
    pub(super) fn without_rates(&self, tick: &Tick<'_>) -> Result<Vec<u8>, Error> {
        match self.format {
            Format::Json | Format::Table => self.model(tick.model()),
            _ => Ok(Vec::new()),
        }
    }

    /// A model in a form that shows rates.
    fn model(&self, mut model: Model) -> Result<Vec<u8>, Error> {
        self.filter.apply(&mut model);
        if self.is_ordered {
            rank::sort_vms(&mut model.vms, self.options.order);
        }
        let mut text = Vec::new();
        if self.format == Format::Table && self.printed > 0 {
            text.push(b'\n');
        }
        let format: &dyn Render = match self.format {
            Format::Json => &Json { lines: true },
            _ => &Table,
        };
        format.render(&model, &mut text).map_err(Error::stdout)?;
        Ok(text)
    }
}

/// Writes to stdout, at once.
pub(super) fn write(text: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text)
        .and_then(|()| stdout.flush())
        .map_err(Error::stdout)
}
