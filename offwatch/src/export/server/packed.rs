//! Metrics, compressed while they are sent.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::export::Exposition;

/// So much is worth a part of its own.
const ENOUGH: usize = 8 * 1024;

/// Chunks of a gzip stream.
pub(super) struct Packed {
    chunks: Exposition,
    /// None when it is at its end.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Packed {
    /// As fast as it goes: that makes a tenth or less of it.
    pub(super) fn new(chunks: Exposition) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        Self {
            chunks,
            encoder: Some(encoder),
        }
    }
}

impl Iterator for Packed {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut encoder = self.encoder.take()?;
        // A vector takes all that is written.
        const WRITES: &str = "memory";
        for chunk in self.chunks.by_ref() {
            encoder.write_all(&chunk).expect(WRITES);
            if encoder.get_ref().len() >= ENOUGH {
                let packed = std::mem::take(encoder.get_mut());
                self.encoder = Some(encoder);
                return Some(packed.into());
            }
        }
        Some(encoder.finish().expect(WRITES).into())
    }
}
