//! virt-top's CSV, byte by byte.

use crate::{
    command::{NAMES, Place, golden, text},
    host::{Recorded, SUMMARY},
};

/// What a command line writes, under both names, into the file it names last.
fn csv(golden_name: &str, args: &[&str]) -> String {
    let recording = Recorded::of_csv(&golden(golden_name)).recording();
    let file = args.last().expect("a file");
    let [one, other] = NAMES.map(|name| {
        let place = Place::new();
        let output = place.replay(name, args, &recording);
        assert_eq!(text(&output.stdout), "", "--script prints nothing");
        place.read(file)
    });
    assert_eq!(one, other);
    one
}

#[test]
fn memory_for_some_seconds() {
    let written = csv(
        "x.csv",
        &[
            "--end-time",
            "+00:00:20",
            "-o",
            "mem",
            "--script",
            "--no-csv-cpu",
            "--no-csv-block",
            "--no-csv-net",
            "--csv",
            "x.txt",
        ],
    );
    assert_eq!(written, golden("x.csv"));
}

#[test]
fn network_for_a_minute() {
    let written = csv(
        "top-inbound.csv",
        &[
            "--end-time",
            "+00:01:00",
            "-o",
            "netrx",
            "--script",
            "--no-csv-cpu",
            "--no-csv-mem",
            "--no-csv-block",
            "--csv",
            "top-inbound.txt",
        ],
    );
    assert_eq!(written, golden("top-inbound.csv"));
    assert_eq!(written.lines().count(), 1 + 20);
}

#[test]
fn bytes_of_disks_for_some_seconds() {
    for end in [&["--end-time", "+12"][..], &["-n", "4"]] {
        let rest = [
            "-3",
            "--block-in-bytes",
            "--script",
            "--no-csv-cpu",
            "--no-csv-mem",
            "--no-csv-net",
            "--csv",
            "drive-io.txt",
        ];
        let written = csv("drive-io.csv", &[end, &rest].concat());
        assert_eq!(written, golden("drive-io.csv"));
    }
}

/// Shares of CPU have 12 digits, more than nanoseconds can tell.
#[test]
fn all_columns() {
    let written = csv("all.csv", &["--script", "-n", "4", "--csv", "all.txt"]);
    let golden = golden("all.csv");
    assert_eq!(written.lines().count(), golden.lines().count());
    for (written, golden) in written.lines().zip(golden.lines()) {
        let fields = |line: &str| -> Vec<String> {
            let line = line.replace("\"vm,db02\"", "vm db02");
            line.split(',').map(str::to_owned).collect()
        };
        let (written, golden) = (fields(written), fields(golden));
        assert_eq!(written.len(), golden.len());
        for (at, (written, golden)) in written.iter().zip(&golden).enumerate() {
            let numbers = (written.parse::<f64>(), golden.parse::<f64>());
            match numbers {
                (Ok(written), Ok(golden)) if at >= SUMMARY => {
                    assert!(
                        (written - golden).abs() <= golden * 1e-9,
                        "{written} {golden}"
                    );
                }
                _ => assert_eq!(written, golden, "field {at}"),
            }
        }
    }
    // Whole numbers have a dot, as OCaml prints them.
    assert!(written.contains(",2960000000.,48.87905"), "{written}");
    assert!(written.contains(",1,vm-web01,0.,0.,0,0,,,,,"), "{written}");
}

#[test]
fn the_end_is_told_in_universal_time() {
    let place = Place::new();
    let recording = Recorded::of_csv(&golden("x.csv")).recording();
    for name in NAMES {
        let args = ["--script", "--end-time", "+00:00:20", "--csv", "x.txt"];
        let output = place.replay(name, &args, &recording);
        assert_eq!(
            text(&output.stderr),
            "end time (UTC): 2026-11-22 12:36:52\n"
        );
        let args = ["--script", "--end-time", "12:36:45", "--csv", "y.txt"];
        let output = place.replay(name, &args, &recording);
        assert_eq!(
            text(&output.stderr),
            "end time (UTC): 2026-11-22 12:36:45\n"
        );
        // 12:36:42 is 3 s before.
        assert_eq!(place.read("y.txt").lines().count(), 1 + 4);
    }
}

#[test]
fn a_csv_on_stdout_has_it_for_itself() {
    let recording = Recorded::of_csv(&golden("x.csv")).recording();
    let place = Place::new();
    for name in NAMES {
        let args = [
            "-n",
            "7",
            "--no-csv-cpu",
            "--no-csv-block",
            "--no-csv-net",
            "--csv",
            "-",
        ];
        let output = place.replay(name, &args, &recording);
        assert_eq!(text(&output.stdout), golden("x.csv"));
    }
}

#[test]
fn a_csv_beside_other_output() {
    let recording = Recorded::of_csv(&golden("x.csv")).recording();
    let place = Place::new();
    let args = ["--stream", "-n", "2", "--csv", "x.txt"];
    let output = place.replay(NAMES[0], &args, &recording);
    assert_eq!(text(&output.stdout).matches("virt-top time").count(), 2);
    assert_eq!(place.read("x.txt").lines().count(), 3);
}
