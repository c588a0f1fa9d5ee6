//! The subcommands.

pub mod advise;
pub mod doctor;
pub mod enforce;
pub mod export;
pub mod features;
pub mod fleet;
pub mod top;
pub mod trial;
