//! Colours and symbols that the terminal has.

use std::env;

use ratatui::{
    style::{Color, Modifier, Style},
    symbols,
};

use crate::cli::Color as Choice;

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Theme {
    pub(super) colour: bool,
    /// Whether there are more than ASCII's characters.
    pub(super) unicode: bool,
}

impl Theme {
    /// What the user wants, else what the environment tells of the terminal.
    pub(super) fn new(choice: Choice) -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        // The first that is set holds, as for the C library.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let locale = locale.unwrap_or_default().to_lowercase();
        Self {
            colour: match choice {
                Choice::Always => true,
                Choice::Never => false,
                Choice::Auto => set("NO_COLOR").is_none(),
            },
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    fn coloured(self, style: Style, colour: Color) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }

    pub(super) fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn heading(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Cyan)
    }

    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Work that offloads would save.
    pub(super) fn work(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Yellow)
    }

    /// What should not happen.
    pub(super) fn bad(self) -> Style {
        self.coloured(Style::new().add_modifier(Modifier::BOLD), Color::Red)
    }

    pub(super) fn received(self) -> Style {
        self.coloured(Style::new(), Color::Green)
    }

    pub(super) fn sent(self) -> Style {
        self.coloured(Style::new(), Color::Blue)
    }

    /// Heights of a sparkline.
    pub(super) fn sparkline(self) -> symbols::bar::Set<'static> {
        if self.unicode {
            return symbols::bar::NINE_LEVELS;
        }
        symbols::bar::Set {
            full: "#",
            seven_eighths: "#",
            three_quarters: "*",
            five_eighths: "+",
            half: "=",
            three_eighths: "-",
            one_quarter: ":",
            one_eighth: ".",
            empty: " ",
        }
    }

    /// A bar of `share` of `width` cells. Anything above 0 is visible.
    pub(super) fn bar(self, share: f64, width: u16) -> String {
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let eighths = (share.clamp(0.0, 1.0) * f64::from(width) * 8.0).round() as usize;
        if !self.unicode {
            return "#".repeat((eighths / 8).max(usize::from(share > 0.0)));
        }
        let eighths = eighths.max(usize::from(share > 0.0));
        "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_their_length() {
        let theme = |unicode| Theme {
            colour: false,
            unicode,
        };
        assert_eq!(theme(true).bar(1.0, 4), "████");
        assert_eq!(theme(true).bar(0.375, 4), "█▌");
        assert_eq!(theme(true).bar(1e-9, 4), "▏");
        assert_eq!(theme(true).bar(0.0, 4), "");
        assert_eq!(theme(false).bar(0.5, 4), "##");
        assert_eq!(theme(false).bar(1e-9, 4), "#");
    }
}
