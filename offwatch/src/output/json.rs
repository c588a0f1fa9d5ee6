//! JSON, for programs.

use std::io::{self, Write};

use super::Render;
use crate::model::Model;

/// One JSON object a model.
pub struct Json {
    /// Each object on one line (`--stream`), or indented for reading.
    pub lines: bool,
}

impl Render for Json {
    fn render(&self, model: &Model, to: &mut dyn Write) -> io::Result<()> {
        if self.lines {
            serde_json::to_writer(&mut *to, model)?;
        } else {
            serde_json::to_writer_pretty(&mut *to, model)?;
        }
        to.write_all(b"\n")
    }
}
