//! Patterns of names.

use crate::filter::Pattern;

/// Characters of the longest pattern.
const LONGEST: usize = 256;

/// A name, or a pattern of names as `--vm` and `--dev` take them.
#[derive(Clone, Debug)]
pub struct Glob {
    pattern: Pattern,
    /// It is a name and no pattern: a policy may name a thousand interfaces of
    /// thousand, and comparing is far cheaper than matching.
    is_literal: bool,
}

impl Glob {
    /// Compiles it. The error tells what is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".into());
        }
        // Compiling takes time and memory with the length.
        if text.chars().count() > LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        let pattern = Pattern::new(text).map_err(|error| error.kind().to_string())?;
        Ok(Self {
            pattern,
            is_literal: !text.contains(['*', '?', '[', ']', '{', '}', '\\']),
        })
    }

    /// Whether a name is meant.
    pub fn is_match(&self, name: &str) -> bool {
        match self.is_literal {
            true => self.names(name),
            false => self.pattern.is_match(name),
        }
    }

    /// Whether it is this name, letter by letter, and no pattern.
    pub fn names(&self, name: &str) -> bool {
        self.text() == name
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        self.pattern.text()
    }
}
