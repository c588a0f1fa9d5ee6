//! What the command line and the init file set, put together: the command line
//! wins.

pub mod end_time;
pub mod init_file;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use self::end_time::EndTime;
use self::init_file::Line;
use crate::cli::{self, TopArgs};
use crate::error::Error;
use crate::output::virt_top::{CsvColumns, View};
use crate::rank::{Key, Order};

/// virt-top's defaults.
const INTERVAL: Duration = Duration::from_secs(3);
const CPU_HISTORY_SECONDS: u64 = 20;

/// A file of something else may have an unknown key in each line.
const MOST_WARNINGS: usize = 10;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// One of virt-top's views.
    VirtTop(View),
    /// What offloads do.
    Offload,
}

impl Default for Display {
    fn default() -> Self {
        Self::VirtTop(View::Domains)
    }
}

impl Display {
    const ALL: [Self; 5] = [
        Self::VirtTop(View::Domains),
        Self::VirtTop(View::Pcpus),
        Self::VirtTop(View::Disks),
        Self::VirtTop(View::Nics),
        Self::Offload,
    ];

    /// Its name in the init file.
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtTop(view) => view.name(),
            Self::Offload => "offload",
        }
    }
}

/// How `top` works.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is shown first.
    pub display: Display,
    /// Time between samples.
    pub interval: Duration,
    /// Seconds between the %CPU figures at the top right.
    pub hist_cpu_seconds: u64,
    /// After how many samples to end.
    pub iterations: Option<u64>,
    /// The order of rows.
    pub order: Order,
    /// libvirt to ask.
    pub connect: Option<String>,
    /// Where errors go.
    pub debug: Option<PathBuf>,
    /// Where virt-top's CSV goes.
    pub csv: Option<PathBuf>,
    /// What it holds.
    pub csv_columns: CsvColumns,
    /// Keys are ignored.
    pub batch: bool,
    /// virt-top's secure mode, which does nothing.
    pub secure: bool,
    /// Nothing is printed.
    pub script: bool,
    /// Text blocks are printed.
    pub stream: bool,
    /// Bytes of disks instead of requests.
    pub block_in_bytes: bool,
    /// When to end.
    pub end_time: Option<EndTime>,
    /// The init file that may be written.
    pub init_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            display: Display::default(),
            interval: INTERVAL,
            hist_cpu_seconds: CPU_HISTORY_SECONDS,
            iterations: None,
            order: Order::default(),
            connect: None,
            debug: None,
            csv: None,
            csv_columns: CsvColumns::default(),
            batch: false,
            secure: false,
            script: false,
            stream: false,
            block_in_bytes: false,
            end_time: None,
            init_file: None,
        }
    }
}

impl Settings {
    /// Reads the init file and puts it together with the command line. Also
    /// returns what the user should be warned of.
    pub fn load(args: &TopArgs) -> Result<(Self, Vec<String>), Error> {
        let mut settings = Self {
            init_file: init_path(args),
            ..Self::default()
        };
        let mut warnings = Vec::new();
        if let Some(path) = settings.init_file.clone() {
            let shown = path.display();
            match init_file::read(&path) {
                Ok(lines) => settings.take_file(&shown.to_string(), &lines, &mut warnings)?,
                // W will write it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    if args.virt_top.init_file.is_some() {
                        warnings.push(format!("{shown}: there is no such file"));
                    }
                }
                Err(source) if args.virt_top.init_file.is_some() => {
                    return Err(Error::file("cannot read", &path)(source));
                }
                // Nobody asked for it: a service may have no home that it can read.
                Err(source) => warnings.push(format!("cannot read {shown}: {source}")),
            }
        }
        settings.take_arguments(args);
        Ok((settings, warnings))
    }

    fn take_file(
        &mut self,
        file: &str,
        lines: &[Line],
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut unknown = 0;
        for line in lines {
            let Line { number, key, value } = line;
            match self.take_line(key, value) {
                Ok(true) => {}
                Ok(false) => {
                    unknown += 1;
                    if unknown <= MOST_WARNINGS {
                        warnings.push(format!("{file}:{number}: unknown key '{key}' is ignored"));
                    }
                }
                Err(reason) => {
                    return Err(Error::InitFile {
                        line: format!("{file}:{number}: {key} '{value}'"),
                        reason,
                    });
                }
            }
        }
        if unknown > MOST_WARNINGS {
            let more = unknown - MOST_WARNINGS;
            warnings.push(format!("{file}: {more} more unknown keys are ignored"));
        }
        Ok(())
    }

    /// False for a key that there is not.
    fn take_line(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let path = || Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
        match key {
            "display" => self.display = display(value)?,
            "delay" => self.interval = cli::seconds(value)?,
            "hist-cpu" => self.hist_cpu_seconds = whole(value)?,
            "iterations" => self.iterations = iterations(whole(value)?),
            "sort" => self.order.key = value.parse::<Key>()?,
            "reverse" => self.order.is_reversed = truth(value)?,
            "connect" => self.connect = Some(cli::local_uri(value)?),
            "debug" => self.debug = path(),
            "csv" => self.csv = path(),
            "csv-cpu" => self.csv_columns.cpu = truth(value)?,
            "csv-mem" => self.csv_columns.memory = truth(value)?,
            "csv-block" => self.csv_columns.block = truth(value)?,
            "csv-net" => self.csv_columns.net = truth(value)?,
            "batch" => self.batch = truth(value)?,
            "secure" => self.secure = truth(value)?,
            "script" => self.script = truth(value)?,
            "stream" => self.stream = truth(value)?,
            "block-in-bytes" => self.block_in_bytes = truth(value)?,
            "end-time" => self.end_time = Some(value.parse()?),
            "overwrite-init-file" => {
                if !truth(value)? {
                    self.init_file = None;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_arguments(&mut self, args: &TopArgs) {
        let given = &args.virt_top;
        let displays = [
            (given.pcpus, Display::VirtTop(View::Pcpus)),
            (given.nics, Display::VirtTop(View::Nics)),
            (given.disks, Display::VirtTop(View::Disks)),
            (given.offload, Display::Offload),
        ];
        for (_, display) in displays.into_iter().filter(|(is_given, _)| *is_given) {
            self.display = display;
        }
        self.interval = args.interval.unwrap_or(self.interval);
        self.hist_cpu_seconds = given.hist_cpu.unwrap_or(self.hist_cpu_seconds);
        if let Some(count) = args.iterations {
            self.iterations = iterations(count);
        }
        if let Some(key) = given.sort {
            // The direction in the file belongs to the key there.
            self.order = Order {
                key,
                is_reversed: false,
            };
        }
        self.order.is_reversed |= given.reverse;
        let replace = |setting: &mut Option<PathBuf>, given: &Option<PathBuf>| {
            if given.is_some() {
                setting.clone_from(given);
            }
        };
        replace(&mut self.debug, &given.debug);
        replace(&mut self.csv, &given.csv);
        if args.live.connect.is_some() {
            self.connect.clone_from(&args.live.connect);
        }
        self.connect = self.connect.take().filter(|uri| !uri.is_empty());
        self.csv_columns.cpu &= !given.no_csv_cpu;
        self.csv_columns.memory &= !given.no_csv_mem;
        self.csv_columns.block &= !given.no_csv_block;
        self.csv_columns.net &= !given.no_csv_net;
        self.batch |= given.batch;
        self.secure |= given.secure;
        self.script |= given.script;
        self.stream |= args.stream;
        self.block_in_bytes |= given.block_in_bytes;
        self.end_time = given.end_time.or(self.end_time);
    }
}

/// The init file to read: none for outputs that virt-top does not have, unless
/// the user names one.
fn init_path(args: &TopArgs) -> Option<PathBuf> {
    let given = &args.virt_top;
    if given.no_init_file {
        return None;
    }
    let by_default = !args.json && !args.once;
    given
        .init_file
        .clone()
        .or_else(|| by_default.then(init_file::default_path))
}

fn display(value: &str) -> Result<Display, String> {
    let mut displays = Display::ALL.into_iter();
    displays
        .find(|display| display.name() == value)
        .ok_or_else(|| {
            let names = Display::ALL.map(Display::name).join(", ");
            format!("not a display; there are {names}")
        })
}

/// virt-top takes 0 and -1 for "never".
fn iterations(count: i64) -> Option<u64> {
    u64::try_from(count).ok().filter(|&count| count != 0)
}

fn whole<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| "not a whole number".to_owned())
}

fn truth(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "not true or false".to_owned())
}

#[cfg(test)]
mod tests;
