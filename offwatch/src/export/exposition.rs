//! A snapshot as text, a chunk at a time: what is in memory of a scrape is a chunk.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    Snapshot,
    families::{self, Family, Kind},
    value::Value,
};

/// Longest chunk, unless a single series is longer.
const CHUNK: usize = 64 * 1024;

/// The two forms that Prometheus reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text format, which others read as well.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What the `Content-Type` of it is.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes a snapshot.
pub struct Exposition {
    snapshot: Arc<Snapshot>,
    format: Format,
    families: std::vec::IntoIter<&'static Family>,
    /// The family that is being written, and the place in it of what is next.
    current: Option<(&'static Family, usize)>,
    has_head: bool,
    out: BytesMut,
    is_ended: bool,
}

impl Exposition {
    /// Of a snapshot, in a format.
    pub fn new(snapshot: Arc<Snapshot>, format: Format) -> Self {
        Self::of(snapshot, format, |_| true)
    }

    /// For the textfile collector of node_exporter: without metrics of the process,
    /// as it has the same of its own, and without histograms, to which it would add a
    /// sum of 0.
    pub fn for_textfile(snapshot: Arc<Snapshot>) -> Self {
        Self::of(snapshot, Format::Text, |family| {
            family.name.starts_with("offwatch_") && family.kind != Kind::Histogram
        })
    }

    fn of(snapshot: Arc<Snapshot>, format: Format, has: fn(&Family) -> bool) -> Self {
        let families: Vec<_> = families::all().filter(|family| has(family)).collect();
        Self {
            snapshot,
            format,
            families: families.into_iter(),
            current: None,
            has_head: false,
            out: BytesMut::new(),
            is_ended: false,
        }
    }

    /// Writes what is next; false at the end.
    fn advance(&mut self) -> bool {
        let Some((family, place)) = &mut self.current else {
            self.current = self.families.next().map(|family| (family, 0));
            self.has_head = false;
            return self.current.is_some() || self.end();
        };
        if *place == family.len(&self.snapshot) {
            self.current = None;
            return true;
        }
        let mut writer = Writer {
            family,
            format: self.format,
            has_head: &mut self.has_head,
            out: &mut self.out,
        };
        family.write(&self.snapshot, *place, &mut writer);
        *place += 1;
        true
    }

    fn end(&mut self) -> bool {
        if self.is_ended {
            return false;
        }
        self.is_ended = true;
        if self.format == Format::OpenMetrics {
            self.out.put_slice(b"# EOF\n");
        }
        true
    }
}

impl Iterator for Exposition {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        // What the chunk before had no room for is still there.
        self.out.reserve(CHUNK);
        let mut whole = self.out.len();
        while self.out.len() <= CHUNK {
            whole = self.out.len();
            if !self.advance() {
                break;
            }
        }
        let length = match self.out.len() {
            length if length <= CHUNK || whole == 0 => length,
            _ => whole,
        };
        let chunk = self.out.split_to(length).freeze();
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// Writes the series of a family.
pub(super) struct Writer<'a> {
    family: &'static Family,
    format: Format,
    has_head: &'a mut bool,
    out: &'a mut BytesMut,
}

impl Writer<'_> {
    /// A series of these labels and, if there is one, a further one.
    pub(super) fn series(&mut self, labels: &str, more: Option<(&str, &str)>, value: Value) {
        self.head();
        let suffix = match self.family.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge => "",
            Kind::Histogram => "_bucket",
        };
        self.line(suffix, labels, more, value);
    }

    /// How many values a histogram has. OpenMetrics wants it only together with
    /// their sum, which is not known.
    pub(super) fn count(&mut self, labels: &str, count: u64) {
        if self.format == Format::Text {
            self.line("_count", labels, None, Value::Count(count));
        }
    }

    fn line(&mut self, suffix: &str, labels: &str, more: Option<(&str, &str)>, value: Value) {
        let out = &mut *self.out;
        out.put_slice(self.family.name.as_bytes());
        out.put_slice(suffix.as_bytes());
        if !labels.is_empty() || more.is_some() {
            out.put_u8(b'{');
            out.put_slice(labels.as_bytes());
            if let Some((name, value)) = more {
                if !labels.is_empty() {
                    out.put_u8(b',');
                }
                out.put_slice(name.as_bytes());
                out.put_slice(b"=\"");
                out.put_slice(value.as_bytes());
                out.put_u8(b'"');
            }
            out.put_u8(b'}');
        }
        out.put_u8(b' ');
        value.write(out);
        out.put_u8(b'\n');
    }

    /// What the family is, before its first series.
    fn head(&mut self) {
        if std::mem::replace(self.has_head, true) {
            return;
        }
        let family = self.family;
        let (kind, suffix) = match (self.format, family.kind) {
            (_, Kind::Gauge) => ("gauge", ""),
            (_, Kind::Histogram) => ("histogram", ""),
            (Format::OpenMetrics, Kind::Counter) => ("counter", ""),
            (Format::OpenMetrics, Kind::Info) => ("info", ""),
            // The text format has no infos, and names are those of series.
            (Format::Text, Kind::Counter) => ("counter", "_total"),
            (Format::Text, Kind::Info) => ("gauge", "_info"),
        };
        let mut put = |parts: &[&str]| {
            parts
                .iter()
                .for_each(|part| self.out.put_slice(part.as_bytes()));
        };
        put(&["# HELP ", family.name, suffix, " ", family.help, "\n"]);
        put(&["# TYPE ", family.name, suffix, " ", kind, "\n"]);
        if let (Format::OpenMetrics, Some(unit)) = (self.format, family.unit) {
            put(&["# UNIT ", family.name, suffix, " ", unit, "\n"]);
        }
    }
}
