//! Whether bytes are an advice, all of which is understood.

use serde_json::Value;

use crate::advise::{
    Report,
    report::{SCHEMA, SCHEMA_VERSION},
};

/// Why an advice cannot be used. Its file is named by whoever read it.
#[derive(Debug, thiserror::Error)]
pub enum AdviceError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// Something else.
    #[error("not an advice, but {found}; give what `offwatch advise --json` prints")]
    Other {
        /// What it calls itself.
        found: String,
    },
    /// A form of another version.
    #[error("advice of version {found}; this is offwatch {}, which reads version {SCHEMA_VERSION}",
        env!("CARGO_PKG_VERSION"))]
    Version {
        /// Its version.
        found: String,
    },
    /// A part is missing, or has another type.
    #[error("not an advice: {0}")]
    Form(serde_json::Error),
    /// A part that nobody knows could change what is meant.
    #[error("unknown field '{0}'")]
    UnknownField(String),
}

pub(super) fn report(bytes: &[u8]) -> Result<Report, AdviceError> {
    let value: Value = serde_json::from_slice(bytes).map_err(AdviceError::NotJson)?;
    match &value["schema"] {
        Value::String(schema) if schema == SCHEMA => {}
        Value::String(other) => {
            let other: String = other.chars().take(60).collect();
            let found = format!("'{other}'");
            return Err(AdviceError::Other { found });
        }
        _ => {
            let found = "JSON without a schema".into();
            return Err(AdviceError::Other { found });
        }
    }
    if value["version"] != SCHEMA_VERSION {
        let found = value["version"].to_string().chars().take(20).collect();
        return Err(AdviceError::Version { found });
    }
    let report: Report = serde_json::from_value(value.clone()).map_err(AdviceError::Form)?;
    let known = serde_json::to_value(&report).map_err(AdviceError::Form)?;
    match unknown(&value, &known) {
        None => Ok(report),
        Some(path) => Err(AdviceError::UnknownField(path)),
    }
}

/// The path of what is in one value and not in another. What says nothing may be
/// left out.
fn unknown(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            given.iter().find_map(|(key, value)| match known.get(key) {
                Some(known) => unknown(value, known).map(|path| format!("{key}.{path}")),
                None if matches!(value, Value::Null | Value::Bool(false)) => None,
                None => Some(key.chars().take(60).collect()),
            })
        }
        (Value::Array(given), Value::Array(known)) => {
            let pairs = given.iter().zip(known).enumerate();
            let mut paths = pairs.filter_map(|(index, (given, known))| {
                unknown(given, known).map(|path| format!("{index}.{path}"))
            });
            paths.next()
        }
        _ => None,
    }
}
