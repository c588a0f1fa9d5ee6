//! Sort keys on the command line.

use std::ffi::OsStr;

use clap::{
    Arg, Command, Error,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};

use crate::rank::Key;

/// Reads a sort key; help and completions list all.
#[derive(Clone)]
pub(super) struct KeyParser;

impl TypedValueParser for KeyParser {
    type Value = Key;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Key, Error> {
        let parser = StringValueParser::new().try_map(|text| text.parse::<Key>());
        parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |key: Key| PossibleValue::new(key.name()).aliases(key.other_names());
        Some(Box::new(Key::ALL.into_iter().map(value)))
    }
}
