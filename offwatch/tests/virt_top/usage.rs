//! Options, the init file, and what goes wrong.

use std::process::Output;

use crate::{
    command::{NAMES, Name, Place, golden, text},
    host::Recorded,
};

/// One line on stderr with these words, this code, and nothing on stdout.
fn refuses(output: &Output, code: i32, words: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no '{word}' in: {stderr}");
    }
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn an_unknown_order_is_told_with_those_there_are() {
    let place = Place::new();
    for name in NAMES {
        let output = place.run(name, &["-o", "foo"]);
        let keys = [
            "foo",
            "cpu",
            "processor",
            "mem",
            "memory",
            "time",
            "id",
            "name",
            "netrx",
            "nettx",
            "blockrdrq",
            "blockwrrq",
            "gso",
            "swseg",
            "csum",
            "pps",
            "drops",
            "cost",
        ];
        refuses(&output, 2, &keys);
    }
}

#[test]
fn wrong_usage_is_told_before_anything_starts() {
    let place = Place::new();
    for name in NAMES {
        for (args, words) in [
            (&["--end-time", "soon"][..], "+HH:MM:SS"),
            (&["-d", "0"], "must be from"),
            (&["-d", "x"], "not a number of seconds"),
            (&["-n", "x"], "--iterations"),
            (&["--hist-cpu", "-1"], "--hist-cpu"),
            (&["--nonsense"], "--nonsense"),
            (&["--json", "--csv", "x"], "--csv"),
            (&["--no-init-file", "--init-file", "x"], "--init-file"),
            (&["parameter"], "parameter"),
        ] {
            refuses(&place.run(name, args), 2, &[words]);
        }
    }
}

#[test]
fn a_csv_that_cannot_be_written_is_told_before_anything_starts() {
    let place = Place::new();
    for name in NAMES {
        let args = [
            "--script",
            "--csv",
            "/no/such/directory/x",
            "-c",
            "test:///default",
        ];
        refuses(&place.run(name, &args), 1, &["/no/such/directory/x"]);
        refuses(
            &place.run(name, &["--script", "--csv", "/"]),
            1,
            &["directory"],
        );
    }
}

#[cfg(feature = "libvirt")]
#[test]
fn a_failed_connection_leaves_no_file() {
    let place = Place::new();
    let uri = "qemu+unix:///system?socket=/nonexistent/socket";
    for name in NAMES {
        let args = ["--script", "--csv", "x.csv", "-c", uri];
        refuses(&place.run(name, &args), 1, &["libvirt", uri]);
        assert!(!place.path("x.csv").exists());
    }
}

#[cfg(feature = "libvirt")]
#[test]
fn a_live_run_needs_no_privilege() {
    let place = Place::new();
    for name in NAMES {
        // Other VMs of the machine that runs the test are not shown.
        let args = [
            "-c",
            "test:///default",
            "-d",
            "0.1",
            "-n",
            "3",
            "--vm",
            "test",
        ];
        let output = place.run(name, &[&args[..], &["--script", "--csv", "x.csv"]].concat());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            (text(&output.stdout), text(&output.stderr)),
            Default::default()
        );
        let csv = place.read("x.csv");
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(rows.len(), 1 + 3, "{csv}");
        // One domain is active, and libvirt's test driver does not tell what
        // it uses.
        assert!(rows[3].contains(",1,test,"), "{csv}");
        assert!(rows[3].ends_with(",1,test,,,,,,,,"), "{csv}");
        let output = place.run(name, &[&args[..], &["--stream"]].concat());
        assert!(output.status.success(), "{output:?}");
        let stream = text(&output.stdout);
        assert_eq!(stream.matches("virt-top time").count(), 3, "{stream}");
        let row = "    1 R    -    -    -    -    -    -         - test";
        assert!(stream.contains(row), "{stream}");
    }
}

#[test]
fn the_init_file_is_read_and_the_command_line_wins() {
    let place = Place::new();
    let recording = Recorded::of_csv(&golden("drive-io.csv")).recording();
    place.write(
        ".virt-toprc",
        "# mine\n\ndisplay net\nsort id\ncolour red\niterations 2\n",
    );
    for name in NAMES {
        let output = place.replay(name, &[], &recording);
        let warning = format!(
            "offwatch: {}:5: unknown key 'colour' is ignored\n",
            place.path(".virt-toprc").display()
        );
        assert_eq!(text(&output.stderr), warning);
        let screens = text(&output.stdout);
        assert_eq!(
            screens.matches("DOMAIN       INTERFACE").count(),
            2,
            "{screens}"
        );
        let output = place.replay(name, &["-3", "-n", "4"], &recording);
        let screens = text(&output.stdout);
        assert_eq!(
            screens.matches("DOMAIN       DEVICE").count(),
            4,
            "{screens}"
        );
        // Not for outputs that virt-top does not have.
        let output = place.replay(name, &["--once"], &recording);
        assert_eq!(text(&output.stderr), "");
        let output = place.replay(name, &["--no-init-file"], &recording);
        assert!(text(&output.stdout).contains("TIME   NAME"));
    }
    place.write("other", "display pcpu\nend-time never\n");
    let output = place.run(Name::VirtTop, &["--init-file", "other"]);
    refuses(&output, 1, &["other:2: end-time 'never'", "+HH:MM:SS"]);
}

#[test]
fn errors_go_to_the_file_of_debug() {
    let place = Place::new();
    let recording = Recorded::of_csv(&golden("x.csv")).recording();
    let cut = &recording[..recording.len() - 50];
    for name in NAMES {
        let args = ["--replay", "x.rec", "--stream", "--debug", "d.log"];
        place.write("x.rec", cut);
        let output = place.run(name, &args);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stderr), "");
        let log = place.read("d.log");
        assert!(log.contains("truncated"), "{log}");
    }
    let output = place.run(
        Name::VirtTop,
        &["--replay", "x.rec", "--debug", "/no/such/log"],
    );
    refuses(&output, 1, &["/no/such/log"]);
}

#[test]
fn help_and_version() {
    let place = Place::new();
    for help in ["-help", "--help", "-h"] {
        let output = place.run(Name::VirtTop, &[help]);
        assert!(output.status.success());
        let help = text(&output.stdout);
        for option in [
            "-1",
            "-2",
            "-3",
            "-b",
            "-c",
            "--connect",
            "-d",
            "-n",
            "-o",
            "-s",
            "--hist-cpu",
            "--csv",
            "--no-csv-cpu",
            "--no-csv-mem",
            "--no-csv-block",
            "--no-csv-net",
            "--block-in-bytes",
            "--script",
            "--stream",
            "--end-time",
            "--debug",
            "--init-file",
            "--no-init-file",
            "--version",
        ] {
            assert!(help.contains(option), "no {option} in {help}");
        }
    }
    let output = place.run(Name::VirtTop, &["--version"]);
    assert!(text(&output.stdout).starts_with("virt-top 1.1.3 "));
}

#[test]
fn options_may_be_given_twice() {
    let place = Place::new();
    let recording = Recorded::of_csv(&golden("x.csv")).recording();
    for name in NAMES {
        let args = [
            "-n", "5", "-d", "1", "-o", "cpu", "-n", "2", "-d", "3", "-s", "-s",
        ];
        let output = place.replay(name, &args, &recording);
        assert_eq!(text(&output.stdout).matches("NAME").count(), 2);
    }
}

#[test]
fn endless_iterations() {
    let place = Place::new();
    let recording = Recorded::of_csv(&golden("x.csv")).recording();
    for name in NAMES {
        for count in ["0", "-1"] {
            let output = place.replay(name, &["-n", count, "--stream"], &recording);
            assert_eq!(text(&output.stdout).matches("NAME").count(), 7 + 5);
        }
    }
}
