//! Values, as they are written.

use std::io::Write as _;

use bytes::{BufMut as _, BytesMut};

/// A value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// A whole number.
    Count(u64),
    /// Nanoseconds, written as seconds.
    Ns(u64),
    /// Any number.
    Number(f64),
}

impl Value {
    pub(super) fn of(is_so: bool) -> Self {
        Self::Count(u64::from(is_so))
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn unix_ms(ms: u64) -> Self {
        Self::Ns(ms.saturating_mul(1_000_000))
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::Count(count) => digits(count, out),
            Self::Ns(ns) => seconds(ns, out),
            // The shortest decimal number that is this one, without an exponent.
            Self::Number(number) => {
                let _ = write!(out.writer(), "{number}");
            }
        }
    }
}

fn digits(count: u64, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(count).as_bytes());
}

/// Exactly, as a floating-point number could not tell years of nanoseconds.
fn seconds(ns: u64, out: &mut BytesMut) {
    const SECOND: u64 = 1_000_000_000;
    digits(ns / SECOND, out);
    let rest = ns % SECOND;
    if rest == 0 {
        return;
    }
    // With a digit before them, zeros in front stay.
    let mut buffer = itoa::Buffer::new();
    let padded = buffer.format(SECOND + rest).trim_end_matches('0');
    out.put_u8(b'.');
    out.put_slice(&padded.as_bytes()[1..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value) -> String {
        let mut out = BytesMut::new();
        value.write(&mut out);
        String::from_utf8(out.to_vec()).expect("UTF-8")
    }

    #[test]
    fn values_are_written_exactly() {
        for (value, expected) in [
            (Value::Count(0), "0"),
            (Value::Count(u64::MAX), "18446744073709551615"),
            (Value::Ns(0), "0"),
            (Value::Ns(1), "0.000000001"),
            (Value::Ns(1_500_000_000), "1.5"),
            (Value::Ns(90_000_000_000), "90"),
            (Value::Ns(12_000_000_010), "12.00000001"),
            (Value::Number(0.25), "0.25"),
            (Value::Number(4e-10), "0.0000000004"),
        ] {
            assert_eq!(written(value), expected);
        }
    }
}
