//! Tidy CSV: one row a VM interface and interval, with plain numbers.
//!
//! RX and TX are from the guest's side. A value that is not known is empty; the
//! last column tells why.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::Error,
    model::{
        Caused, Exact, Guest, HistogramRow, Interface, Model, Side, Vm,
        histogram::{self, Range},
    },
    offload::no_work_cpu_share,
    record::{is_standard_stream, writable},
};

/// Writes the file. It is created, or emptied, when the first sample is there.
pub struct CsvLong {
    path: PathBuf,
    writer: Option<csv::Writer<Box<dyn Write + Send>>>,
}

impl CsvLong {
    /// Checks that the file can be written, or takes stdout if it is `-`.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if !is_standard_stream(path) {
            writable(path).map_err(Error::file("cannot write", path))?;
        }
        Ok(Self {
            path: path.to_owned(),
            writer: None,
        })
    }

    /// Whether rows go to stdout, where nothing else may go then.
    pub fn is_stdout(&self) -> bool {
        is_standard_stream(&self.path)
    }

    /// Writes the names of the columns, unless they are there: the first sample has
    /// no rates, and a run of one interval no row.
    pub fn begin(&mut self) -> Result<(), Error> {
        let result = self.writer().and_then(csv::Writer::flush);
        self.told(result)
    }

    /// Appends the rows of a model.
    pub fn write(&mut self, model: &Model) -> Result<(), Error> {
        let result = self.rows(model);
        self.told(result)
    }

    fn told(&self, result: io::Result<()>) -> Result<(), Error> {
        result.map_err(|error| match self.is_stdout() {
            true => Error::stdout(error),
            false => Error::file("cannot write", &self.path)(error),
        })
    }

    fn writer(&mut self) -> io::Result<&mut csv::Writer<Box<dyn Write + Send>>> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => {
                let file: Box<dyn Write + Send> = match is_standard_stream(&self.path) {
                    true => Box::new(io::stdout()),
                    false => Box::new(File::create(&self.path)?),
                };
                let mut writer = csv::Writer::from_writer(file);
                writer.write_record(header())?;
                Ok(none.insert(writer))
            }
        }
    }

    fn rows(&mut self, model: &Model) -> io::Result<()> {
        let writer = self.writer()?;
        for vm in &model.vms {
            for interface in &vm.interfaces {
                writer.write_record(row(model, vm, &interface.make()))?;
            }
        }
        writer.flush()
    }
}

const IDENTITY: [&str; 14] = [
    "time_unix_ms",
    "interval_seconds",
    "host",
    "vm",
    "vm_uuid",
    "vm_id",
    "dev",
    "ifindex",
    "kind",
    "bridge",
    "mac",
    "mtu_bytes",
    "offloads_on",
    "offloads_declined_by_guest",
];

type Column<Of> = (&'static str, fn(&Of) -> Option<f64>);

const TRAFFIC: [Column<Side>; 9] = [
    ("bytes_per_s", |side| side.bytes_per_s),
    ("packets_per_s", |side| side.packets_per_s),
    ("gso_bytes_per_s", |side| side.gso_bytes_per_s),
    ("gso_packets_per_s", |side| side.gso_packets_per_s),
    ("gso_segments_per_s", |side| side.gso_segments_per_s),
    ("partial_bytes_per_s", |side| side.partial_bytes_per_s),
    ("partial_packets_per_s", |side| side.partial_packets_per_s),
    ("oversize_packets_per_s", |side| side.oversize_packets_per_s),
    ("drops_per_s", |side| side.drops_per_s),
];

/// Work is done on the way to a device, so it belongs to what a guest receives.
const RX_WORK: [Column<Side>; 6] = [
    ("software_segments_per_s", |side| {
        side.software_segments_per_s
    }),
    ("software_checksum_bytes_per_s", |side| {
        side.software_checksum_bytes_per_s
    }),
    ("software_work_approximate", |side| {
        Some(f64::from(u8::from(side.software_work_approximate)))
    }),
    ("segmentation_ns_per_s", |side| {
        exact(side)?.segmentation_ns_per_s
    }),
    ("checksum_ns_per_s", |side| exact(side)?.checksum_ns_per_s),
    ("crc32c_ns_per_s", |side| exact(side)?.crc32c_ns_per_s),
];

fn exact(side: &Side) -> Option<&Exact> {
    side.software_work.as_ref()?.exact.as_deref()
}

const CAUSED: [Column<Caused>; 3] = [
    ("software_segments_per_s", |caused| {
        caused.software_segments_per_s
    }),
    ("software_checksum_bytes_per_s", |caused| {
        caused.software_checksum_bytes_per_s
    }),
    ("software_work_approximate", |caused| {
        Some(f64::from(u8::from(caused.software_work_approximate)))
    }),
];

type Histogram = (&'static str, fn(&Side) -> Option<&Vec<HistogramRow>>);

const HISTOGRAMS: [Histogram; 2] = [
    ("gso_size", |side| side.gso_size_interval_histogram.as_ref()),
    ("length", |side| side.length_interval_histogram.as_ref()),
];
const PERCENTILES: [u64; 2] = [50, 99];

fn header() -> Vec<String> {
    let mut names: Vec<String> = IDENTITY.iter().map(ToString::to_string).collect();
    for side in ["rx", "tx"] {
        names.extend(TRAFFIC.iter().map(|(name, _)| format!("{side}_{name}")));
        for (name, _) in HISTOGRAMS {
            for percent in PERCENTILES {
                names.push(format!("{side}_{name}_p{percent}_low_bytes"));
                names.push(format!("{side}_{name}_p{percent}_high_bytes"));
            }
        }
    }
    names.extend(RX_WORK.iter().map(|(name, _)| format!("rx_{name}")));
    names.extend(CAUSED.iter().map(|(name, _)| format!("caused_{name}")));
    names.push("unavailable".into());
    names
}

fn row(model: &Model, vm: &Vm, interface: &Interface) -> Vec<String> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let whole = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
    let mut row = vec![
        model.time_unix_ms.to_string(),
        number(model.interval_seconds),
        model.host.name.clone(),
        vm.name.to_string(),
        text(vm.uuid.as_deref()),
        whole(vm.id),
        text(interface.dev.as_deref()),
        whole(interface.ifindex),
        interface.kind.clone(),
        text(interface.master.as_deref()),
        text(interface.mac.as_deref()),
        whole(interface.mtu_bytes),
        on(interface).join(" "),
        declined(interface).join(" "),
    ];
    let (rx, tx) = (interface.sides.egress(), interface.sides.ingress());
    for side in [rx, tx] {
        row.extend(cells(side, &TRAFFIC));
        for (_, rows) in HISTOGRAMS {
            for percent in PERCENTILES {
                let rows = side.and_then(rows);
                let range = rows.and_then(|rows| histogram::percentile(rows, percent));
                row.push(whole(range.map(|range: Range| range.0)));
                row.push(whole(range.and_then(|range| range.1)));
            }
        }
    }
    row.extend(cells(rx, &RX_WORK));
    row.extend(cells(interface.caused.as_ref(), &CAUSED));
    let mut reasons = interface.reasons();
    reasons.extend(no_work_cpu_share(interface));
    reasons.extend(interface.unavailable.get("offloads").map(String::as_str));
    let reasons: Vec<&str> = reasons.into_iter().collect();
    row.push(reasons.join("; "));
    row
}

/// The features that are on.
fn on(interface: &Interface) -> &[&'static str] {
    let offloads = interface.facts.offloads.as_ref();
    offloads.map_or(&[], |offloads| &offloads.active.on)
}

/// What the guest's driver does not accept to receive.
fn declined(interface: &Interface) -> &[&'static str] {
    let offloads = interface.facts.offloads.as_ref();
    match offloads.map(|offloads| &offloads.accepted_by_guest) {
        Some(Guest::Negotiated(accepted)) => &accepted.no,
        _ => &[],
    }
}

fn cells<Of>(of: Option<&Of>, columns: &[Column<Of>]) -> Vec<String> {
    let value = |(_, value): &Column<Of>| number(of.and_then(value));
    columns.iter().map(value).collect()
}

/// At most three decimals, and none that say nothing.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else {
        return String::new();
    };
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use offwatch_common::Slot;

    use super::*;
    use crate::sample::{self, Counters, Nic, Sample};

    fn sample(packets: u64) -> Sample {
        let mut slot = Box::<Slot>::default();
        slot.egress.kinds[2].packets = packets;
        slot.egress.kinds[2].bytes = packets * 3000;
        slot.egress.gso_sizes[9] = packets;
        let tap = sample::Interface {
            dev: "t0".into(),
            ifindex: 5,
            counters: Counters::Counted(slot.into()),
            ..sample::Interface::default()
        };
        let nic = |dev: Option<&str>, unobservable: Option<&str>| Nic {
            dev: dev.map(Into::into),
            unobservable: unobservable.map(Into::into),
            ..Nic::default()
        };
        Sample {
            time_unix_ms: 1000,
            interfaces: vec![tap.into()],
            vms: vec![sample::Vm {
                name: "web, \"1\"".into(),
                nics: vec![nic(Some("t0"), None), nic(None, Some("vfio"))].into(),
                ..sample::Vm::default()
            }],
            ..Sample::default()
        }
    }

    /// The rows of the file as columns by name.
    fn rows(models: &[Model]) -> Vec<BTreeMap<String, String>> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut csv = CsvLong::create(file.path()).expect("writable");
        for model in models {
            csv.write(model).expect("written");
        }
        let mut reader = csv::Reader::from_path(file.path()).expect("readable");
        let rows = reader
            .deserialize()
            .map(|row| row.expect("as many as in the header"));
        rows.collect()
    }

    #[test]
    fn each_interface_has_a_row_with_plain_numbers() {
        let model = Model::new(
            &sample(3000),
            Some((&sample(0), Duration::from_millis(2048))),
        );
        let rows = rows(&[model]);
        assert_eq!(rows.len(), 2);
        let tap = &rows[0];
        assert_eq!(tap["vm"], "web, \"1\"");
        assert_eq!(tap["interval_seconds"], "2.048");
        assert_eq!(tap["rx_packets_per_s"], "1464.844");
        assert_eq!(tap["rx_bytes_per_s"], "4394531.25");
        assert_eq!(tap["tx_packets_per_s"], "0");
        assert_eq!(tap["rx_gso_size_p50_low_bytes"], "1280");
        assert_eq!(tap["rx_gso_size_p99_high_bytes"], "1535");
        assert_eq!(tap["tx_gso_size_p50_low_bytes"], "");
        let exact = "not in this recording";
        let facts = "the recording does not hold it";
        assert_eq!(tap["unavailable"], format!("{exact}; {facts}"));
        let card = &rows[1];
        assert_eq!(card["rx_packets_per_s"], "", "not seen is not 0");
        assert_eq!(card["unavailable"], "vfio");
    }

    #[test]
    fn there_is_one_header() {
        let rows = rows(&[Model::new(&sample(1), None), Model::new(&sample(2), None)]);
        assert_eq!(rows.len(), 4);
        assert!(rows[0]["unavailable"].starts_with("first sample; "));
    }

    #[test]
    fn nothing_is_created_before_the_first_sample() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("new.csv");
        drop(CsvLong::create(&path).expect("writable"));
        assert!(!path.exists());
        let mut csv = CsvLong::create(&path).expect("writable");
        csv.begin().expect("written");
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert!(text.starts_with("time_unix_ms,") && text.lines().count() == 1);
        assert!(CsvLong::create(Path::new("/no/such/directory/x")).is_err());
    }
}
