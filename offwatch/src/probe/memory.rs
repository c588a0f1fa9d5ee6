//! BPF array maps as memory: no system call to read or write a value.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::maps::{Map, MapData};
use memmap2::{MmapOptions, MmapRaw};
use offwatch_common::Counters;

/// A `BPF_F_MMAPABLE` array with values of `T`.
pub(super) struct Memory<T> {
    map: MmapRaw,
    stride: usize,
    values: usize,
    value: std::marker::PhantomData<T>,
}

impl<T> Memory<T> {
    /// Maps `values` values of an array. The map keeps the kernel's object
    /// alive; the descriptor is only borrowed.
    pub(super) fn map(map: &Map, values: usize) -> io::Result<Self> {
        let Map::Array(data) = map else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let data: &MapData = data;
        // The kernel rounds values up to 8 bytes (array_map_alloc).
        let stride = size_of::<T>().next_multiple_of(8);
        let map = MmapOptions::new()
            .len(stride * values)
            .map_raw(data.fd().as_fd().as_raw_fd())?;
        Ok(Self {
            map,
            stride,
            values,
            value: std::marker::PhantomData,
        })
    }

    fn value(&self, index: u32) -> Option<*mut u8> {
        let index = index as usize;
        // SAFETY: within the mapping, which is `stride * values` bytes long.
        (index < self.values).then(|| unsafe { self.map.as_mut_ptr().add(index * self.stride) })
    }
}

impl Memory<u32> {
    /// Sets a value; out of range changes nothing.
    pub(super) fn set(&self, index: u32, value: u32) {
        if let Some(at) = self.value(index) {
            // SAFETY: aligned to 8, shared with BPF programs that only load whole words.
            unsafe { AtomicU32::from_ptr(at.cast()) }.store(value, Ordering::Relaxed);
        }
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
    pub(super) fn get(&self, index: u32) -> Option<Box<T>> {
        let from = self.value(index)?.cast::<u64>();
        let mut counters = Box::<T>::default();
        let to = (&raw mut *counters).cast::<u64>();
        for word in 0..T::WORDS {
            // SAFETY: counters consist of u64 only, and both sides hold all of them.
            unsafe {
                let counter = AtomicU64::from_ptr(from.add(word));
                to.add(word).write(counter.load(Ordering::Relaxed));
            }
        }
        Some(counters)
    }
}
