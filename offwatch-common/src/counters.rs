//! What all counter structures have in common.

/// A structure of counters that wrap by themselves.
///
/// # Safety
///
/// The type must be `repr(C)` and consist of `u64` only: it is read and written
/// word by word.
pub unsafe trait Counters: Copy {
    /// How many counters it has.
    const WORDS: usize = size_of::<Self>() / size_of::<u64>();

    /// All counters, in the order of the fields.
    fn words(&self) -> &[u64] {
        // SAFETY: consists of u64 only, as the trait demands.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast::<u64>(), Self::WORDS) }
    }

    /// What was counted since `earlier`.
    fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        // SAFETY: as above, and `difference` is not otherwise borrowed.
        let words = unsafe {
            core::slice::from_raw_parts_mut((&raw mut difference).cast::<u64>(), Self::WORDS)
        };
        for (word, earlier) in words.iter_mut().zip(earlier.words()) {
            *word = word.wrapping_sub(*earlier);
        }
        difference
    }

    /// Raises each counter to what it is in `other`, where it has grown to that.
    fn raise(&mut self, other: &Self) {
        // SAFETY: as above, and `self` is not otherwise borrowed.
        let words = unsafe {
            core::slice::from_raw_parts_mut(core::ptr::from_mut(self).cast::<u64>(), Self::WORDS)
        };
        for (word, other) in words.iter_mut().zip(other.words()) {
            let grown = other.wrapping_sub(*word).cast_signed();
            *word = word.wrapping_add(grown.max(0).cast_unsigned());
        }
    }
}
