//! What `advise` would say.

use super::*;
use crate::{
    advise::{Findings, Window, catalogue, testing::Scene},
    model::Model,
    sample::Kind,
};

/// A screen of three VMs, of which one needs a change.
fn app(is_evaluated: bool) -> App {
    let (before, mut after) = Scene::of_three(12).samples();
    // Beside them a tap of nobody.
    after
        .interfaces
        .push(std::sync::Arc::new(crate::sample::Interface {
            dev: "tap9".into(),
            ifindex: 99,
            kind: Kind::Tap,
            ..Default::default()
        }));
    let mut app = App::new(80, 60);
    app.findings =
        is_evaluated.then(|| Findings::of(&Window::new(&before, &after), &catalogue::rules()));
    app.model = Some(Model::new(&after, Some((&before, Duration::from_secs(12)))));
    app
}

fn page(mut app: App, vm: &str) -> String {
    app.keys(&format!("/{vm}"));
    app.key(KeyCode::Enter);
    app.keys("j");
    app.key(KeyCode::Enter);
    app.screen().join("\n")
}

/// The names of marked rows.
fn marked(app: &mut App) -> Vec<String> {
    let rows = app.screen().split_off(5).into_iter();
    let rows = rows.filter(|row| row.chars().nth(24) == Some('!'));
    rows.map(|row| row[..23].trim_end().to_owned()).collect()
}

#[test]
fn a_vm_with_a_finding_is_marked() {
    assert_eq!(marked(&mut app(true)), ["legacy       vnet0"]);
    assert!(marked(&mut app(false)).is_empty());
}

#[test]
fn a_page_tells_findings_or_why_there_is_none() {
    for (is_evaluated, vm, words) in [
        (true, "legacy", "  tap-no-tso: the host cuts "),
        (true, "legacy", "  more: offwatch advise explain RULE"),
        (true, "web", "  nothing found in a window of 12 s"),
        (true, "idle", "no frames were counted in a window of 12 s"),
        (true, "tap9", "no frames were counted in a window of 12 s"),
        (false, "legacy", "  not evaluated yet"),
        (false, "tap9", "  not evaluated yet"),
    ] {
        let page = page(app(is_evaluated), vm);
        assert!(page.contains(words), "{vm}: no '{words}' in\n{page}");
    }
    let page = page(app(true), "legacy");
    let row = page
        .lines()
        .find(|line| line.contains("vnet0"))
        .expect("its row");
    assert_eq!(row.chars().nth(24), Some('!'), "{row}");
}
