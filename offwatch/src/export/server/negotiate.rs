//! Which format a scraper wants (RFC 9110, Accept and Accept-Encoding).

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName};

use crate::export::Format;

/// OpenMetrics where it is asked for by name and liked no less than text, else text:
/// that is also for those who do not say, or say what we do not have.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let (mut open_metrics, mut text) = (0, Liked::default());
    for range in ranges(headers, ACCEPT) {
        match range.name.to_ascii_lowercase().as_str() {
            "application/openmetrics-text" if range.is_version("1.0.0") => {
                open_metrics = open_metrics.max(range.quality);
            }
            "text/plain" if range.is_version("0.0.4") => text.is(2, range.quality),
            "text/*" => text.is(1, range.quality),
            "*/*" => text.is(0, range.quality),
            _ => {}
        }
    }
    match open_metrics > 0 && open_metrics >= text.quality {
        true => Format::OpenMetrics,
        false => Format::Text,
    }
}

/// Whether gzip is taken. It is liked best, if at all: who sends little has no reason to
/// ask for it.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut liked = Liked::default();
    for range in ranges(headers, ACCEPT_ENCODING) {
        match range.name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => liked.is(1, range.quality),
            "*" => liked.is(0, range.quality),
            _ => {}
        }
    }
    liked.quality > 0
}

fn ranges(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Range<'_>> {
    let values = headers.get_all(name).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
}

/// How much a format is liked: the closest range decides.
#[derive(Default)]
struct Liked {
    closeness: u8,
    quality: u16,
}

impl Liked {
    fn is(&mut self, closeness: u8, quality: u16) {
        if (closeness, quality) > (self.closeness, self.quality) {
            (self.closeness, self.quality) = (closeness, quality);
        }
    }
}

/// A media range, or a coding.
struct Range<'h> {
    name: &'h str,
    version: Option<&'h str>,
    /// In thousandths, the finest that there is.
    quality: u16,
}

impl<'h> Range<'h> {
    fn parse(text: &'h str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            name: parts.next()?,
            version: None,
            quality: 1000,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
                name if name.eq_ignore_ascii_case("q") => range.quality = thousandths(value)?,
                _ => {}
            }
        }
        Some(range)
    }

    fn is_version(&self, wanted: &str) -> bool {
        self.version.is_none_or(|version| version == wanted)
    }
}

fn thousandths(quality: &str) -> Option<u16> {
    let quality: f32 = quality.parse().ok()?;
    // Not NaN either.
    (0.0..=1.0)
        .contains(&quality)
        .then(|| (quality * 1000.0).round() as u16)
}
