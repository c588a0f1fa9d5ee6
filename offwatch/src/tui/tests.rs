//! Keys, rows and frames, without a terminal.

use std::{sync::Arc, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::tz::TimeZone;
use offwatch_common::Slot;
use ratatui::{Terminal, backend::TestBackend};

use super::{
    draw::{self, View},
    history::History,
    keys::{Action, Shown, UNKNOWN, on_key, on_mouse},
    listing::Listing,
    state::{Overlay, Page, State},
    theme::Theme,
};
use crate::{
    feed::Command,
    model::Model,
    output::virt_top::{CpuHistory, View as VirtTop, ViewOptions},
    rank::Key,
    sample::{self, Counters, DiskStats, Kind, Nic, NicStats, Sample, VmStats},
    settings::{Display, Settings},
};

/// VMs with their interfaces and the bytes that each receives, a VM whose card
/// cannot be seen, and a bridge.
fn sample(vms: &[(&str, &[(&str, u64)])], factor: u64) -> Sample {
    let mut sample = Sample {
        time_unix_ms: 36_000_000 + factor * 1000,
        monotonic_ns: factor * 1_000_000_000,
        ..Sample::default()
    };
    sample.host.name = "kvm1".into();
    sample.host.online_cpus = 1;
    sample.host.kernel = "6.18".into();
    let mut add = |dev: &str, kind: Kind, bytes: u64| {
        let mut slot = Box::<Slot>::default();
        slot.egress.kinds[2].bytes = bytes * factor;
        slot.egress.kinds[2].packets = bytes * factor / 1000;
        slot.egress.gso_sizes[9] = bytes * factor / 1000;
        slot.egress.lengths[10] = bytes * factor / 1000;
        let ifindex = sample.interfaces.len() as u32 + 1;
        sample.interfaces.push(sample::Interface {
            dev: dev.into(),
            ifindex,
            master: (kind == Kind::Tap).then_some(1),
            kind,
            counters: Counters::Counted(slot),
            ..sample::Interface::default()
        });
    };
    add("br0", Kind::Bridge, 0);
    for (dev, bytes) in vms.iter().flat_map(|(_, cards)| *cards) {
        add(dev, Kind::Tap, *bytes);
    }
    let vms = vms
        .iter()
        .zip(1_u32..)
        .map(|((name, cards), id)| sample::Vm {
            name: (*name).into(),
            id: Some(id),
            stats: Some(Arc::new(stats(id, factor))),
            state: sample::VmState::Running,
            nics: cards
                .iter()
                .map(|(dev, _)| Nic {
                    dev: Some((*dev).into()),
                    ..Nic::default()
                })
                .collect(),
            ..sample::Vm::default()
        });
    let passthrough = sample::Vm {
        name: "gpu".into(),
        nics: vec![Nic {
            backend: "vfio".into(),
            unobservable: Some("vfio: the device belongs to the guest".into()),
            ..Nic::default()
        }],
        ..sample::Vm::default()
    };
    sample.vms = vms.chain([passthrough]).collect();
    sample
}

/// What libvirt tells of a VM: the more the larger its id.
fn stats(id: u32, factor: u64) -> VmStats {
    let used = u64::from(id) * factor;
    VmStats {
        monotonic_ns: factor * 1_000_000_000,
        start: id.into(),
        cpu_time_ns: Some(used * 100_000_000),
        memory_kib: Some(1024),
        disks: Some(vec![DiskStats {
            name: "vda".into(),
            read_requests: Some(used * 10),
            read_bytes: Some(0),
            write_requests: Some(0),
            write_bytes: Some(0),
        }]),
        nics: Some(vec![NicStats {
            name: format!("card{id}"),
            rx_bytes: Some(used * 1000),
            rx_packets: Some(0),
            tx_bytes: Some(0),
            tx_packets: Some(0),
            ..NicStats::default()
        }]),
        ..VmStats::default()
    }
}

const VMS: &[(&str, &[(&str, u64)])] = &[
    ("web", &[("t0", 125_000_000)]),
    ("db", &[("t1", 1_000_000), ("t2", 500_000_000)]),
    ("mail", &[("t3", 2_000_000)]),
];

/// A screen that is used by keys and looked at.
struct App {
    state: State,
    model: Option<Model>,
    listing: Listing,
    history: History,
    cpu_history: CpuHistory,
    size: (u16, u16),
}

impl App {
    fn new(width: u16, height: u16) -> Self {
        let mut app = Self::empty(width, height);
        app.model = Some(model(VMS));
        if let Some(model) = &app.model {
            app.history.push(model);
        }
        app
    }

    fn empty(width: u16, height: u16) -> Self {
        Self {
            state: State::new(
                &Settings {
                    display: Display::Offload,
                    ..Settings::default()
                },
                false,
            ),
            cpu_history: CpuHistory::new(20),
            model: None,
            listing: Listing::default(),
            history: History::default(),
            size: (width, height),
        }
    }

    fn of_recording(width: u16, height: u16) -> Self {
        let mut app = Self::new(width, height);
        app.state.source.is_replay = true;
        app
    }

    /// Draws, then handles a key.
    fn key(&mut self, key: impl Into<KeyEvent>) -> Action {
        self.screen();
        let listing = &self.listing;
        let zone = &TimeZone::UTC;
        let shown = self.model.as_ref().map(|model| Shown {
            model,
            listing,
            zone,
        });
        on_key(&mut self.state, key.into(), shown.as_ref())
    }

    fn keys(&mut self, text: &str) -> Action {
        let mut last = Action::None;
        for char in text.chars() {
            last = self.key(KeyCode::Char(char));
        }
        last
    }

    fn mouse(&mut self, kind: MouseEventKind, row: u16) {
        self.screen();
        let listing = &self.listing;
        let zone = &TimeZone::UTC;
        let shown = self.model.as_ref().map(|model| Shown {
            model,
            listing,
            zone,
        });
        let event = MouseEvent {
            kind,
            column: 0,
            row,
            modifiers: KeyModifiers::NONE,
        };
        on_mouse(&mut self.state, event, shown.as_ref());
    }

    /// The lines of the screen, without trailing spaces.
    fn screen(&mut self) -> Vec<String> {
        let (width, height) = self.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("in memory");
        if let Some(model) = &self.model {
            let search = self.state.search.as_ref();
            let order = self.state.order;
            self.listing = match self.state.display {
                Display::Offload => Listing::of_offloads(model, order, search),
                Display::VirtTop(view) => {
                    let options = ViewOptions {
                        order,
                        block_in_bytes: self.state.block_in_bytes,
                        zone: TimeZone::UTC,
                    };
                    Listing::of_view(view, model, &self.cpu_history, &options, search)
                }
            };
        }
        let view = View {
            model: self.model.as_ref(),
            listing: &self.listing,
            history: &self.history,
            held: 0,
            position: None,
            own_cost: None,
            theme: Theme {
                colour: true,
                unicode: true,
            },
            zone: &TimeZone::UTC,
        };
        let drawn = terminal.draw(|frame| {
            draw::fit(&mut self.state, &view, frame.area());
            draw::draw(&self.state, &view, frame.buffer_mut());
        });
        let buffer = drawn.expect("in memory").buffer;
        let lines = buffer.content.chunks(usize::from(width)).map(|line| {
            let line: String = line.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned()
        });
        lines.collect()
    }

    /// The names of the rows, VM and interface.
    fn rows(&mut self) -> Vec<String> {
        let screen = self.screen();
        let rows = screen[5..screen.len() - 1].iter();
        let rows = rows.filter(|row| !row.is_empty());
        rows.map(|row| {
            row.chars()
                .take(23)
                .collect::<String>()
                .trim_end()
                .to_owned()
        })
        .collect()
    }

    fn selected(&self) -> Option<String> {
        self.state.selected.as_ref().map(|key| format!("{key:?}"))
    }

    fn last_line(&mut self) -> String {
        self.screen().pop().unwrap_or_default()
    }
}

fn model(vms: &[(&str, &[(&str, u64)])]) -> Model {
    Model::new(
        &sample(vms, 2),
        Some((&sample(vms, 1), Duration::from_secs(1))),
    )
}

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
        Some("VM           DEV        RXbit/s TXbit/s RXgso% TXgso% SWSEG/s SWCSUM/s DROP/s")
    );
    assert_eq!(
        row("web").as_deref(),
        Some("web          t0           1.00G       0    100      -       0        0      0")
    );
    assert_eq!(
        row("gpu").as_deref(),
        Some("gpu          vfio             -       -      -      -       -        -      -")
    );
}

#[test]
fn columns_scroll_and_units_change() {
    let mut app = App::new(80, 24);
    app.key(KeyCode::Right);
    app.keys("u");
    let heading = app.screen()[4].clone();
    assert!(heading.contains("DEV          TXB/s RXgso%"), "{heading}");
    for _ in 0..50 {
        app.key(KeyCode::Right);
    }
    let heading = app.screen()[4].clone();
    assert!(heading.ends_with("RXseg  TXseg"), "{heading}");
    app.key(KeyCode::Left);
    let heading = app.screen()[4].clone();
    assert!(
        !heading.ends_with("TXseg"),
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

#[test]
fn what_is_missing_has_its_reason() {
    let mut app = App::new(80, 24);
    app.keys("/gpu");
    app.key(KeyCode::Enter);
    app.keys("j");
    assert_eq!(app.last_line(), "vfio: the device belongs to the guest");
}

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
fn before_the_first_sample_there_are_keys_already() {
    let mut app = App::empty(80, 24);
    assert!(app.screen()[0].contains("waiting for the first sample"));
    app.keys("jr/");
    app.key(KeyCode::Esc);
    app.key(KeyCode::Enter);
    app.key(KeyCode::End);
    assert_eq!(app.keys("q"), Action::Quit);
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let mut app = App::new(80, 24);
    app.model = Some(model(&[("a\u{1b}[2J", &[("t0", 1)])]));
    assert_eq!(app.rows()[0], "a?[2J        t0");
}
