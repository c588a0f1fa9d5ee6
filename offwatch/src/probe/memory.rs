//! BPF array maps as memory: no system call to read or write a value.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use aya::maps::{Map, MapData};
use memmap2::{MmapOptions, MmapRaw};
use offwatch_common::{
    Counters,
    ifindexes::{BUCKET_ENTRIES, Bucket, GROUP, Group},
};

/// Values mapped at once. With any size of value, so many are whole pages.
const CHUNK_VALUES: usize = 512;

/// A `BPF_F_MMAPABLE` array with values of `T`, mapped as far as values are
/// looked at: what is mapped counts as this process's memory.
pub(super) struct Memory<T> {
    fd: OwnedFd,
    chunks: Box<[OnceLock<MmapRaw>]>,
    stride: usize,
    values: usize,
    value: std::marker::PhantomData<T>,
}

impl<T> Memory<T> {
    /// Prepares to map `values` values of an array, and maps the first ones.
    /// The memory keeps the kernel's object alive.
    pub(super) fn map(map: &Map, values: usize) -> io::Result<Self> {
        let Map::Array(data) = map else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let data: &MapData = data;
        let memory = Self {
            fd: data.fd().as_fd().try_clone_to_owned()?,
            chunks: (0..values.div_ceil(CHUNK_VALUES))
                .map(|_| OnceLock::new())
                .collect(),
            // The kernel rounds values up to 8 bytes (array_map_alloc).
            stride: size_of::<T>().next_multiple_of(8),
            values,
            value: std::marker::PhantomData,
        };
        if let Some(first) = memory.chunks.first() {
            let _ = first.set(memory.chunk(0)?);
        }
        Ok(memory)
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values
    }

    fn chunk(&self, number: usize) -> io::Result<MmapRaw> {
        let first = number * CHUNK_VALUES;
        let values = (self.values - first).min(CHUNK_VALUES);
        MmapOptions::new()
            .offset((first * self.stride) as u64)
            .len(values * self.stride)
            .map_raw(self.fd.as_raw_fd())
    }

    fn value(&self, index: u32) -> Option<*mut u8> {
        let index = index as usize;
        if index >= self.values {
            return None;
        }
        let (number, at) = (index / CHUNK_VALUES, index % CHUNK_VALUES);
        let chunk = match self.chunks[number].get() {
            Some(chunk) => chunk,
            None => {
                let mapped = self.chunk(number).ok()?;
                self.chunks[number].get_or_init(|| mapped)
            }
        };
        // SAFETY: within the mapping, which holds all values of the chunk.
        Some(unsafe { chunk.as_mut_ptr().add(at * self.stride) })
    }
}

impl Memory<Group> {
    /// The slots of a group; none if it is out of range or cannot be mapped.
    pub(super) fn group(&self, index: u32) -> Option<&[AtomicU16; GROUP as usize]> {
        let at = self.value(index)?;
        // SAFETY: aligned to 8, mapped as long as self is, and shared with BPF
        // programs that load a slot at a time.
        Some(unsafe { &*at.cast() })
    }
}

impl Memory<Bucket> {
    /// The entries of a bucket; none if it is out of range or cannot be mapped.
    pub(super) fn bucket(&self, index: u32) -> Option<&[AtomicU64; BUCKET_ENTRIES]> {
        let at = self.value(index)?;
        // SAFETY: aligned to 8, mapped as long as self is, and shared with BPF
        // programs that load an entry at a time.
        Some(unsafe { &*at.cast() })
    }
}

impl Memory<u64> {
    /// A single counter.
    pub(super) fn load(&self, index: u32) -> Option<u64> {
        let at = self.value(index)?;
        // SAFETY: aligned to 8, shared with BPF programs that only add to it.
        Some(unsafe { AtomicU64::from_ptr(at.cast()) }.load(Ordering::Relaxed))
    }
}

impl<T: Counters + Default> Memory<T> {
    /// Copies a value word by word while programs may be adding to it.
    pub(super) fn get(&self, index: u32) -> Option<T> {
        let from = self.value(index)?.cast::<u64>();
        let mut counters = T::default();
        let to = (&raw mut counters).cast::<u64>();
        for word in 0..T::WORDS {
            // SAFETY: counters consist of u64 only, and both sides hold all of them.
            unsafe {
                let counter = AtomicU64::from_ptr(from.add(word));
                to.add(word).write(counter.load(Ordering::Relaxed));
            }
        }
        Some(counters)
    }

    /// What was counted since `baseline`; `last` itself if it is the same.
    pub(super) fn since(&self, index: u32, baseline: Option<&T>, last: &Arc<T>) -> Option<Arc<T>> {
        if baseline.is_none() && self.is(index, last)? {
            return Some(Arc::clone(last));
        }
        let counters = self.get(index)?;
        let counters = baseline.map_or(counters, |baseline| counters.since(baseline));
        Some(match counters.words() == last.words() {
            true => Arc::clone(last),
            false => Arc::new(counters),
        })
    }

    /// Whether a value is `last`.
    pub(super) fn is(&self, index: u32, last: &T) -> Option<bool> {
        let from = self.value(index)?.cast::<u64>();
        let words = last.words().iter().enumerate();
        let difference = words.fold(0, |difference, (word, last)| {
            // SAFETY: counters consist of u64 only, and the value holds all of them.
            let counter = unsafe { AtomicU64::from_ptr(from.add(word)) };
            difference | (counter.load(Ordering::Relaxed) ^ last)
        });
        Some(difference == 0)
    }
}
