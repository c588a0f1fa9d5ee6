//! Keys, rows and frames, without a terminal.

mod app;
mod findings;
mod host;
mod keys;
mod pages;
mod rows;
mod views;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEventKind};

use self::{
    app::App,
    host::{VMS, first_model, model},
};
use super::{
    keys::{Action, UNKNOWN},
    state::{Overlay, Page},
};
use crate::{feed::Command, output::virt_top::View as VirtTop, rank::Key, settings::Display};
