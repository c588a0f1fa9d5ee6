//! Fixed histogram buckets. Both histograms have a bucket for everything below
//! their range and one for everything above it, so no value is lost.

/// Buckets of the frame length histogram: below 128 bytes, then one per power
/// of two, then 65,536 and above.
pub const LENGTH_BUCKETS: usize = 11;
const LENGTH_LOW_BITS: u32 = 7;

/// Buckets of the `gso_size` histogram: powers of two below 512, four to a
/// power of two up to 16,383 (where MSS values lie), powers of two above.
pub const GSO_SIZE_BUCKETS: usize = 26;
const GSO_FINE_LOW_BITS: u32 = 9;
const GSO_FINE_HIGH_BITS: u32 = 14;
const GSO_COARSE_BELOW: u32 = 4;

/// floor(log2(value)); 0 for 0. Written as steps because BPF has no count of
/// leading zeros before ISA v4.
#[inline(always)]
const fn log2(mut value: u32) -> u32 {
    let mut bits = 0;
    if value >= 1 << 16 {
        value >>= 16;
        bits += 16;
    }
    if value >= 1 << 8 {
        value >>= 8;
        bits += 8;
    }
    if value >= 1 << 4 {
        value >>= 4;
        bits += 4;
    }
    if value >= 1 << 2 {
        value >>= 2;
        bits += 2;
    }
    bits + (value >> 1)
}

/// The bucket of a frame of `bytes`.
#[inline(always)]
pub const fn length_bucket(bytes: u32) -> usize {
    let bits = log2(bytes);
    if bits < LENGTH_LOW_BITS {
        return 0;
    }
    let bucket = (bits - LENGTH_LOW_BITS + 1) as usize;
    if bucket < LENGTH_BUCKETS {
        bucket
    } else {
        LENGTH_BUCKETS - 1
    }
}

/// The bucket of a segment size of `bytes`.
#[inline(always)]
pub const fn gso_size_bucket(bytes: u32) -> usize {
    let bits = log2(bytes);
    if bits < 6 {
        return 0;
    }
    if bits < GSO_FINE_LOW_BITS {
        return (bits - 6 + 1) as usize;
    }
    if bits < GSO_FINE_HIGH_BITS {
        let quarter = (bytes >> (bits - 2)) & 3;
        return (GSO_COARSE_BELOW + (bits - GSO_FINE_LOW_BITS) * 4 + quarter) as usize;
    }
    if bits == GSO_FINE_HIGH_BITS {
        GSO_SIZE_BUCKETS - 2
    } else {
        GSO_SIZE_BUCKETS - 1
    }
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
            gso_size_range(gso_size_bucket(16_384)),
            (16_384, Some(32_767))
        );
        assert_eq!(gso_size_range(gso_size_bucket(32_768)), (32_768, None));
    }
}
