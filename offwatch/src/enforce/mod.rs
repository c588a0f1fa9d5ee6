//! Keeps features of interfaces as a policy or an advice has them.
//!
//! ```text
//! policy or advice, and the interfaces of this host --> Plan     (pure)
//! Plan --> journal (fsync) --> SET --> read back --> verdict     (or rolled back)
//! kernel's notifications --> the same again, for what has changed
//! ```
//!
//! A commit is what one run changes. It is journalled before the first change, and
//! a process of its own, the watchdog, takes it back if it is not confirmed.

pub mod apply;
pub mod audit;
pub mod canary;
pub mod definition;
pub mod error;
pub mod from_advice;
pub mod gather;
pub mod here;
pub mod input;
pub mod journal;
pub mod kernel;
pub mod lock;
pub mod names;
pub mod plan;
pub mod policy;
pub mod predict;
mod state_dir;
pub mod target;
pub mod watch;
pub mod watchdog;
