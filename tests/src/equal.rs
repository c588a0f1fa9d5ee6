//! Whether offwatch saw exactly what crossed a tap: by the truth of the guest's
//! side and by the kernel's own counters.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use offwatch_common::histogram;
use serde_json::Value;

use crate::observer::{Observer, Seen, grown};
use crate::{Counts, Lab, Truth};

/// For each guest of a quiet lab: the truth, and what offwatch shows of it.
pub fn snapshot(lab: &Lab, observer: &Observer) -> Result<Vec<(Counts, Seen)>> {
    seen(lab, &observer.now()?)
}

/// The same with a model that was made while the lab was quiet.
pub fn seen(lab: &Lab, model: &Value) -> Result<Vec<(Counts, Seen)>> {
    lab.guests()
        .iter()
        .map(|guest| Ok((guest.counts()?, Seen::of(model, guest)?)))
        .collect()
}

/// Both directions of a guest's tap, of which nothing was dropped.
pub fn guest(what: &str, counts: &Counts, before: &Seen, after: &Seen) -> Result<()> {
    ensure!(
        counts.kernel.tx_dropped == 0,
        "{what}: the test itself dropped frames"
    );
    let directions = [
        (
            "from the VM",
            &counts.from_vm,
            &before.from_vm,
            &after.from_vm,
            (counts.kernel.rx_packets, counts.kernel.rx_bytes),
        ),
        (
            "to the VM",
            &counts.to_vm,
            &before.to_vm,
            &after.to_vm,
            (counts.kernel.tx_packets, counts.kernel.tx_bytes),
        ),
    ];
    for (direction, truth, before, after, kernel) in directions {
        side(&format!("{what} {direction}"), truth, before, after)?;
        let seen = (
            grown(after, before, "packets_total")?,
            grown(after, before, "bytes_total")?,
        );
        assert_eq!(seen, kernel, "{what} {direction}: the kernel's counters");
    }
    Ok(())
}

/// One direction.
pub fn side(what: &str, truth: &Truth, before: &Value, after: &Value) -> Result<()> {
    assert_eq!(truth.gso_unparsed_frames, 0, "{what}: the truth is whole");
    for (field, expected) in [
        ("packets_total", truth.packets),
        ("bytes_total", truth.bytes),
        ("gso_packets_total", truth.gso_frames),
        ("gso_bytes_total", truth.gso_bytes),
        ("gso_segments_total", truth.gso_segments),
        ("partial_packets_total", truth.needs_csum_frames),
        ("partial_bytes_total", truth.needs_csum_bytes),
    ] {
        assert_eq!(grown(after, before, field)?, expected, "{what}: {field}");
    }
    let sizes = truth
        .gso_sizes
        .iter()
        .map(|(size, frames)| (u32::from(*size), *frames));
    let expected = rows(sizes, histogram::gso_size_bucket, histogram::gso_size_range);
    assert_eq!(
        histogram_grown(after, before, "gso_size_histogram"),
        expected,
        "{what}"
    );
    let lengths = truth
        .frame_lens
        .iter()
        .map(|(length, frames)| (*length, *frames));
    let expected = rows(lengths, histogram::length_bucket, histogram::length_range);
    assert_eq!(
        histogram_grown(after, before, "length_histogram"),
        expected,
        "{what}"
    );
    Ok(())
}

/// Counts by the low edge of their row.
fn rows(
    values: impl Iterator<Item = (u32, u64)>,
    bucket: fn(u32) -> usize,
    range: fn(usize) -> (u32, Option<u32>),
) -> BTreeMap<u64, u64> {
    let mut rows = BTreeMap::new();
    for (value, count) in values {
        *rows.entry(range(bucket(value)).0.into()).or_default() += count;
    }
    rows
}

fn histogram_grown(after: &Value, before: &Value, field: &str) -> BTreeMap<u64, u64> {
    let read = |side: &Value| -> BTreeMap<u64, u64> {
        let rows = side[field].as_array().into_iter().flatten();
        rows.filter_map(|row| Some((row[0].as_u64()?, row[2].as_u64()?)))
            .collect()
    };
    let before = read(before);
    read(after)
        .into_iter()
        .map(|(low, count)| (low, count - before.get(&low).copied().unwrap_or(0)))
        .filter(|(_, count)| *count != 0)
        .collect()
}
