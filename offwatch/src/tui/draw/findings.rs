//! What `offwatch advise` would say: a mark in a row, and lines of a page.

use ratatui::text::Line;

use crate::{
    advise::{Findings, advice::Advice},
    model::Model,
    text::plain,
    tui::{listing::Row, theme::Theme},
};

/// Whether something is to be done about what a row shows.
pub(super) fn is_marked(row: Row, model: &Model, findings: Option<&Findings>) -> bool {
    let said = findings.map(|findings| said(row, model, findings));
    said.is_some_and(|said| said.iter().any(|advice| advice.verdict.is_finding()))
}

/// The same of one interface.
pub(super) fn is_interface_marked(ifindex: Option<u32>, findings: Option<&Findings>) -> bool {
    let mut said = findings
        .zip(ifindex)
        .into_iter()
        .flat_map(|(findings, ifindex)| findings.of_interface(ifindex));
    said.any(|advice| advice.verdict.is_finding())
}

fn said<'f>(row: Row, model: &Model, findings: &'f Findings) -> Vec<&'f Advice> {
    match row {
        Row::Vm(vm) | Row::Device(vm, _) => findings.of_vm(&model.vms[vm].name).collect(),
        Row::Card(..) | Row::Other(_) => {
            let ifindexes = row
                .interfaces(model)
                .iter()
                .filter_map(|port| port.ifindex());
            ifindexes
                .flat_map(|ifindex| findings.of_interface(ifindex))
                .collect()
        }
    }
}

/// One line for each finding, cut to `width`.
pub(super) fn lines(
    row: Row,
    model: &Model,
    findings: Option<&Findings>,
    theme: Theme,
    width: u16,
) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("offwatch advise", theme.heading())];
    let Some(findings) = findings else {
        let text = "  not evaluated yet: that takes 10 s of samples, more on a large host";
        lines.push(Line::from(text));
        return lines;
    };
    let said = said(row, model, findings);
    if said.is_empty() {
        let interfaces = row.interfaces(model).iter();
        let is_counted = interfaces
            .filter_map(|port| port.ifindex())
            .any(|ifindex| findings.has_counted(ifindex));
        let what = match is_counted {
            true => "nothing found",
            false => "nothing to tell: no frames were counted",
        };
        let seconds = findings.seconds;
        lines.push(Line::from(format!(
            "  {what} in a window of {seconds:.0} s"
        )));
        return lines;
    }
    for advice in said {
        let text = plain(&format!("  {}: {}", advice.rule, advice.finding));
        let style = match advice.verdict.is_finding() {
            true => theme.work(),
            false => theme.faint(),
        };
        lines.push(Line::styled(cut(text, usize::from(width)), style));
    }
    lines.push(Line::from("  more: offwatch advise explain RULE"));
    lines
}

/// As many words as there is room for.
fn cut(text: String, width: usize) -> String {
    const MORE: &str = " ...";
    if text.chars().count() <= width {
        return text;
    }
    let room = width.saturating_sub(MORE.len());
    let head: String = text.chars().take(room + 1).collect();
    let words = head.rsplit_once(' ').map_or(&*head, |(words, _)| words);
    format!("{words}{MORE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_a_whole_word() {
        let text = || "one two three".to_owned();
        assert_eq!(cut(text(), 13), "one two three");
        assert_eq!(cut(text(), 12), "one two ...");
        assert_eq!(cut(text(), 11), "one two ...");
        assert_eq!(cut(text(), 10), "one ...");
    }
}
