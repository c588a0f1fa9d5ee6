//! What offloads do for each VM and interface, as the rows of a table: sums of
//! a VM's network cards. Pure.

mod blame;
mod figures;

pub(crate) use self::figures::Series;
pub use self::{
    blame::{Blame, UNKNOWN_SOURCE},
    figures::{Figures, Flow, Sizes, no_work_cpu_share},
};
