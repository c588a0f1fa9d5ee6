//! What keys ask for.

use super::*;

#[test]
fn keys_ask_and_are_answered() {
    let mut app = App::new(80, 24);
    assert_eq!(app.keys("q"), Action::Quit);
    let control = |char| KeyEvent::new(KeyCode::Char(char), KeyModifiers::CONTROL);
    assert_eq!(app.key(control('c')), Action::Quit);
    assert_eq!(app.key(control('z')), Action::Suspend);
    assert_eq!(app.key(control('l')), Action::Refresh);
    assert_eq!(app.keys(" "), Action::Refresh);
    assert_eq!(app.keys("p"), Action::None);
    assert!(app.state.source.paused && app.screen()[3].starts_with("paused"));
    app.keys("x");
    assert_eq!(app.screen()[3], UNKNOWN);
    app.keys(".");
    assert!(app.screen()[3].contains("--replay"));
    app.keys("h");
    assert!(app.screen()[0].starts_with("offwatch top: keys"));
    app.keys("x");
    assert!(app.screen()[0].starts_with("offwatch 10:00:02 - kvm1"));
}

#[test]
fn esc_and_a_key_at_once_are_two_keys() {
    let mut app = App::new(80, 24);
    app.keys("j");
    app.key(KeyEvent::new(KeyCode::Char('h'), KeyModifiers::ALT));
    assert_eq!(app.selected(), None);
    assert!(matches!(app.state.overlay, Some(Overlay::Help(0))));
}

#[test]
fn an_interval_is_asked_for() {
    let mut app = App::new(80, 24);
    app.keys("s");
    assert_eq!(app.screen()[3], "Change delay from 3.0 to:");
    app.keys("0.5");
    let asked = app.key(KeyCode::Enter);
    assert_eq!(
        asked,
        Action::Ask(Command::Interval(Duration::from_millis(500)))
    );
    for (typed, words) in [("d-1", "must be from"), ("dsoon", "not a number")] {
        app.keys(typed);
        assert_eq!(app.key(KeyCode::Enter), Action::None, "{typed}");
        assert!(app.screen()[3].contains(words), "{typed}");
    }
    assert_eq!(app.state.source.interval, Duration::from_millis(500));
}

#[test]
fn a_recording_is_played_by_keys() {
    let mut app = App::of_recording(80, 24);
    assert_eq!(app.keys("p"), Action::Ask(Command::Play(false)));
    assert_eq!(app.keys("p"), Action::Ask(Command::Play(true)));
    assert_eq!(app.keys("."), Action::Ask(Command::Step(1)));
    assert!(app.state.source.paused, "a step holds");
    assert_eq!(app.keys(","), Action::Ask(Command::Step(-1)));
    assert_eq!(app.keys("]"), Action::Ask(Command::Speed(2.0)));
    assert_eq!(app.keys("[["), Action::Ask(Command::Speed(0.5)));
    // It shows 10:00:02.
    for (typed, to) in [
        ("09:30", 34_200_000),
        ("23:59:59", 86_399_000),
        ("+90", 36_092_000),
        ("-2", 36_000_000),
        ("-99999", 0),
    ] {
        app.keys("J");
        app.keys(typed);
        let asked = app.key(KeyCode::Enter);
        assert_eq!(asked, Action::Ask(Command::Jump(to)), "{typed}");
    }
    for wrong in ["noon", "24:00", "1:60", "1:2:3:4", "+x", "5"] {
        app.keys("J");
        app.keys(wrong);
        assert_eq!(app.key(KeyCode::Enter), Action::None, "{wrong}");
        assert!(app.screen()[3].contains("HH:MM:SS"), "{wrong}");
    }
    app.keys("s");
    assert!(app.screen()[3].contains("a recording has its own interval"));
}

#[test]
fn an_order_is_chosen_from_a_menu() {
    let mut app = App::new(80, 24);
    app.keys("F");
    assert_eq!(app.screen()[7], "  2 * %CPU (key: P)");
    app.key(KeyCode::Down);
    app.key(KeyCode::Down);
    app.key(KeyCode::Up);
    app.key(KeyCode::Enter);
    assert_eq!(app.state.order.key, Key::Memory);
    app.keys("Fa");
    assert_eq!(app.state.order.key, Key::SoftwareSegments);
    app.keys("F");
    app.key(KeyCode::Esc);
    assert_eq!(app.state.order.key, Key::SoftwareSegments, "Esc leaves it");
    for (key, order) in [
        ("P", Key::Cpu),
        ("M", Key::Memory),
        ("T", Key::Time),
        ("N", Key::Id),
    ] {
        app.keys("r");
        app.keys(key);
        assert_eq!(app.state.order.key, order);
        assert!(!app.state.order.is_reversed);
    }
}

#[test]
fn a_mouse_scrolls_and_selects() {
    let mut app = App::new(80, 24);
    app.mouse(MouseEventKind::Down(MouseButton::Left), 8);
    assert_eq!(app.selected().as_deref(), Some("Vm(\"web\")"));
    app.mouse(MouseEventKind::ScrollDown, 0);
    assert_eq!(app.state.cursor, 6);
    app.mouse(MouseEventKind::Down(MouseButton::Left), 2);
    assert_eq!(app.state.cursor, 6, "there is no row");
}

#[test]
fn before_the_first_sample_there_are_keys_already() {
    let mut app = App::empty(80, 24);
    assert!(app.screen()[0].contains("waiting for the first sample"));
    app.keys("jr/");
    app.key(KeyCode::Esc);
    app.key(KeyCode::Enter);
    app.key(KeyCode::End);
    assert_eq!(app.keys("q"), Action::Quit);
}
