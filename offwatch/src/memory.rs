//! How the C library's allocator keeps memory.

/// Has all threads share one heap. They seldom allocate at the same time, and
/// what one has given back is of no use to the others otherwise: some MiB with
/// ten thousand interfaces. To be called before other threads are started.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: has no preconditions; a setting that is refused changes nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Has the heap keep what is free at its end, up to some MiB, and take large blocks
/// from it, too: a sample of a large host would ask the kernel for them each time, and
/// give them back. What is free after a peak, [`give_back`] returns.
pub fn keep_heap() {
    #[cfg(target_env = "gnu")]
    {
        const KEPT_BYTES: libc::c_int = 16 << 20;
        const LARGEST_IN_HEAP_BYTES: libc::c_int = 32 << 20;
        // SAFETY: has no preconditions; a setting that is refused changes nothing.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_IN_HEAP_BYTES);
        }
    }
}

/// Has the kernel back this process's memory by small pages alone. A heap that
/// grows into another huge page of 2 MiB takes all of it, for a few KiB.
/// (`PR_SET_THP_DISABLE`, prctl(2); it ends with the process.)
pub fn use_small_pages() {
    // SAFETY: takes numbers alone; a setting that is refused changes nothing.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}

/// Gives free memory back to the kernel.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: has no preconditions; it only returns memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
