//! Comparing output by its words: what is measured differs from run to run, what is
//! said of it must not.

use std::fmt::Write as _;

/// A line of the manual that stands for any output.
const LEFT_OUT: &str = "...";
/// What a number becomes.
const NUMBER: &str = "#";
/// What prices say of where they are from, which depends on the kernel.
const BASES: [&str; 3] = ["measured here in part", "measured here", "table"];
/// What a canary says only where there was some.
const NOISE: &str = " and noise of ";
/// How many words an error shows.
const WORDS_SHOWN: usize = 12;

/// Says how `output` differs from what the manual shows, if it does. Numbers may be any,
/// spaces and line breaks as many as there are.
///
/// # Errors
///
/// The words that are missing, and what is there instead.
pub fn compare(shown: &[String], output: &str) -> Result<(), String> {
    let output = words(output);
    let mut at = 0;
    let parts: Vec<Vec<String>> = shown
        .split(|line| line.trim() == LEFT_OUT)
        .map(|lines| words(&lines.join("\n")))
        .collect();
    for (index, part) in parts.iter().enumerate() {
        let rest = &output[at..];
        // Where nothing is left out it must follow at once.
        let starts = if index == 0 { 0 } else { rest.len() };
        let found = (0..=starts).find(|start| rest[*start..].starts_with(part));
        let Some(start) = found else {
            return Err(told(part, rest, starts));
        };
        at += start + part.len();
    }
    let ends = parts.last().is_none_or(|part| !part.is_empty());
    match output.get(at) {
        Some(_) if ends => Err(format!(
            "what follows is not in the manual: {}",
            shortened(&output[at..])
        )),
        _ => Ok(()),
    }
}

/// As [`compare`] for a report in which measurements also decide what is said: lines of
/// a table by what they are about, the line of its heads by all words, and no others.
///
/// # Errors
///
/// The lines that are missing.
pub fn compare_labels(shown: &[String], output: &str) -> Result<(), String> {
    let told: Vec<String> = output.lines().map(label).collect();
    let mut missing = String::new();
    for line in shown.iter().filter(|line| line.trim_end().contains("  ")) {
        let label = label(line);
        if !label.is_empty() && !told.contains(&label) {
            // Cannot fail: it is a string.
            let _ = writeln!(missing, "no line of {label:?}");
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(missing),
    }
}

/// What a line of a table is about; of its heads, all of them. Nothing of a line that is
/// in no table.
fn label(line: &str) -> String {
    let text = line.trim_end();
    let cells: Vec<&str> = text.split("  ").filter(|cell| !cell.is_empty()).collect();
    let cells: Vec<&str> = cells.iter().map(|cell| cell.trim()).collect();
    let heads = text.starts_with("     ");
    match cells.as_slice() {
        [] | [_] => String::new(),
        cells if heads => cells.join(" | "),
        [first, ..] => (*first).to_owned(),
    }
}

/// The words of a text. A number with its unit is `#`, and so is `-`, which stands where
/// there is none; several of them in a row are one.
fn words(text: &str) -> Vec<String> {
    let text = BASES.iter().fold(text.to_owned(), |text, basis| {
        text.replace(&format!("; {basis})"), "; ...)")
    });
    let mut words: Vec<String> = Vec::new();
    let mut parts = text.split(NOISE);
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.fold(first, |text, part| {
        text + part.split_once(" %").map_or(part, |(_, after)| after)
    });
    for word in text.split_whitespace() {
        let word = shape(word);
        // Bars of charts.
        let bar = word.chars().all(|c| ('\u{2500}'..='\u{28ff}').contains(&c));
        if bar || (word == NUMBER && words.last().is_some_and(|last| last == NUMBER)) {
            continue;
        }
        words.push(word);
    }
    words
}

fn shape(word: &str) -> String {
    let opening = word.len()
        - word
            .trim_start_matches(['(', '[', '"', '~', '<', '+', '-'])
            .len();
    let body = &word[opening..];
    let before: String = word[..opening]
        .chars()
        .filter(|c| "([\"".contains(*c))
        .collect();
    if body.starts_with(|c: char| c.is_ascii_digit()) {
        let rest = body.trim_end_matches([')', ']', '"', ':', ';', ',', '.']);
        return format!("{before}{NUMBER}{}", &body[rest.len()..]);
    }
    match word {
        "-" => NUMBER.to_owned(),
        word => word.to_owned(),
    }
}

fn told(part: &[String], rest: &[String], starts: usize) -> String {
    let agreeing = |start: usize| {
        let pairs = part.iter().zip(&rest[start..]);
        pairs.take_while(|(a, b)| a == b).count()
    };
    let best = (0..=starts).max_by_key(|start| (agreeing(*start), usize::MAX - start));
    let start = best.unwrap_or(0);
    let agreed = agreeing(start);
    format!(
        "after {:?} the manual has {:?}, the program {:?}",
        shortened(&part[agreed.saturating_sub(WORDS_SHOWN)..agreed]),
        shortened(&part[agreed..]),
        shortened(&rest[start + agreed..])
    )
}

fn shortened(words: &[String]) -> String {
    words[..words.len().min(WORDS_SHOWN)].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn numbers_and_spaces_may_differ() {
        let shown = lines("VM  RXbit/s SWSEG/s\nweb ~209M      - (0.1 to 3 %)\ndb owtap1: 5");
        let output = "VM RXbit/s SWSEG/s\nweb 1.5k 17 (12 to\n-4 %)\ndb owtap1: 777\n";
        assert_eq!(compare(&shown, output), Ok(()));
    }

    #[test]
    fn what_is_not_always_said_may_be_missing() {
        let shown = lines("(allowed 1 % and noise of 2 %) costs 3 CPU (1 to 2; table)");
        let output = "(allowed 4 %) costs 5 CPU (3 to 4; measured here)";
        assert_eq!(compare(&shown, output), Ok(()));
    }

    #[test]
    fn words_may_not() {
        let shown = lines("VM RXbit/s\nweb 1");
        for output in [
            "VM RXb/s\nweb 1",
            "VM RXbit/s\nweb 1 %",
            "VM RXbit/s web",
            "new\nVM RXbit/s\nweb 1",
            "VM RXbit/s\nweb 1\nand more",
        ] {
            assert!(compare(&shown, output).is_err(), "{output}");
        }
        assert!(compare(&lines("owtap1 1"), "owtap2 1").is_err());
    }

    #[test]
    fn what_is_left_out_may_be_anything() {
        let shown = lines("first\n...\nsecond 1\nthird\n...");
        assert_eq!(compare(&shown, "first\nsecond 2\nthird"), Ok(()));
        assert_eq!(compare(&shown, "first\nx\nsecond 2\nthird\ny"), Ok(()));
        let error = compare(&shown, "first\nx\nsecond 2\nfourth\ny").unwrap_err();
        assert!(error.contains("second #"), "{error}");
        assert!(compare(&shown, "x\nfirst\nsecond 2\nthird").is_err());
    }

    #[test]
    fn lines_of_a_report_are_known_by_what_they_are_about() {
        let shown = lines("all is well: 5\n\n       without  with\ngoodput  3 G  worse\n");
        assert_eq!(
            compare_labels(&shown, "not so\n\n      without   with\ngoodput  1  better"),
            Ok(())
        );
        assert!(compare_labels(&shown, "\n      without   when\ngoodput  1  better").is_err());
        assert!(compare_labels(&shown, "\n      without   with\nthroughput  1  x").is_err());
    }
}
