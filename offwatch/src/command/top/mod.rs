//! `offwatch top`, and `virt-top`.

mod csv_file;
mod debug;
mod ending;
mod format;
mod outputs;
mod sinks;

use std::io::{self, IsTerminal as _, Write as _};

use jiff::tz::TimeZone;

use self::{
    csv_file::CsvFile,
    ending::Ending,
    format::{Format, Printer},
    sinks::Sinks,
};
use crate::{
    cli::TopArgs,
    collector::{Options, Packets},
    error::Error,
    feed::{Feed, Live, Origin, Wanted},
    filter::Filter,
    model::Model,
    output::{
        CsvLong, Json, Render, Table,
        virt_top::{CsvFormat, View},
    },
    record::{Recorder, is_standard_stream},
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
    // What is read from a pipe is in nobody's way.
    let replayed = args.replay.as_deref();
    let replayed = replayed.filter(|path| !is_standard_stream(path));
    outputs::check(&[
        ("csv", settings.csv.as_deref()),
        ("csv-long", args.csv_long.as_deref()),
        ("record", args.record.as_deref()),
        ("debug", settings.debug.as_deref()),
        ("replay", replayed),
    ])?;
    let sinks = Sinks {
        filter: filter.clone(),
        csv: csv_file(&settings, &zone)?,
        csv_long: args.csv_long.as_deref().map(CsvLong::create).transpose()?,
        ending: Ending::new(&settings, args.replay.is_some(), &zone)?,
    };
    let records_to_stdout = recorder.as_ref().is_some_and(Recorder::is_stdout);
    let silent = records_to_stdout
        || sinks.csv.as_ref().is_some_and(CsvFile::is_stdout)
        || sinks.csv_long.as_ref().is_some_and(CsvLong::is_stdout);
    let format = match (records_to_stdout, silent) {
        (true, _) => Format::Record,
        (false, true) => Format::Silent,
        (false, false) => Format::of(&settings, args.json),
    };
    let is_screen = !silent && is_screen(args, &settings);
    let needs_packets = is_once(args)
        || recorder.is_some()
        || sinks.csv_long.is_some()
        || !args.dev.is_empty()
        || format.needs_packets(&settings);
    let packets = match needs_packets {
        true => Packets::Needed,
        false if is_screen => Packets::Wanted,
        false => Packets::Unneeded,
    };
    let options = Options {
        connect: settings.connect.clone(),
        bpf_log: args.bpf_log,
        ..args.live.options(packets)
    };
    if is_screen {
        return screen(args, settings, zone, options, recorder, sinks).await;
    }
    let mut source = match &args.replay {
        Some(path) => Source::replay(path)?,
        None => Source::live(&options, settings.interval).await?,
    };
    if let Some(recorder) = recorder {
        source.record_to(recorder);
    }
    if let Some(path) = &settings.debug {
        debug::to_file(path)?;
    }
    if is_once(args) {
        return once(args, &filter, &mut source, sinks.csv_long, !silent).await;
    }
    source.want_pcpus(settings.display == Display::VirtTop(View::Pcpus));
    let is_ordered = args.virt_top.sort.is_some() || args.virt_top.reverse;
    let output = Output {
        printer: Printer::new(format, &settings, &filter, &zone, is_ordered),
        filter: &filter,
        sinks,
        told: Vec::new(),
    };
    output.run(&mut source, settings.iterations).await
}

/// The screen is for people. Who writes what a recording holds to another file
/// wants all of it, in its order.
fn is_screen(args: &TopArgs, settings: &Settings) -> bool {
    let writes = args.record.is_some() || args.csv_long.is_some() || settings.csv.is_some();
    let converts = args.replay.is_some() && (writes || settings.end_time.is_some());
    !(is_once(args) || args.json || settings.stream || settings.script || converts)
        && io::stdout().is_terminal()
}

async fn screen(
    args: &TopArgs,
    settings: Settings,
    zone: TimeZone,
    options: Options,
    recorder: Option<Recorder>,
    mut sinks: Sinks,
) -> Result<(), Error> {
    let wanted = Wanted {
        filter: sinks.filter.clone(),
        iterations: settings.iterations,
    };
    let origin = match &args.replay {
        Some(path) => Origin::Replay(path.clone()),
        None => Origin::Live(Box::new(Live {
            options,
            interval: settings.interval,
            want_pcpus: settings.display == Display::VirtTop(View::Pcpus),
            recorder,
            each: Box::new(move |tick| sinks.take(tick)),
        })),
    };
    let feed = Feed::start(origin, wanted).await?;
    if let Some(path) = &settings.debug {
        debug::to_file(path)?;
    }
    let looks = tui::Looks {
        colour: args.color,
        mouse: args.mouse,
        is_replay: args.replay.is_some(),
        zone,
    };
    tui::run(feed, settings, looks).await
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

/// Where ticks go.
struct Output<'a> {
    printer: Printer<'a>,
    filter: &'a Filter,
    sinks: Sinks,
    /// Notes that were told on stderr.
    told: Vec<String>,
}

impl Output<'_> {
    async fn run(mut self, source: &mut Source, iterations: Option<u64>) -> Result<(), Error> {
        let mut is_checked = false;
        while let Some(tick) = source.tick().await? {
            if !is_checked {
                self.filter.check_sample(tick.sample)?;
                is_checked = true;
            }
            let ends_in = self.sinks.take(&tick)?;
            self.show(&tick)?;
            let is_done = iterations.is_some_and(|count| self.printer.printed() >= count);
            if let Some(rest) = ends_in {
                if !is_done && !source.is_replay() {
                    tokio::time::sleep(rest).await;
                }
                return Ok(());
            }
            if is_done {
                return Ok(());
            }
        }
        // A recording of one sample has no rates, but totals.
        match source.last().filter(|_| self.printer.printed() == 0) {
            Some(tick) => {
                format::to_stdout(|stdout| self.printer.print_without_rates(&tick, stdout))
            }
            None => Ok(()),
        }
    }

    fn show(&mut self, tick: &Tick<'_>) -> Result<(), Error> {
        if !self.printer.shows_notes() {
            self.tell(&tick.sample.host.notes);
        }
        format::to_stdout(|stdout| self.printer.print(tick, stdout))
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

/// One interval: the next one, or the last one of a recording. Where a
/// recording breaks off, what is whole is shown before that is told.
async fn once(
    args: &TopArgs,
    filter: &Filter,
    source: &mut Source,
    csv_long: Option<CsvLong>,
    prints: bool,
) -> Result<(), Error> {
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
        filter.apply(&mut model);
        if let Some(mut csv) = csv_long {
            csv.write(&model)?;
        }
        if prints {
            print_once(args, &model)?;
        }
    }
    result
}

fn print_once(args: &TopArgs, model: &Model) -> Result<(), Error> {
    let format: &dyn Render = match args.json {
        true => &Json { lines: false },
        false => &Table,
    };
    format::to_stdout(|stdout| format.render(model, stdout).map_err(Error::stdout))
}
