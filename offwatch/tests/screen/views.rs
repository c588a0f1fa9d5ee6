//! Every key and view.

use super::{
    HOUR, recording, replay,
    tmux::{self, Tmux},
};

/// Every view at one size.
fn every_view(width: u16, height: u16) {
    if !tmux::is_there() {
        return;
    }
    let golden = |name: &str| format!("{width}x{height}/{name}");
    let terminal = replay(width, height, 8, "");
    let shows = |keys: &str, name: &str| {
        terminal.text(keys);
        terminal.expect(&golden(name));
    };
    shows("", "domains");
    shows("B", "domains-block-in-bytes");
    shows("BM", "domains-by-memory");
    shows("T", "domains-by-time");
    shows("N", "domains-by-id");
    shows("r", "domains-by-id-reversed");
    shows("rF", "order-menu");
    shows("5", "domains-by-received");
    shows("P", "domains");
    shows("1", "cpus");
    shows("1", "domains");
    shows("2", "cards");
    shows("F6", "cards-by-sent");
    shows("2", "domains-by-sent");
    shows("3", "disks");
    shows("0P", "domains");

    shows("4", "offloads");
    terminal.keys(&["Right", "Right", "Right"]);
    terminal.expect(&golden("offloads-columns"));
    terminal.keys(&["Left", "Left", "Left"]);
    shows("u", "offloads-bytes");
    shows("uFa", "offloads-by-software-segmentation");
    shows("r", "offloads-reversed");
    shows("P/v*3", "search");
    terminal.keys(&["Enter"]);
    terminal.expect(&golden("found"));
    terminal.keys(&["Escape"]);
    terminal.expect(&golden("offloads"));

    terminal.text("jjjjj");
    terminal.keys(&["Enter"]);
    terminal.expect(&golden("page"));
    terminal.keys(&["End"]);
    terminal.expect(&golden("page-end"));
    // A key right after Esc would be read as one key with it.
    terminal.keys(&["Escape"]);
    terminal.wait_for("VM  ");
    terminal.keys(&["End"]);
    terminal.expect(&golden("offloads-last-row"));
    terminal.keys(&["Enter"]);
    terminal.expect(&golden("page-of-a-tap"));
    terminal.text("0");
    terminal.keys(&["PageDown"]);
    terminal.expect(&golden("domains-last-row"));
    terminal.keys(&["Escape"]);
    terminal.expect(&golden("domains"));

    shows("h", "help");
    terminal.keys(&["PageDown"]);
    terminal.expect(&golden("help-end"));
    terminal.text("x");
    terminal.expect(&golden("domains"));
    shows("x", "unknown-key");
    terminal.text("o");
    terminal.wait_for("offwatch itself: measured");
    terminal.text("o");
    terminal.expect(&golden("domains"));
}

#[test]
fn every_view_at_80x24() {
    every_view(80, 24);
}

#[test]
fn every_view_at_200x50() {
    every_view(200, 50);
}

#[test]
fn findings_are_marked_and_told() {
    if !tmux::is_there() {
        return;
    }
    // Ten seconds and one by the clock of the samples.
    let terminal = replay(80, 24, 12, "");
    terminal.text("4");
    terminal.expect("80x24/offloads-findings");
    terminal.text("/legacy");
    terminal.keys(&["Enter"]);
    terminal.text("j");
    terminal.keys(&["Enter"]);
    terminal.expect("80x24/page-findings");
}

#[test]
fn a_resized_terminal_is_filled() {
    if !tmux::is_there() {
        return;
    }
    let terminal = replay(80, 24, 2, "");
    terminal.resize(140, 30);
    terminal.wait_for("RXbit/s");
    terminal.resize(100, 30);
    terminal.wait("its last line", |screen| {
        screen.lines().count() == 30 && screen.contains("q: quit")
    });
    terminal.resize(39, 10);
    terminal.wait_for("39x10: needs 40x9");
    terminal.resize(40, 9);
    terminal.wait_for("sample 2 of 2");
    terminal.resize(80, 24);
    terminal.wait("as before", |screen| {
        screen.lines().count() == 24 && screen.contains("q: quit")
    });
}

#[test]
fn colours_are_those_that_are_wanted() {
    if !tmux::is_there() {
        return;
    }
    // A foreground colour; bold and reverse are none.
    let is_coloured = |terminal: &Tmux| terminal.coloured_screen().contains("38;5;");
    assert!(is_coloured(&replay(80, 24, 2, "")));
    assert!(!is_coloured(&replay(80, 24, 2, "--color never")));
    for (options, coloured) in [("", false), ("--color always", true)] {
        let script = format!("NO_COLOR=1 \"$BIN\" top --replay recording {options}");
        let terminal = Tmux::new();
        recording::record(&terminal.path("recording"), 2, HOUR);
        terminal.run(80, 24, &script);
        terminal.wait_for("sample 1 of 2");
        assert_eq!(is_coloured(&terminal), coloured, "NO_COLOR {options}");
    }
}

#[test]
fn what_is_chosen_is_written_and_read_again() {
    if !tmux::is_there() {
        return;
    }
    let terminal = replay(80, 24, 2, "");
    terminal.text("4FarW");
    terminal.wait_for("Wrote settings to ");
    let written = std::fs::read_to_string(terminal.path(".virt-toprc")).expect("written");
    for line in ["display offload\n", "sort swseg\n", "reverse true\n"] {
        assert!(written.contains(line), "no {line} in {written}");
    }
    let again = Tmux::new();
    recording::record(&again.path("recording"), 2, HOUR);
    std::fs::write(again.path(".virt-toprc"), &written).expect("written");
    again.run(80, 24, "\"$BIN\" top --replay recording");
    again.wait("the view that was chosen", |screen| {
        screen.contains("SWSEG/s") && screen.contains("playing - reversed")
    });
}

#[test]
fn keys_are_ignored_on_demand() {
    if !tmux::is_there() {
        return;
    }
    let terminal = Tmux::new();
    recording::record(&terminal.path("recording"), 2, HOUR);
    terminal.run(80, 24, "\"$BIN\" top -b --replay recording; echo END; cat");
    terminal.wait_for("sample 1 of 2 - playing");
    terminal.text("4h.q");
    terminal.resize(100, 30);
    let screen = terminal.wait("its last line", |screen| screen.lines().count() == 30);
    assert!(screen.contains("sample 1 of 2 - playing"), "{screen}");
    assert!(screen.contains("%CPU %MEM"), "{screen}");
    terminal.keys(&["C-c"]);
    terminal.wait_for("END");
}
