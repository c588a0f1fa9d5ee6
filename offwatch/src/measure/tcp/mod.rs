//! TCP segments that are sent again, told from the segments themselves.
//!
//! A segment is *again* if its numbers have passed before. Numbers that are missing
//! between others were left out: lost before they came here, or on another way. What
//! fills such a gap was sent again if it comes later than 3 ms after the gap opened,
//! or after three duplicate acknowledgements; else it came out of order. What was
//! lost before it came here and had nothing after it is not seen, nor is anything
//! sent before the first segment of its connection.

mod segment;
mod sequence;
mod tracker;

pub(crate) use self::segment::SNAP_BYTES;
pub use self::{
    segment::Segment,
    tracker::{Direction, TcpCount, Tracker},
};
