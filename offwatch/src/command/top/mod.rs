//! `offwatch top`, and `virt-top`.

mod csv_file;
mod debug;
mod ending;
mod format;

use std::io::{self, IsTerminal as _, Write as _};

use jiff::tz::TimeZone;

use self::{
    csv_file::CsvFile,
    ending::Ending,
    format::{Format, Printer},
};
use crate::{
    cli::TopArgs,
    collector::Options,
    error::Error,
    filter::Filter,
    model::{Model, overview::Overview},
    output::{
        Json, Render, Table,
        virt_top::{CsvFormat, View},
    },
    record::Recorder,
    settings::{Display, Settings},
    source::{Source, Tick},
    text, tui,
};

/// Runs until the user, the recording, `-n` or `--end-time` ends it.
pub async fn run(args: &TopArgs) -> Result<(), Error> {
    let filter = Filter::new(&args.vm, &args.dev)?;
    let (settings, warnings) = Settings::load(args)?;
    warnings.iter().for_each(|warning| warn(warning));
    let zone = TimeZone::system();
    // Before anything is observed, so that a bad path costs nothing.
    let create = |path| Recorder::create(path, args.replay.as_deref());
    let recorder = args.record.as_deref().map(create).transpose()?;
    let csv = csv_file(&settings, &zone)?;
    let ending = Ending::new(&settings, args.replay.is_some(), &zone)?;
    let format = Format::of(&settings, args.json);
    let needs_packets = is_once(args) || recorder.is_some() || format.needs_packets(&settings);
    let mut source = open(args, &settings, needs_packets).await?;
    if let Some(recorder) = recorder {
        source.record_to(recorder);
    }
    if let Some(path) = &settings.debug {
        debug::to_file(path)?;
    }
    if is_once(args) {
        return once(args, &filter, &mut source).await;
    }
    source.want_pcpus(settings.display == Display::VirtTop(View::Pcpus));
    let silent = source.records_to_stdout() || csv.as_ref().is_some_and(CsvFile::is_stdout);
    let is_live = !args.json
        && !settings.stream
        && !settings.script
        && !settings.batch
        && !source.is_replay()
        && !silent
        && io::stdout().is_terminal();
    let format = match (source.records_to_stdout(), silent) {
        (true, _) => Format::Record,
        (false, true) => Format::Silent,
        (false, false) => format,
    };
    let is_ordered = args.virt_top.sort.is_some() || args.virt_top.reverse;
    let output = Output {
        printer: Printer::new(format, &settings, &filter, &zone, is_ordered),
        screen: is_live.then(tui::Screen::open).transpose()?,
        filter: &filter,
        csv,
        told: Vec::new(),
    };
    output.run(&mut source, ending, settings.iterations).await
}

/// One line on stderr; nothing can be done if that is closed.
fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "offwatch: {}", text::plain(message));
}

fn csv_file(settings: &Settings, zone: &TimeZone) -> Result<Option<CsvFile>, Error> {
    let Some(path) = &settings.csv else {
        return Ok(None);
    };
    let format = CsvFormat {
        columns: settings.csv_columns,
        block_in_bytes: settings.block_in_bytes,
        zone: zone.clone(),
    };
    CsvFile::create(path, format).map(Some)
}

/// `--json` without `--stream` is one object, as programs expect.
fn is_once(args: &TopArgs) -> bool {
    args.once || args.json && !args.stream && args.iterations.is_none()
}

async fn open(args: &TopArgs, settings: &Settings, needs_packets: bool) -> Result<Source, Error> {
    if let Some(path) = &args.replay {
        return Source::replay(path);
    }
    let options = Options {
        hooks: args.hook.hooks(),
        exact: args.exact.into(),
        needs_packets,
        connect: settings.connect.clone(),
        bpf_log: args.bpf_log,
    };
    Source::live(&options, settings.interval).await
}

/// Where ticks go.
struct Output<'a> {
    printer: Printer<'a>,
    screen: Option<tui::Screen>,
    filter: &'a Filter,
    csv: Option<CsvFile>,
    /// Notes that were told on stderr.
    told: Vec<String>,
}

impl Output<'_> {
    async fn run(
        mut self,
        source: &mut Source,
        mut ending: Ending,
        iterations: Option<u64>,
    ) -> Result<(), Error> {
        let mut is_checked = false;
        while let Some(tick) = next(source, self.screen.as_mut()).await? {
            if !is_checked {
                self.filter.check_sample(tick.sample)?;
                is_checked = true;
            }
            self.show(&tick)?;
            let is_done = iterations.is_some_and(|count| self.printer.printed() >= count);
            let ends_in = ending.after(tick.sample)?;
            if let Some(rest) = ends_in {
                if !is_done && !source.is_replay() {
                    wait(rest, self.screen.as_mut()).await;
                }
                return Ok(());
            }
            if is_done {
                return Ok(());
            }
        }
        // A recording of one sample has no rates, but totals.
        match source.last().filter(|_| self.printer.printed() == 0) {
            Some(tick) => format::write(&self.printer.without_rates(&tick)?),
            None => Ok(()),
        }
    }

    fn show(&mut self, tick: &Tick<'_>) -> Result<(), Error> {
        if let Some(csv) = &mut self.csv {
            let sample = self.filter.narrowed(tick.sample);
            csv.append(&Overview::of_sample(&sample, tick.usage).for_programs())?;
        }
        if self.screen.is_none() && !self.printer.shows_notes() {
            self.tell(&tick.sample.host.notes);
        }
        let Some(text) = self.printer.text(tick)? else {
            return Ok(());
        };
        match &mut self.screen {
            Some(screen) => screen.draw(&text),
            None => format::write(&text),
        }
    }

    /// Tells what is new on stderr: what is printed has no place for it.
    fn tell(&mut self, notes: &[String]) {
        // A note that counts seconds is not new each time.
        let told = notes
            .iter()
            .map(|note| note.replace(|c: char| c.is_ascii_digit(), ""));
        let told: Vec<String> = told.collect();
        let new = notes.iter().zip(&told);
        new.filter(|(_, told)| !self.told.contains(told))
            .for_each(|(note, _)| warn(note));
        self.told = told;
    }
}

/// The next tick, or `None` if the user ends the screen first.
async fn next<'source>(
    source: &'source mut Source,
    screen: Option<&mut tui::Screen>,
) -> Result<Option<Tick<'source>>, Error> {
    match screen {
        None => source.tick().await,
        Some(screen) => tokio::select! {
            tick = source.tick() => tick,
            () = screen.quit() => Ok(None),
        },
    }
}

/// Waits for the end, or until the user ends the screen.
async fn wait(rest: std::time::Duration, screen: Option<&mut tui::Screen>) {
    let rest = tokio::time::sleep(rest);
    match screen {
        None => rest.await,
        Some(screen) => tokio::select! {
            () = rest => {}
            () = screen.quit() => {}
        },
    }
}

/// One interval: the next one, or the last one of a recording. Where a
/// recording breaks off, what is whole is shown before that is told.
async fn once(args: &TopArgs, filter: &Filter, source: &mut Source) -> Result<(), Error> {
    let mut last = None;
    let result = loop {
        match source.next().await {
            Ok(Some(model)) => last = Some(model),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if !source.is_replay() {
            break Ok(());
        }
    };
    if let Some(mut model) = last {
        filter.check(&model)?;
        if !source.records_to_stdout() {
            print_once(args, filter, &mut model)?;
        }
    }
    result
}

fn print_once(args: &TopArgs, filter: &Filter, model: &mut Model) -> Result<(), Error> {
    filter.apply(model);
    let format: &dyn Render = match args.json {
        true => &Json { lines: false },
        false => &Table,
    };
    let mut text = Vec::new();
    format.render(model, &mut text).map_err(Error::stdout)?;
    format::write(&text)
}
