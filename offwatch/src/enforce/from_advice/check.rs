//! Whether bytes are an advice, all of which is understood.

use serde_json::Value;

use crate::{
    advise::{
        Report,
        report::{SCHEMA, SCHEMA_VERSION},
    },
    strict::unknown_field,
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
    match unknown_field(&value, &known) {
        None => Ok(report),
        Some(path) => Err(AdviceError::UnknownField(path)),
    }
}
