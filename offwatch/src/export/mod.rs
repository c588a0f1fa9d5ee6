//! Metrics for Prometheus.
//!
//! A [`crate::sample::Sample`] becomes a snapshot of values, which is written family by
//! family to whoever scrapes it. Nothing here waits for libvirt.
//!
//! ```text
//! Sample --> Exporter (sums, what must not fall, ranks) --> Snapshot --> Exposition
//! ```

pub mod advice;
mod base;
pub mod docs;
pub mod enforcement;
pub mod exporter;
pub mod exposition;
pub mod families;
mod figures;
mod host;
mod labels;
pub mod latest;
mod names;
pub mod own;
mod past;
mod past_vm;
mod rank;
pub mod server;
pub mod snapshot;
mod value;
mod vm;

#[cfg(test)]
mod tests;

pub use self::{
    exporter::{Exporter, Wanted},
    exposition::{Exposition, Format},
    latest::Latest,
    own::Own,
    snapshot::Snapshot,
};
