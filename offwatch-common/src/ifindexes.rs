//! Where the slot of an interface is found by its ifindex. Userspace writes
//! these tables, programs read them: one aligned word at a time.

/// An ifindex below this is found in an array, any other one in a hash table.
pub const INDEXED_IFINDEXES: u32 = 65_536;

/// ifindexes to a [`Group`].
pub const GROUP: u32 = 4;

/// The slots of as many consecutive ifindexes. The kernel rounds the values of
/// an array up to 8 bytes, so one slot number each would waste most of it.
pub type Group = [u16; GROUP as usize];

/// Buckets of the table for high ifindexes.
pub const BUCKETS: u32 = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 13;

/// Entries of a [`Bucket`].
pub const BUCKET_ENTRIES: usize = 4;

/// Entries of [`entry`]; one that is 0 is free. There are twice as many as
/// slots, so with two buckets to choose from hardly ever both are full.
pub type Bucket = [u64; BUCKET_ENTRIES];

/// The two buckets that may have the entry of an ifindex.
#[inline(always)]
pub const fn buckets(ifindex: u32) -> [u32; 2] {
    // Odd multipliers spread consecutive numbers evenly over the upper bits.
    const FIRST: u32 = 0x9e37_79b1;
    const SECOND: u32 = 0x85eb_ca77;
    [
        ifindex.wrapping_mul(FIRST) >> (u32::BITS - BUCKET_BITS),
        ifindex.wrapping_mul(SECOND) >> (u32::BITS - BUCKET_BITS),
    ]
}

/// The entry that tells the slot of an ifindex.
#[inline(always)]
pub const fn entry(ifindex: u32, slot: u32) -> u64 {
    (ifindex as u64) << u32::BITS | slot as u64
}

/// The slot that an entry tells, if it is that of `ifindex`.
#[inline(always)]
pub const fn slot_in(entry: u64, ifindex: u32) -> Option<u32> {
    if entry >> u32::BITS == ifindex as u64 {
        Some(entry as u32)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_its_own_slot_only() {
        let made = entry(70_000, 16_383);
        assert_eq!(slot_in(made, 70_000), Some(16_383));
        assert_eq!(slot_in(made, 70_001), None);
        assert_eq!(slot_in(0, 70_000), None, "a free entry");
    }

    #[test]
    fn buckets_are_in_range() {
        for ifindex in [INDEXED_IFINDEXES, 70_000, i32::MAX as u32] {
            assert!(buckets(ifindex).iter().all(|bucket| *bucket < BUCKETS));
        }
    }
}
