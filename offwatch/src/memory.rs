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
