//! Changes interfaces as a plan says, and takes it back.
//!
//! [`Enforcer::open`] takes the locks and settles what an enforcer before left;
//! [`Enforcer::begin`] journals a commit and starts its watchdog; the
//! [`Session`] changes interfaces, reads them back, and ends confirmed or taken
//! back. [`Enforcer::keep`] is for changes that need no confirmation.

mod change;
mod definitions;
mod enforcer;
mod recover;
mod restore;
mod session;
mod take_back;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verdict;
mod wait;

pub use self::{
    change::around,
    definitions::{Defined, RestoredCard, define},
    enforcer::{Enforcer, Kept, Settings},
    recover::{Recovered, recover},
    restore::Restored,
    session::{Outcome, Session, confirmable},
    take_back::{TakenBack, take_back, take_back_unread},
    verdict::Verdict,
    wait::{Ending, forget_typed},
};
