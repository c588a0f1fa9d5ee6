//! virt-top's screens and its stream.

use crate::{
    command::{NAMES, Place, golden, text},
    host::{Recorded, SECOND_NS, Used},
};

/// The run of which the screens were made. The first screen is that of the
/// second sample.
const PLAIN: usize = 1;
const KEY_2: usize = 2;
const KEY_3: usize = 3;
const KEY_3_LATER: usize = 4;
const KEY_0: usize = 7;

fn run() -> Recorded {
    const INTERVAL: u64 = 3 * SECOND_NS;
    let cpu = |milliseconds: [u64; 2]| {
        milliseconds.map(|milliseconds| Used {
            cpu_ns: milliseconds * 1_000_000,
            ..Used::default()
        })
    };
    let mut host = Recorded::new("12:40:41", 10_971_352, [6_292_000_000, 5_668_000_000]);
    let [mut web, mut db] = cpu([2_898, 2_922]);
    (web.rx_bytes, web.tx_bytes, db.rx_bytes, db.tx_bytes) = (512, 512, 582, 442);
    host.tick("12:40:46", INTERVAL, [web, db]);
    host.tick("12:40:51", INTERVAL, cpu([2_850, 2_850]));
    host.tick("12:40:55", INTERVAL, cpu([1_902, 1_902]));
    let [web, mut db] = cpu([699, 699]);
    (db.read_bytes, db.read_requests) = (512, 1);
    host.tick("12:40:59", INTERVAL, [web, db]);
    // 20 s after the first: remembered at the top right.
    host.tick("12:41:01", INTERVAL, cpu([1_890, 1_890]));
    host.tick("12:41:02", INTERVAL, cpu([1_603, 1_633]));
    let [mut web, mut db] = cpu([2_946, 2_916]);
    (web.rx_bytes, web.tx_bytes, db.rx_bytes, db.tx_bytes) = (1094, 582, 1374, 1024);
    host.tick("12:41:03", INTERVAL, [web, db]);
    host
}

/// The screens that a command line prints, under both names.
fn screens(args: &[&str]) -> Vec<String> {
    let place = Place::new();
    let recording = run().recording();
    let [one, other] = NAMES.map(|name| text(&place.replay(name, args, &recording).stdout));
    assert_eq!(one, other, "{args:?}");
    let mut screens = Vec::new();
    for line in one.lines() {
        if line.starts_with("virt-top ") {
            screens.push(String::new());
        }
        let screen: &mut String = screens.last_mut().expect("a screen begins with its header");
        screen.push_str(line);
        screen.push('\n');
    }
    // An empty line is between two.
    let end = screens.len() - 1;
    for screen in &mut screens[..end] {
        assert_eq!(screen.pop(), Some('\n'));
    }
    screens
}

#[test]
fn plain() {
    for args in [&[][..], &["-b"]] {
        let screens = screens(args);
        assert_eq!(screens.len(), 8);
        assert_eq!(screens[PLAIN], golden("plain.txt"));
    }
}

#[test]
fn a_first_screen_has_no_figures_of_an_interval() {
    let first = &screens(&[])[0];
    let row = first.lines().find(|line| line.ends_with("vm-web01"));
    assert_eq!(
        row,
        Some("    1 R                           2.0   0:06.29 vm-web01"),
        "{first}"
    );
    // Devices are shown from the second sample on.
    for view in ["-2", "-3"] {
        assert_eq!(screens(&[view])[0].lines().count(), 5, "{view}");
    }
}

#[test]
fn bytes_of_disks() {
    let screens = screens(&["--block-in-bytes"]);
    assert_eq!(screens[KEY_0], golden("key0.txt"));
    // 0 is the view that there is without a key.
}

#[test]
fn network_cards() {
    assert_eq!(screens(&["-2"])[KEY_2], golden("key2.txt"));
}

#[test]
fn disks() {
    for args in [&["-3"][..], &["-3", "--block-in-bytes"]] {
        let screens = screens(args);
        assert_eq!(screens[KEY_3], golden("key3.txt"));
        assert_eq!(screens[KEY_3_LATER], golden("key3_B.txt"));
    }
}

/// The names of a view of VMs in their order.
fn order(args: &[&str], screen: usize) -> Vec<String> {
    let screens = screens(args);
    let rows = screens[screen].lines().skip(5);
    rows.filter_map(|row| row.split_whitespace().last().map(str::to_owned))
        .collect()
}

#[test]
fn orders() {
    const WEB_FIRST: [&str; 3] = ["vm-web01", "vm,db02", "(off-vm)"];
    const DB_FIRST: [&str; 3] = ["vm,db02", "vm-web01", "(off-vm)"];
    for (args, screen, expected) in [
        (&["-o", "cpu"][..], KEY_0, WEB_FIRST),
        (&["-o", "processor"], PLAIN, DB_FIRST),
        // Both have as much: by name.
        (&["-o", "mem"], KEY_0, DB_FIRST),
        (&["-o", "memory"], KEY_0, DB_FIRST),
        (&["-o", "time"], PLAIN, WEB_FIRST),
        (&["-o", "id"], PLAIN, WEB_FIRST),
        (&["-o", "name"], KEY_0, DB_FIRST),
        (&["-o", "netrx"], PLAIN, DB_FIRST),
        (&["-o", "nettx"], PLAIN, WEB_FIRST),
        (&["-o", "nettx", "--block-in-bytes"], PLAIN, WEB_FIRST),
        (&["-o", "blockrdrq"], KEY_3_LATER, DB_FIRST),
        (&["-o", "blockwrrq"], KEY_3_LATER, DB_FIRST),
        // Inactive ones stay last.
        (&["-o", "nettx", "--reverse"], PLAIN, DB_FIRST),
        (&["-o", "id", "-r"], PLAIN, DB_FIRST),
    ] {
        assert_eq!(order(args, screen), expected, "{args:?}");
    }
    let interfaces = |args: &[&str]| order(args, PLAIN);
    assert_eq!(interfaces(&["-2"]), ["vnet1", "vnet0"], "by bytes received");
    assert_eq!(interfaces(&["-2", "-o", "nettx"]), ["vnet0", "vnet1"]);
}

#[test]
fn the_order_of_bytes_keeps_its_columns() {
    let heading = |args: &[&str]| screens(args)[PLAIN].lines().nth(4).map(str::to_owned);
    let in_bytes = "   ID S RDBY WRBY RXBY TXBY %CPU %MEM    TIME   NAME";
    assert_eq!(
        heading(&["-o", "nettx", "--block-in-bytes"]).as_deref(),
        Some(in_bytes)
    );
}

#[test]
fn physical_cpus_that_nobody_tells_of() {
    let screens = screens(&["-1"]);
    let lines: Vec<&str> = screens[KEY_0].lines().collect();
    let golden = golden("key1.txt");
    assert_eq!(lines[4], golden.lines().nth(4).expect("a heading"));
    assert!(lines[3].contains("libvirt does not tell"), "{lines:?}");
    assert_eq!(&lines[5..], ["   0", "   1"], "no figure, and not 0.0");
}

#[test]
fn only_some_vms() {
    let screens = screens(&["--vm", "*web*"]);
    let lines: Vec<&str> = screens[PLAIN].lines().collect();
    assert!(lines[1].starts_with("1 domains, 1 active"), "{lines:?}");
    assert_eq!(lines.len(), 6, "{lines:?}");
}

#[test]
fn the_stream() {
    let place = Place::new();
    let recording = run().recording();
    for name in NAMES {
        for (args, file) in [
            (&["--stream", "-n", "2"][..], "stream.txt"),
            (&["--stream", "-n", "2", "-o", "name", "-2"], "stream.txt"),
            (
                &["--stream", "-n", "2", "--block-in-bytes"],
                "stream-bytes.txt",
            ),
        ] {
            let output = place.replay(name, args, &recording);
            assert_eq!(text(&output.stdout), golden(file), "{name:?} {args:?}");
        }
    }
}
