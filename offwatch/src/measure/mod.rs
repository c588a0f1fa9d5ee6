//! Measures interfaces over windows of time: what they carry, what is lost, what is
//! sent again, and what it costs.

pub mod capture;
pub mod tcp;
