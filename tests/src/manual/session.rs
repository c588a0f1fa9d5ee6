//! What a block of the manual has a reader type, and what it says that comes of it.

use anyhow::{Result, bail};

use super::markdown::{Block, Document};

/// Commands, and their output.
const CONSOLE: &str = "console";
/// Output of the last command of the block before.
const TEXT: &str = "text";
/// Nothing is run for these: files, queries and drawings.
const FILES: [&str; 7] = ["toml", "yaml", "ini", "json", "promql", "xml", "ascii"];

/// The commands of one block, which belong together.
#[derive(Debug, PartialEq, Eq)]
pub struct Session {
    /// Number of the line of its fence.
    pub line: usize,
    /// Its commands.
    pub steps: Vec<Step>,
}

/// A command.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Number of its line.
    pub line: usize,
    /// For the shell.
    pub command: String,
    /// The output that the manual shows; none if it shows none.
    pub output: Vec<String>,
}

/// The sessions of a document. A block that is neither commands, nor output, nor a
/// file or drawing of a known kind is an error, as nobody would test it.
pub fn sessions(document: &Document) -> Result<Vec<Session>> {
    let mut sessions: Vec<Session> = Vec::new();
    for block in &document.blocks {
        let place = format!("{}:{}", document.name, block.line);
        match block.info.as_str() {
            CONSOLE => sessions.push(session(block, &place)?),
            TEXT => {
                let before = sessions.last_mut().and_then(|last| last.steps.last_mut());
                let Some(step) = before.filter(|step| step.output.is_empty()) else {
                    bail!("{place}: no command before it has this as output");
                };
                step.output.clone_from(&block.lines);
            }
            info if FILES.contains(&info) => {}
            info => bail!("{place}: nothing tests a block of {info:?}: use ```console"),
        }
    }
    Ok(sessions)
}

fn session(block: &Block, place: &str) -> Result<Session> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for (index, line) in block.lines.iter().enumerate() {
        match (steps.last_mut(), line.strip_prefix("$ ")) {
            (Some(step), _) if goes_on => {
                step.command += "\n";
                step.command += line;
            }
            (_, Some(command)) => steps.push(Step {
                line: block.line + 1 + index,
                command: command.to_owned(),
                output: Vec::new(),
            }),
            (Some(step), None) => step.output.push(line.clone()),
            (None, None) => bail!("{place}: begins with no command (`$ ...`)"),
        }
        let command = steps.last().filter(|step| step.output.is_empty());
        goes_on = command.is_some_and(|step| step.command.ends_with('\\'));
    }
    Ok(Session {
        line: block.line,
        steps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Session>> {
        sessions(&Document::parse("x.md", text))
    }

    #[test]
    fn commands_go_on_after_a_backslash_and_have_output() {
        let text = "```console\n$ a \\\n    b\nout \\\n$ c\n```\n```text\nof c\n```\n";
        let step = |line, command: &str, output: &str| Step {
            line,
            command: command.into(),
            output: vec![output.into()],
        };
        assert_eq!(
            parsed(text).unwrap(),
            [Session {
                line: 1,
                steps: vec![step(2, "a \\\n    b", "out \\"), step(5, "c", "of c")],
            }]
        );
    }

    #[test]
    fn what_nobody_would_test_is_an_error() {
        for text in [
            "```text\nof nothing\n```\n",
            "```\nof no kind\n```\n",
            "```sh\nls\n```\n",
            "```console\nno command\n```\n",
            "```console\n$ a\nb\n```\n```text\ntwice\n```\n",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(parsed("```toml\na = 1\n```\n").unwrap().is_empty());
    }
}
