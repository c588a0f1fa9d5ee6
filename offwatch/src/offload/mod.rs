//! What offloads do for each VM and interface, as the rows of a table: sums of
//! a VM's network cards, and their order. Pure.

mod figures;
mod order;

pub use self::{
    figures::{Figures, Flow, Sizes},
    order::{Key, Order},
};
