//! The page of a VM.

use super::*;

#[test]
fn a_page_shows_one_vm() {
    let mut app = App::new(80, 60);
    app.keys("jj");
    app.key(KeyCode::Enter);
    let page = app.screen().join("\n");
    for words in [
        "db - running",
        "t1",
        "t2",
        "RX bit/s 4.01G",
        "1280-1535 100 %",
        "65536 or more 100 %",
        "for frames to it: none",
    ] {
        assert!(page.contains(words), "no '{words}' in\n{page}");
    }
    assert!(!page.contains("web"), "{page}");
    app.key(KeyCode::Esc);
    assert_eq!(app.rows().len(), 7);
}

#[test]
fn what_is_not_known_is_not_shown_as_none() {
    let mut app = App::new(80, 60);
    app.model = Some(first_model());
    app.keys("j");
    app.key(KeyCode::Enter);
    let page = app.screen().join("\n");
    assert!(page.contains("not known"), "{page}");
    assert!(!page.contains("none in this interval"), "{page}");
}

#[test]
fn a_page_scrolls_as_far_as_it_goes() {
    let mut app = App::new(80, 16);
    app.keys("j");
    app.key(KeyCode::Enter);
    let top = app.screen();
    app.key(KeyCode::End);
    let end = app.screen();
    assert_ne!(top[4], end[4]);
    assert!(end[14].contains("CORE%"), "{end:?}");
    app.key(KeyCode::Up);
    assert_ne!(app.screen(), end, "one line up is visible");
    app.key(KeyCode::Home);
    assert_eq!(app.screen(), top);
}

#[test]
fn the_page_of_a_vm_that_is_gone_closes() {
    let mut app = App::new(80, 24);
    app.keys("j");
    app.key(KeyCode::Enter);
    app.model = Some(model(&VMS[..1]));
    app.screen();
    assert!(matches!(app.state.page, Page::List));
}
