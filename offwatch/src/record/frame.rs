//! Records of a compressed recording.
//!
//! A record is a skippable frame of zstd, which tells what follows without
//! decompressing it, and a frame that holds one line of JSON. So `zstd -dc FILE`
//! prints the recording as lines, and a file that was cut off anywhere is
//! readable up to its last complete record.

use std::io;

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

/// One of the magic numbers of skippable frames, little endian.
const MAGIC: [u8; 4] = 0x184D_2A5F_u32.to_le_bytes();
/// Bytes of the skippable frame after its magic number and length.
const PAYLOAD_BYTES: u32 = 24;
const TAG: &[u8; 8] = b"offwatch";
const KIND_START: u32 = 0;
const KIND_SAMPLE: u32 = 1;
/// What offwatch writes shrinks to a tenth at the fastest level already.
const LEVEL: i32 = 1;

/// How many bytes a [`Head`] has.
pub(super) const HEAD_BYTES: usize = 32;
/// What the first byte of a compressed recording is, and of one in lines never.
pub(super) const FIRST_BYTE: u8 = MAGIC[0];

/// What stands before a record's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Time of the sample, milliseconds since the Unix epoch. `None` at the
    /// start of a run: what follows is not to be joined with what was before.
    pub(super) time_unix_ms: Option<u64>,
    /// Bytes of the frame that follows.
    pub(super) data_bytes: u32,
}

impl Head {
    /// Reads a head; `None` if it is not one.
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if bytes[..4] != MAGIC || word(4)? != PAYLOAD_BYTES || bytes[8..16] != *TAG {
            return None;
        }
        let time_unix_ms = match word(16)? {
            KIND_START => None,
            KIND_SAMPLE => Some(long(24)?),
            _ => return None,
        };
        Some(Self {
            time_unix_ms,
            data_bytes: word(20)?,
        })
    }

    fn write(self, to: &mut Vec<u8>) {
        to.extend(MAGIC);
        to.extend(PAYLOAD_BYTES.to_le_bytes());
        to.extend(TAG);
        let kind = self.time_unix_ms.map_or(KIND_START, |_| KIND_SAMPLE);
        to.extend(kind.to_le_bytes());
        to.extend(self.data_bytes.to_le_bytes());
        to.extend(self.time_unix_ms.unwrap_or(0).to_le_bytes());
    }
}

/// Makes records.
pub(super) struct Encoder(Compressor<'static>);

impl Encoder {
    pub(super) fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self(compressor))
    }

    /// The record of one line, its head included.
    pub(super) fn record(&mut self, time_unix_ms: Option<u64>, line: &[u8]) -> io::Result<Vec<u8>> {
        let data = self.0.compress(line)?;
        let head = Head {
            time_unix_ms,
            data_bytes: u32::try_from(data.len()).map_err(io::Error::other)?,
        };
        let mut record = Vec::with_capacity(HEAD_BYTES + data.len());
        head.write(&mut record);
        record.extend(data);
        Ok(record)
    }
}

/// The line of a record's data, of at most `longest` bytes.
pub(super) fn decode(data: &[u8], longest: usize) -> io::Result<Vec<u8>> {
    Decompressor::new()?.decompress(data, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let line = b"{\"a\":1}\n".repeat(100);
        let record = Encoder::new()
            .and_then(|mut encoder| encoder.record(Some(7), &line))
            .expect("compressed");
        let head = record[..HEAD_BYTES].try_into().expect("a head");
        let head = Head::parse(head).expect("its own head");
        assert_eq!(head.time_unix_ms, Some(7));
        let data = &record[HEAD_BYTES..];
        assert_eq!(data.len(), head.data_bytes as usize);
        assert!(data.len() * 10 < line.len(), "it is compressed");
        assert_eq!(decode(data, line.len()).expect("whole"), line);
        assert!(decode(data, line.len() - 1).is_err(), "longer than allowed");
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let record = Encoder::new()
            .and_then(|mut encoder| encoder.record(None, b"some text that is long enough"))
            .expect("compressed");
        let data = &record[HEAD_BYTES..];
        for at in 0..data.len() {
            let mut damaged = data.to_vec();
            damaged[at] ^= 1;
            assert!(decode(&damaged, 1000).is_err(), "byte {at}");
        }
    }

    #[test]
    fn other_bytes_are_no_head() {
        let mut head = Vec::new();
        Head {
            time_unix_ms: None,
            data_bytes: 9,
        }
        .write(&mut head);
        let head: [u8; HEAD_BYTES] = head.try_into().expect("the length of a head");
        assert!(Head::parse(&head).is_some());
        for at in 0..20 {
            let mut other = head;
            other[at] ^= 0x80;
            assert_eq!(Head::parse(&other), None, "byte {at}");
        }
    }
}
