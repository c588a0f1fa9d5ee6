//! Changes one interface first, then few, then all, and takes it back if one fares
//! worse than those that are not changed.

mod settings;

pub use self::settings::Settings;
