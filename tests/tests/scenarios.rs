//! What `offwatch advise` says of conditions made by real means, and of some
//! that are written by hand.

#[path = "../scenarios/mod.rs"]
mod scenarios;
