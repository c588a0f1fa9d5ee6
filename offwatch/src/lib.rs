//! offwatch shows, VM by VM and from evidence inside the kernel, what network
//! offloads do on a KVM host.
//!
//! Data flows one way: hooks ([`probe`]) and [`inventory`] are read by the
//! [`collector`] into a [`sample::Sample`]; [`model`] turns two samples into
//! rates; [`output`] prints a model. [`advise`] asks rules about the time between
//! two samples.

pub mod advise;
pub mod cli;
pub mod clock;
pub mod collector;
pub mod command;
pub mod enforce;
pub mod error;
pub mod export;
pub mod facts;
pub mod feed;
pub mod filter;
pub mod fleet;
pub mod inventory;
pub mod limits;
pub mod measure;
pub mod memory;
pub mod model;
pub mod offload;
pub mod output;
pub mod own_cost;
pub mod probe;
pub mod rank;
pub mod record;
pub mod sample;
mod secret;
pub mod service;
pub mod settings;
pub mod source;
mod strict;
pub mod text;
pub mod trial;
pub mod tui;
