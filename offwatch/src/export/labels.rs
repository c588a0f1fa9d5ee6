//! Labels, as they are written: made once, and shared by all series that have them.

/// Labels of a series.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(String);

impl Labels {
    /// Appends `name="value"`, with a comma before it if it is not the first.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        let text = &mut self.0;
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Labels> for Box<str> {
    fn from(labels: Labels) -> Self {
        labels.0.into()
    }
}

/// These labels.
pub(super) fn of(pairs: &[(&str, &str)]) -> String {
    let mut labels = Labels::default();
    for (name, value) in pairs {
        labels.push(name, value);
    }
    labels.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(
            of(&[("vm", "a\"b\\c\nd{}é"), ("dev", "")]),
            "vm=\"a\\\"b\\\\c\\nd{}é\",dev=\"\""
        );
    }
}
