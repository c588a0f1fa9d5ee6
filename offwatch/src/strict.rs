//! JSON that is read must be understood whole.

use serde_json::Value;

/// The path of what is in one value and not in another, such as one that was read and
/// what was understood of it. What says nothing may be left out.
pub(crate) fn unknown_field(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            given.iter().find_map(|(key, value)| match known.get(key) {
                Some(known) => unknown_field(value, known).map(|path| format!("{key}.{path}")),
                None if matches!(value, Value::Null | Value::Bool(false)) => None,
                None => Some(key.chars().take(60).collect()),
            })
        }
        (Value::Array(given), Value::Array(known)) => {
            let pairs = given.iter().zip(known).enumerate();
            let mut paths = pairs.filter_map(|(index, (given, known))| {
                unknown_field(given, known).map(|path| format!("{index}.{path}"))
            });
            paths.next()
        }
        _ => None,
    }
}
