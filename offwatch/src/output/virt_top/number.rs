//! Numbers and names in columns of virt-top's width.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use unicode_width::UnicodeWidthChar;

use crate::text;

/// A count in 4 characters: as it is up to 9999, then in powers of 1024, cut
/// off; blank where it is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) Option<u64>);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const PLAIN: u64 = 9999;
        const LARGEST: u64 = 999;
        let Some(count) = self.0 else {
            return f.write_str("    ");
        };
        if count <= PLAIN {
            return Digits::right(count, 4, b' ').fmt(f);
        }
        for (shift, unit) in [(10, "K"), (20, "M"), (30, "G")] {
            if count >> shift <= LARGEST {
                Digits::right(count >> shift, 3, b' ').fmt(f)?;
                return f.write_str(unit);
            }
        }
        f.write_str(">!!!")
    }
}

/// The digits of a number at the end of some characters. A thousand rows a tick
/// make it worth while.
struct Digits {
    text: [u8; Self::MOST],
    start: usize,
}

impl Digits {
    const MOST: usize = 20;

    /// Filled up with `fill` to at least `width`.
    fn right(mut number: u64, width: usize, fill: u8) -> Self {
        let mut text = [fill; Self::MOST];
        let mut start = Self::MOST;
        while number > 0 || start == Self::MOST {
            start -= 1;
            text[start] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        Self {
            text,
            start: start.min(Self::MOST - width),
        }
    }
}

impl Display for Digits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text[self.start..]).unwrap_or_default())
    }
}

/// A percentage in 4 characters; blank where it is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Percent(pub(super) Option<f64>);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("    "),
            Some(percent) if percent <= 0.0 => f.write_str(" 0.0"),
            Some(percent) if percent <= 99.9 => write!(f, "{percent:4.1}"),
            Some(_) => f.write_str("100 "),
        }
    }
}

/// CPU time of nanoseconds in 9 characters; blank where it is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTime(pub(super) Option<u64>);

impl Display for CpuTime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const HUNDREDTH_NS: u64 = 10_000_000;
        let Some(ns) = self.0 else {
            return f.write_str("         ");
        };
        let hundredths = ns / HUNDREDTH_NS;
        let seconds = hundredths / 100;
        let (minutes, hours) = (seconds / 60, seconds / 3600);
        let (first, unit, second, point, third) = match hours {
            0..12 => (minutes, ":", seconds % 60, ".", hundredths % 100),
            12..1000 => (hours, ":", minutes % 60, ":", seconds % 60),
            _ => (hours / 24, "d", hours % 24, ":", minutes % 60),
        };
        Digits::right(first, 3, b' ').fmt(f)?;
        f.write_str(unit)?;
        Digits::right(second, 2, b'0').fmt(f)?;
        f.write_str(point)?;
        Digits::right(third, 2, b'0').fmt(f)
    }
}

/// libvirt's id in 5 characters; `-` where there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(pub(super) Option<u32>);

impl Display for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => Digits::right(id.into(), 5, b' ').fmt(f),
            None => f.write_str("    -"),
        }
    }
}

/// Something that is known, or `-` at the end of so many characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrDash<T>(pub(super) Option<T>, pub(super) usize);

impl<T: Display> Display for OrDash<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => known.fmt(f),
            None => write!(f, "{:>1$}", '-', self.1),
        }
    }
}

/// A name, made fit for a terminal.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    match text::is_plain(name) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(text::plain(name)),
    }
}

/// A name in so many columns of the terminal, cut or filled with blanks.
pub(super) fn padded(name: &str, width: usize) -> String {
    let mut padded = shown(name).into_owned();
    padded.truncate(cut(&padded, width));
    let blanks = width.saturating_sub(columns(&padded));
    padded.extend(std::iter::repeat_n(' ', blanks));
    padded
}

/// Columns of the terminal that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Where a text is to end to fit into so many columns, in bytes.
pub(super) fn cut(text: &str, width: usize) -> usize {
    // Bytes are never fewer than columns.
    if text.len() <= width {
        return text.len();
    }
    let mut taken = 0;
    let over = text.char_indices().find(|(_, c)| {
        taken += width_of(*c);
        taken > width
    });
    over.map_or(text.len(), |(at, _)| at)
}

fn width_of(c: char) -> usize {
    c.width().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_four_characters() {
        for (count, text) in [
            (0, "   0"),
            (582, " 582"),
            (9999, "9999"),
            (10_000, "  9K"),
            (1_023_999, "999K"),
            (1_024_000, "  0M"),
            (1_048_576, "  1M"),
            (1_048_575_999, "999M"),
            (1_073_741_824, "  1G"),
            (1_072_668_082_176, "999G"),
            (1_073_741_824_000, ">!!!"),
            (u64::MAX, ">!!!"),
        ] {
            assert_eq!(Count(Some(count)).to_string(), text, "{count}");
        }
        assert_eq!(Count(None).to_string(), "    ");
    }

    #[test]
    fn percentages_have_four_characters() {
        for (percent, text) in [
            (-1.0, " 0.0"),
            (0.0, " 0.0"),
            (9.9, " 9.9"),
            (9.94, " 9.9"),
            (9.96, "10.0"),
            (48.7, "48.7"),
            (99.9, "99.9"),
            (99.91, "100 "),
            (250.0, "100 "),
        ] {
            assert_eq!(Percent(Some(percent)).to_string(), text, "{percent}");
        }
        assert_eq!(Percent(None).to_string(), "    ");
    }

    #[test]
    fn times_have_nine_characters() {
        const SECOND: u64 = 1_000_000_000;
        for (ns, text) in [
            (0, "  0:00.00"),
            (8_590_000_000, "  0:08.59"),
            (8_599_999_999, "  0:08.59"),
            (59 * SECOND, "  0:59.00"),
            (3_661 * SECOND, " 61:01.00"),
            (43_199 * SECOND, "719:59.00"),
            (43_200 * SECOND, " 12:00:00"),
            (3_599_999 * SECOND, "999:59:59"),
            (3_600_000 * SECOND, " 41d16:00"),
        ] {
            assert_eq!(CpuTime(Some(ns)).to_string(), text, "{ns}");
        }
        assert_eq!(CpuTime(None).to_string().len(), 9);
    }

    #[test]
    fn names_fit_their_columns() {
        assert_eq!(padded("vm-web01", 12), "vm-web01    ");
        assert_eq!(padded("a-very-long-name", 12), "a-very-long-");
        assert_eq!(padded("日本語", 5), "日本 ");
        assert_eq!(padded("a\x1b[2J", 6), "a?[2J ");
        assert_eq!(cut("grün", 4), 5);
    }
}
