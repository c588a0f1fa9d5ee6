//! Many hosts, as Prometheus has what their `offwatch export` told.
//!
//! Queries and what is made of their answers are pure; only [`client`] speaks HTTP.

pub mod advice;
mod answer;
pub mod client;
pub mod error;
#[expect(clippy::module_inception, reason = "what there is many of")]
pub mod fleet;
pub mod hosts;
mod place;
pub mod query;
pub mod rows;
pub mod span;
pub mod top;

pub use self::{
    advice::FleetAdvice,
    answer::{Answer, Series},
    client::Client,
    error::FleetError,
    fleet::Fleet,
    top::Top,
};
