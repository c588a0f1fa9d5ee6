//! What is known of an interface beside its frames, as lines of a page.

use ratatui::text::{Line, Span};

use super::offloads::{name, told};
use crate::{
    model::{Accepted, Guest, Interface, Offloads},
    text::plain,
    tui::theme::Theme,
};

/// Where the values of a line begin.
const LABEL_WIDTH: usize = 20;

/// The offload features of an interface, its tap and its limits.
pub(super) fn lines(interface: &Interface, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let title = format!("offloads of {}", plain(name(interface)));
    let mut lines = vec![Line::styled(title, theme.heading())];
    match &interface.facts.offloads {
        Some(offloads) => lines.extend(features(offloads, theme, width)),
        // A card without an interface has none, and says why anyway.
        None if interface.dev.is_none() => return Vec::new(),
        None => lines.extend(
            interface
                .unavailable
                .get("offloads")
                .map(|reason| Line::from(format!("  {}", told(interface, reason)))),
        ),
    }
    let rest = [tap(interface), limits(interface)];
    for (label, value) in rest.into_iter().flatten() {
        let words: Vec<&str> = value.split(' ').collect();
        lines.extend(wrapped(label, &words, theme, width));
    }
    lines
}

fn features(offloads: &Offloads, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let Offloads { active, wanted, .. } = offloads;
    let is_fixed = |name: &&&'static str| offloads.fixed.contains(*name);
    let is_off = |name: &&&'static str| !active.on.contains(*name);
    let accepted = |list: fn(&Accepted) -> &Vec<&'static str>| match &offloads.accepted_by_guest {
        Guest::Negotiated(accepted) => list(accepted).clone(),
        Guest::Absent | Guest::Hidden => Vec::new(),
    };
    let on = active.on.iter().filter(|name| !is_fixed(name));
    let rows: [(&'static str, Vec<&'static str>); 7] = [
        ("on", on.copied().collect()),
        (
            "on, fixed",
            active.on.iter().filter(is_fixed).copied().collect(),
        ),
        (
            "wanted, but off",
            wanted.on.iter().filter(is_off).copied().collect(),
        ),
        ("off", wanted.off.iter().filter(is_off).copied().collect()),
        ("guest accepts", accepted(|guest| &guest.yes)),
        ("guest declines", accepted(|guest| &guest.no)),
        ("guest: not known", accepted(|guest| &guest.unknown)),
    ];
    let rows = rows.into_iter().filter(|(_, names)| !names.is_empty());
    rows.flat_map(|(label, names)| wrapped(label, &names, theme, width))
        .collect()
}

fn tap(interface: &Interface) -> Option<(&'static str, String)> {
    let tap = interface.facts.tap.as_ref()?;
    let header = if tap.vnet_hdr {
        "virtio header"
    } else {
        "no virtio header, so no offload passes"
    };
    Some(("tap", format!("{header}; queues: {}", tap.queues)))
}

fn limits(interface: &Interface) -> Option<(&'static str, String)> {
    let limits = interface.facts.limits.as_ref()?;
    let number = |name: &str, value: Option<u32>| value.map(|value| format!("{name} {value}"));
    let parts = [
        number("gso_max_size", limits.gso_max_size_bytes),
        number("gso_max_segs", limits.gso_max_segs),
        number("gro_max_size", limits.gro_max_size_bytes),
        number("txqueuelen", limits.tx_queue_frames),
        limits
            .qdisc
            .as_ref()
            .map(|qdisc| format!("qdisc {}", plain(qdisc))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(("limits", parts.join(", "))).filter(|_| !parts.is_empty())
}

/// A label, and words beside it on as many lines as they need.
fn wrapped(label: &str, words: &[&str], theme: Theme, width: u16) -> Vec<Line<'static>> {
    let room = usize::from(width).saturating_sub(LABEL_WIDTH);
    let mut texts: Vec<String> = Vec::new();
    for word in words {
        match texts.last_mut() {
            Some(text) if text.len() + 1 + word.len() <= room => {
                text.push(' ');
                text.push_str(word);
            }
            _ => texts.push((*word).to_owned()),
        }
    }
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    let lines = texts.into_iter().zip(labels).map(|(text, label)| {
        let label = format!("  {label:<rest$}", rest = LABEL_WIDTH - 2);
        Line::from(vec![Span::styled(label, theme.faint()), Span::raw(text)])
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_beside_their_label() {
        let theme = Theme {
            colour: false,
            unicode: false,
        };
        let wrap = |words: &[&str]| {
            let lines = wrapped("on", words, theme, 30);
            lines.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(wrap(&["tx", "sg"]), ["  on                tx sg"]);
        assert_eq!(
            wrap(&["12345", "7890", "1", "longer-than-the-line"]),
            [
                "  on                12345 7890",
                "                    1",
                "                    longer-than-the-line"
            ]
        );
    }
}
