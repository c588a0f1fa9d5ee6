//! Measures interfaces over windows of time: what they carry, what is lost, what is
//! sent again, and what it costs.
//!
//! A [`Meter`] reads everything at moments that its user chooses; a [`Window`] is what
//! two readings tell of the time between them.

pub mod capture;
mod cpu;
mod reading;
pub mod tcp;
mod threads;
mod window;

pub use self::{
    cpu::{CpuReading, CpuTimes},
    reading::{Meter, Reading},
    threads::{VmCpu, VmThreads},
    window::{Figures, VmFigures, Way, Window},
};
