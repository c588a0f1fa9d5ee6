//! Metrics for Prometheus.
//!
//! A [`crate::sample::Sample`] becomes a snapshot of values, which is written family by
//! family to whoever scrapes it. Nothing here waits for libvirt.
