//! The subcommands.

pub mod advise;
pub mod doctor;
pub mod enforce;
pub mod features;
pub mod top;
pub mod trial;
