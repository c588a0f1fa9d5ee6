//! Rows, columns and what is searched in them.

use super::*;

#[test]
fn vms_come_by_rate_each_before_its_cards() {
    let mut app = App::new(80, 24);
    let expected = [
        "db           (2 cards)",
        "             t2",
        "             t1",
        "web          t0",
        "mail         t3",
        "gpu          vfio",
        "(bridge)     br0",
    ];
    assert_eq!(app.rows(), expected);
    app.keys("r");
    assert_eq!(app.rows()[..2], ["mail         t3", "web          t0"]);
    assert_eq!(app.rows()[5], "gpu          vfio", "no value is still last");
    app.keys("rF1");
    assert_eq!(app.state.order.key, Key::Name);
    assert_eq!(app.rows()[0], "db           (2 cards)");
    assert_eq!(app.rows()[3], "mail         t3");
    assert_eq!(app.rows()[5], "gpu          vfio", "it does not run");
}

#[test]
fn numbers_stand_in_their_columns() {
    let screen = App::new(80, 24).screen();
    let row = |start: &str| screen.iter().find(|line| line.starts_with(start)).cloned();
    assert_eq!(
        row("VM ").as_deref(),
        Some("VM           DEV        ! RXbit/s TXbit/s RXgso% TXgso% SWSEG/s SWCSUM/s DROP/s")
    );
    assert_eq!(
        row("web").as_deref(),
        Some("web          t0             1.00G       0    100      -       0        0      0")
    );
    assert_eq!(
        row("gpu").as_deref(),
        Some("gpu          vfio               -       -      -      -       -        -      -")
    );
}

#[test]
fn columns_scroll_and_units_change() {
    let mut app = App::new(80, 24);
    app.key(KeyCode::Right);
    app.keys("u");
    let heading = app.screen()[4].clone();
    assert!(heading.contains("DEV        !   TXB/s RXgso%"), "{heading}");
    for _ in 0..50 {
        app.key(KeyCode::Right);
    }
    let heading = app.screen()[4].clone();
    assert!(heading.ends_with("TXseg OFFLOADS"), "{heading}");
    app.key(KeyCode::Left);
    let heading = app.screen()[4].clone();
    assert!(
        !heading.ends_with("OFFLOADS"),
        "one step back is visible: {heading}"
    );
}

#[test]
fn the_selection_stays_on_its_row() {
    let mut app = App::new(80, 24);
    app.keys("j");
    assert_eq!(app.selected().as_deref(), Some("Vm(\"db\")"));
    app.keys("jjj");
    assert_eq!(app.selected().as_deref(), Some("Vm(\"web\")"));
    app.keys("r");
    app.screen();
    assert_eq!(app.state.cursor, 1, "it moved with its row");
    app.key(KeyCode::End);
    assert_eq!(app.selected().as_deref(), Some("Other(Some(1))"));
    app.key(KeyCode::Home);
    assert_eq!(app.selected().as_deref(), Some("Vm(\"mail\")"));
    // It is gone, and the row in its place is selected.
    app.model = Some(model(&VMS[..2]));
    app.screen();
    assert_eq!(app.selected().as_deref(), Some("Vm(\"web\")"));
    app.key(KeyCode::Esc);
    assert_eq!(app.selected(), None);
}

#[test]
fn a_small_screen_scrolls() {
    let mut app = App::new(80, 9);
    assert_eq!(app.rows().len(), 3);
    app.key(KeyCode::PageDown);
    app.screen();
    assert_eq!((app.state.cursor, app.state.top), (3, 1));
    app.key(KeyCode::End);
    assert_eq!(
        app.rows().last().map(String::as_str),
        Some("(bridge)     br0")
    );
    app.size = (80, 24);
    assert_eq!(app.rows().len(), 7, "a larger screen shows all again");
}

#[test]
fn a_search_is_for_vms_interfaces_and_bridges() {
    let mut app = App::new(80, 24);
    app.keys("/WE");
    assert_eq!(app.rows(), ["web          t0"], "while it is typed");
    assert!(app.screen()[3].starts_with("Search: WE"));
    app.key(KeyCode::Enter);
    assert!(app.screen()[3].starts_with("1 of 4 VMs match 'WE'"));
    app.key(KeyCode::Esc);
    assert_eq!(app.rows().len(), 7);

    app.keys("/t?");
    assert_eq!(app.rows().len(), 5, "a glob: {:?}", app.rows());
    app.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
    app.keys("t2");
    let cards = ["db           (2 cards)", "             t2"];
    assert_eq!(app.rows(), cards);
    app.key(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
    app.keys("br0");
    assert_eq!(app.rows().len(), 6, "the bridge and what is on it");
    app.key(KeyCode::Backspace);
    app.keys("[");
    assert_eq!(app.rows().len(), 0, "no valid glob is taken as it is");
    app.key(KeyCode::Esc);
    assert_eq!(app.rows().len(), 7);
}

#[test]
fn what_is_missing_has_its_reason() {
    let mut app = App::new(80, 24);
    app.keys("/gpu");
    app.key(KeyCode::Enter);
    app.keys("j");
    assert_eq!(app.last_line(), "vfio: the device belongs to the guest");
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    for (width, height) in [(39, 24), (80, 8), (1, 1)] {
        let mut app = App::new(width, height);
        let lines = app.screen();
        let text = format!("{width}x{height}: needs 40x9");
        assert!(text.starts_with(&lines[0]), "{lines:?}");
        assert!(lines[1..].iter().all(String::is_empty));
        app.keys("jhx/w");
        app.screen();
    }
    assert_eq!(App::new(40, 9).rows().len(), 3);
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let mut app = App::new(80, 24);
    app.model = Some(model(&[("a\u{1b}[2J", &[("t0", 1)])]));
    assert_eq!(app.rows()[0], "a?[2J        t0");
}
