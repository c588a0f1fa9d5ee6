//! Keeps a policy applied: for new interfaces, and after each negotiation of a
//! guest.
//!
//! The kernel tells of each change. [`Reconciler`] says what to look at, and when,
//! and what is to be done about it; it compares what is asked of the kernel with
//! what the policy asks, whoever changed it, so own changes need no mark.

mod bucket;
mod contest;
mod live;
pub mod log;
mod port;
pub mod programs;
mod reconciler;
mod run;
mod sources;
mod told;

pub use self::{
    bucket::Limit,
    contest::{Evidence, Likely},
    live::{Live, Wanted},
    reconciler::{Desired, Due, Reconciler, Verdict},
    run::{Changed, Drifted, Keeper, Planned, run},
};
