//! What virt-top's users type, as `offwatch top` and through a link named
//! `virt-top`, against files that virt-top wrote.

mod command;
mod csv;
mod host;
mod screens;
mod usage;
