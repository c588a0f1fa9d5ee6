//! Trials that are over, from the JSON of `offwatch trial`.

use std::{fs::File, io, io::Read as _, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    outcome::{SCHEMA, SCHEMA_VERSION, Trial},
    recipe::{self, Trials},
};
use crate::strict::unknown_field;

/// Bytes of the largest file: less than a kilobyte a period, of 2,000 periods and a few
/// changes.
const LARGEST: u64 = 64 << 20;

/// Why a file holds no trial.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Io(io::Error),
    /// It is larger than any trial.
    #[error("larger than {LARGEST} bytes; give what `offwatch trial --json` prints")]
    TooLarge,
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// Something else.
    #[error("not a trial, but {found}; give what `offwatch trial --json` prints")]
    Other {
        /// What it calls itself.
        found: String,
    },
    /// A form of another version.
    #[error("trial of version {found}; this is offwatch {}, which reads version {SCHEMA_VERSION}",
        env!("CARGO_PKG_VERSION"))]
    Version {
        /// Its version.
        found: String,
    },
    /// A part is missing, or has another type.
    #[error("not a trial: {0}")]
    Form(serde_json::Error),
    /// A part that nobody knows could change what is meant.
    #[error("unknown field '{0}'")]
    UnknownField(String),
}

/// Reads a file of one trial, or of those of a recipe.
pub fn file(path: &Path) -> Result<Vec<Trial>, ReadError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ReadError::Io)?;
    let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(ReadError::Io)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(ReadError::TooLarge),
        false => parse(&bytes),
    }
}

/// Reads the bytes of a file. Any bytes are answered.
pub fn parse(bytes: &[u8]) -> Result<Vec<Trial>, ReadError> {
    let value: Value = serde_json::from_slice(bytes).map_err(ReadError::NotJson)?;
    let version = match &value["schema"] {
        Value::String(schema) if schema == SCHEMA => SCHEMA_VERSION,
        Value::String(schema) if schema == recipe::SCHEMA => recipe::SCHEMA_VERSION,
        Value::String(other) => {
            let other: String = other.chars().take(60).collect();
            let found = format!("'{other}'");
            return Err(ReadError::Other { found });
        }
        _ => {
            let found = "JSON without a schema".into();
            return Err(ReadError::Other { found });
        }
    };
    check_version(&value, version)?;
    if value["schema"] == SCHEMA {
        return Ok(vec![whole(&value)?]);
    }
    let trials = value["trials"].as_array().into_iter().flatten();
    for trial in trials {
        check_version(trial, SCHEMA_VERSION)?;
    }
    Ok(whole::<Trials>(&value)?.trials)
}

fn check_version(value: &Value, version: u32) -> Result<(), ReadError> {
    if value["version"] == version {
        return Ok(());
    }
    let found = value["version"].to_string().chars().take(20).collect();
    Err(ReadError::Version { found })
}

fn whole<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T, ReadError> {
    let read: T = serde_json::from_value(value.clone()).map_err(ReadError::Form)?;
    let known = serde_json::to_value(&read).map_err(ReadError::Form)?;
    match unknown_field(value, &known) {
        None => Ok(read),
        Some(path) => Err(ReadError::UnknownField(path)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::advise::testing::trial;

    fn error(value: &Value) -> String {
        let error = parse(value.to_string().as_bytes()).expect_err("an error");
        error.to_string()
    }

    #[test]
    fn what_was_written_is_read() {
        let one = trial(10.0);
        assert_eq!(
            parse(json!(one).to_string().as_bytes()).expect("a trial"),
            std::slice::from_ref(&one)
        );
        let both = Trials::new(vec![one, trial(20.0)]);
        let read = parse(json!(both).to_string().as_bytes()).expect("a recipe");
        assert_eq!(read, both.trials);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = json!(trial(10.0));
        let with = |pointer: &str, value: Value| {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).expect("it is there") = value;
            error(&bad)
        };
        assert_eq!(
            with("/schema", json!("offwatch.advice")),
            "not a trial, but 'offwatch.advice'; give what `offwatch trial --json` prints"
        );
        assert!(error(&json!({})).starts_with("not a trial, but JSON without a schema"));
        assert!(with("/version", json!(2)).starts_with("trial of version 2; "));
        assert!(with("/periods", json!("none")).starts_with("not a trial: invalid type"));
        assert_eq!(
            with("/periods/0/received", {
                let mut way = good["periods"][0]["received"].clone();
                way["jitter"] = json!(1);
                way
            }),
            "unknown field 'periods.0.received.jitter'"
        );
        let mut recipe = json!(Trials::new(vec![trial(10.0)]));
        recipe["trials"][0]["version"] = json!(9);
        assert!(error(&recipe).starts_with("trial of version 9; "));
        let cut = &good.to_string()[..50];
        let error = parse(cut.as_bytes()).expect_err("cut").to_string();
        assert!(error.starts_with("not JSON: EOF"), "{error}");
        assert!(matches!(
            file(Path::new("/nonexistent")),
            Err(ReadError::Io(_))
        ));
    }
}
