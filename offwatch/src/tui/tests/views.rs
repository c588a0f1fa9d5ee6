//! virt-top's views.

use super::*;

#[test]
fn views_are_those_of_virt_top() {
    let pcpus = |wanted| Action::Ask(Command::WantPcpus(wanted));
    let mut app = App::new(80, 24);
    assert_eq!(app.keys("0"), Action::None);
    let screen = app.screen();
    assert!(screen[0].starts_with("virt-top 10:00:02 - "), "{screen:?}");
    assert_eq!(
        screen[1],
        "4 domains, 3 active, 3 running, 0 sleeping, 0 paused, 1 inactive D:0 O:0 X:0"
    );
    assert_eq!(
        screen[4],
        "   ID S RDRQ WRRQ RXBY TXBY %CPU %MEM    TIME   NAME"
    );
    assert_eq!(
        screen[5],
        "    3 R   30    0 3000    0 30.0        0:00.60 mail"
    );
    assert_eq!(
        screen[8],
        "    -                                           (gpu)"
    );
    app.keys("B");
    assert!(app.screen()[4].contains("RDBY WRBY"));
    assert_eq!(app.keys("1"), pcpus(true));
    assert!(app.screen()[4].starts_with("PHYCPU %CPU"));
    assert_eq!(app.keys("2"), pcpus(false));
    assert_eq!(
        app.screen()[5],
        "    3 R 3000    0    0    0 mail         card3"
    );
    app.keys("3");
    assert_eq!(
        app.screen()[5],
        "    3 R    0    0   30    0 mail         vda"
    );
    for key in ["3", "4", "4", "2", "2"] {
        app.keys(key);
    }
    assert_eq!(
        app.state.display,
        Display::VirtTop(VirtTop::Domains),
        "pressed again"
    );
    assert_eq!((app.keys("1"), app.keys("1")), (pcpus(true), pcpus(false)));
}

#[test]
fn rows_of_every_view_are_selected_searched_and_opened() {
    for view in ["0", "2", "3"] {
        let mut app = App::new(80, 24);
        app.keys(view);
        app.keys("N");
        app.keys("jj");
        let vm = app.selected().unwrap_or_default();
        assert!(vm.contains("\"db\""), "view {view}: {vm}");
        app.keys("r");
        app.screen();
        assert_eq!(app.state.cursor, 1, "view {view}: it is still the second");
        app.key(KeyCode::Enter);
        assert!(app.screen()[4].starts_with("db - running"), "view {view}");
        app.key(KeyCode::Esc);
        app.keys("/t3");
        app.key(KeyCode::Enter);
        let screen = app.screen();
        assert!(
            screen[5].contains("mail") && screen[6].is_empty(),
            "{screen:?}"
        );
        assert_eq!(screen[3], "1 of 4 VMs match 't3' - reversed");
    }
}

#[test]
fn a_wide_view_of_vms_shows_offloads_beside_them() {
    let mut app = App::new(160, 24);
    app.keys("0");
    let screen = app.screen();
    assert!(screen[4].contains("NAME") && screen[4].contains("RXbit/s"));
    let web = screen.iter().find(|line| line.contains(" web ")).cloned();
    assert!(
        web.is_some_and(|web| web.contains("1.00G       0    100")),
        "{screen:?}"
    );
    app.size = (80, 24);
    assert!(!app.screen()[4].contains("RXbit/s"));
}

#[test]
fn a_vm_without_figures_has_a_reason() {
    let mut app = App::new(80, 24);
    app.keys("0");
    app.key(KeyCode::End);
    assert_eq!(app.last_line(), "gpu: it does not run");
}
