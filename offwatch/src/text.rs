//! Text for people, and text from elsewhere made fit for a terminal: names of VMs,
//! interfaces and files may hold anything, escape sequences included.

use std::fmt::Write as _;

use textwrap::Options;

/// Columns of what is printed for people.
const WIDTH: usize = 80;
/// Of what belongs to a line above.
pub const INDENT: &str = "        ";

/// Adds words, wrapped, and with what comes from elsewhere made fit for a terminal.
pub fn paragraph(text: &mut String, first: &str, words: &str) {
    let further = match first.trim().is_empty() {
        true => first.to_owned(),
        false => " ".repeat(first.len().min(8)),
    };
    let options = unbroken(WIDTH, first, &further);
    let _ = writeln!(text, "{}", textwrap::fill(&plain(words), options));
}

/// Adds a command, on a line of its own or after `first`. A line that goes on ends
/// as a shell wants it, so that all of them can be copied.
pub fn shell_command(text: &mut String, first: &str, command: &str) {
    const GOES_ON: &str = " \\";
    let options = unbroken(WIDTH - GOES_ON.len(), first, INDENT);
    let lines = textwrap::fill(&plain(command), options);
    let _ = writeln!(text, "{}", lines.replace('\n', &format!("{GOES_ON}\n")));
}

/// Lines are broken between words alone.
fn unbroken<'o>(width: usize, first: &'o str, further: &'o str) -> Options<'o> {
    Options::new(width)
        .initial_indent(first)
        .subsequent_indent(further)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
}

/// `text` on one line, with control characters, and those that reorder or hide
/// text, replaced by `?`.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if is_unprintable(c) { '?' } else { c })
        .collect()
}

/// Whether [`plain`] would change nothing.
pub fn is_plain(text: &str) -> bool {
    // Most names are ASCII, which takes less to look at.
    let is_graphic = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    text.bytes().all(is_graphic) || !text.chars().any(is_unprintable)
}

fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Of known words the one that is most like another, if any is like it.
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    /// No known word is so long, and comparing takes time with the length.
    const LONGEST_BYTES: usize = 80;
    if word.len() > LONGEST_BYTES {
        return None;
    }
    let distances = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(word, known), known));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.len() / 2).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::{nearest, plain};

    #[test]
    fn the_nearest_word_is_like_it() {
        let known = ["device", "driver", "vm"];
        assert_eq!(nearest("devcie", known), Some("device"));
        assert_eq!(nearest("xyz", known), None);
        assert_eq!(nearest(&"device".repeat(20), known), None);
        assert_eq!(nearest("device", []), None);
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a?[2Jb?c");
        assert_eq!(plain("a\u{202e}b"), "a?b");
        assert_eq!(plain("grün-vm_1.é"), "grün-vm_1.é");
    }
}
