//! Fixed histogram buckets. Both histograms have a bucket for everything below
//! their range and one for everything above it, so no value is lost.

/// Buckets of the frame length histogram: below 128 bytes, then one per power
/// of two, then 65,536 and above.
pub const LENGTH_BUCKETS: usize = 11;
const LENGTH_LOW_BITS: u32 = 7;

/// Buckets of the `gso_size` histogram: powers of two below 512, four to a
/// power of two up to 16,383 (where MSS values lie), one above.
pub const GSO_SIZE_BUCKETS: usize = 25;
const GSO_FINE_LOW_BITS: u32 = 9;
const GSO_FINE_HIGH_BITS: u32 = 14;
const GSO_COARSE_BELOW: u32 = 4;

/// Bytes to a step of [`LENGTH_TABLE`]: no bucket has an edge within a step.
const LENGTH_STEP_BITS: u32 = LENGTH_LOW_BITS;
/// The step at which the last bucket begins.
const LENGTH_STEPS: usize = 1 << 9;

/// Bytes to a step of [`GSO_SIZE_TABLE`].
const GSO_SIZE_STEP_BITS: u32 = 6;
const GSO_SIZE_STEPS: usize = 1 << 9;

/// Buckets by step. A load takes the place of a search, of which the verifier
/// would have to follow every way.
static LENGTH_TABLE: [u8; LENGTH_STEPS + 1] = {
    let mut table = [0; LENGTH_STEPS + 1];
    let mut step = 0;
    while step < table.len() {
        table[step] = length_bucket_of((step as u32) << LENGTH_STEP_BITS) as u8;
        step += 1;
    }
    table
};

static GSO_SIZE_TABLE: [u8; GSO_SIZE_STEPS + 1] = {
    let mut table = [0; GSO_SIZE_STEPS + 1];
    let mut step = 0;
    while step < table.len() {
        table[step] = gso_size_bucket_of((step as u32) << GSO_SIZE_STEP_BITS) as u8;
        step += 1;
    }
    table
};

/// The bucket of a frame of `bytes`.
#[inline(always)]
pub fn length_bucket(bytes: u32) -> usize {
    look_up(&LENGTH_TABLE, bytes >> LENGTH_STEP_BITS)
}

/// The bucket of a segment size of `bytes`.
#[inline(always)]
pub fn gso_size_bucket(bytes: u32) -> usize {
    look_up(&GSO_SIZE_TABLE, bytes >> GSO_SIZE_STEP_BITS)
}

#[inline(always)]
fn look_up<const N: usize>(table: &[u8; N], step: u32) -> usize {
    let last = N - 1;
    // Opaque, lest the compiler drops the comparison that the verifier needs.
    let step = core::hint::black_box(step as usize);
    usize::from(table[if step < last { step } else { last }])
}

const fn length_bucket_of(bytes: u32) -> usize {
    if bytes < 1 << LENGTH_LOW_BITS {
        return 0;
    }
    let bucket = (bytes.ilog2() - LENGTH_LOW_BITS + 1) as usize;
    if bucket < LENGTH_BUCKETS {
        bucket
    } else {
        LENGTH_BUCKETS - 1
    }
}

const fn gso_size_bucket_of(bytes: u32) -> usize {
    if bytes < 1 << GSO_SIZE_STEP_BITS {
        return 0;
    }
    let bits = bytes.ilog2();
    if bits < GSO_FINE_LOW_BITS {
        return (bits - GSO_SIZE_STEP_BITS + 1) as usize;
    }
    if bits < GSO_FINE_HIGH_BITS {
        let quarter = (bytes >> (bits - 2)) & 3;
        return (GSO_COARSE_BELOW + (bits - GSO_FINE_LOW_BITS) * 4 + quarter) as usize;
    }
    GSO_SIZE_BUCKETS - 1
}

/// The smallest and the largest length, in bytes, that fall into `bucket`; the
/// last bucket has no largest.
pub const fn length_range(bucket: usize) -> (u32, Option<u32>) {
    range(
        length_low(bucket),
        bucket,
        LENGTH_BUCKETS,
        length_low(bucket + 1),
    )
}

/// The smallest and the largest segment size, in bytes, that fall into
/// `bucket`; the last bucket has no largest.
pub const fn gso_size_range(bucket: usize) -> (u32, Option<u32>) {
    range(
        gso_size_low(bucket),
        bucket,
        GSO_SIZE_BUCKETS,
        gso_size_low(bucket + 1),
    )
}

const fn range(low: u32, bucket: usize, buckets: usize, next: u32) -> (u32, Option<u32>) {
    (
        low,
        if bucket + 1 < buckets {
            Some(next - 1)
        } else {
            None
        },
    )
}

const fn length_low(bucket: usize) -> u32 {
    if bucket == 0 {
        0
    } else {
        1 << (LENGTH_LOW_BITS + bucket as u32 - 1)
    }
}

const fn gso_size_low(bucket: usize) -> u32 {
    let bucket = bucket as u32;
    let fine_end = GSO_COARSE_BELOW + (GSO_FINE_HIGH_BITS - GSO_FINE_LOW_BITS) * 4;
    if bucket == 0 {
        0
    } else if bucket < GSO_COARSE_BELOW {
        1 << (6 + bucket - 1)
    } else if bucket < fine_end {
        let octave = (bucket - GSO_COARSE_BELOW) / 4;
        let quarter = (bucket - GSO_COARSE_BELOW) % 4;
        (1 << (GSO_FINE_LOW_BITS + octave)) + quarter * (1 << (GSO_FINE_LOW_BITS + octave - 2))
    } else {
        1 << (GSO_FINE_HIGH_BITS + bucket - fine_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(buckets: usize, bucket: fn(u32) -> usize, range: fn(usize) -> (u32, Option<u32>)) {
        let mut expected_low = 0;
        for index in 0..buckets {
            let (low, high) = range(index);
            assert_eq!(
                low, expected_low,
                "bucket {index} starts where the last one ended"
            );
            assert_eq!(bucket(low), index, "low edge of bucket {index}");
            match high {
                Some(high) => {
                    assert_eq!(bucket(high), index, "high edge of bucket {index}");
                    expected_low = high + 1;
                }
                None => assert_eq!(index, buckets - 1),
            }
        }
        assert_eq!(bucket(u32::MAX), buckets - 1);
    }

    #[test]
    fn length_buckets_tile_the_range() {
        check(LENGTH_BUCKETS, length_bucket, length_range);
    }

    #[test]
    fn gso_size_buckets_tile_the_range() {
        check(GSO_SIZE_BUCKETS, gso_size_bucket, gso_size_range);
    }

    #[test]
    fn usual_sizes_fall_where_documented() {
        assert_eq!(length_range(length_bucket(1514)), (1024, Some(2047)));
        assert_eq!(length_range(length_bucket(65_549)), (65_536, None));
        assert_eq!(gso_size_range(gso_size_bucket(536)), (512, Some(639)));
        assert_eq!(gso_size_range(gso_size_bucket(1448)), (1280, Some(1535)));
        assert_eq!(gso_size_range(gso_size_bucket(8948)), (8192, Some(10_239)));
        assert_eq!(
            gso_size_range(gso_size_bucket(16_383)),
            (14_336, Some(16_383))
        );
        assert_eq!(gso_size_range(gso_size_bucket(16_384)), (16_384, None));
    }
}
