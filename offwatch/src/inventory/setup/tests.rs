//! Messages of the kernel.
