use clap::Parser as _;

use super::*;
use crate::cli::VirtTop;

fn arguments(args: &[&str]) -> TopArgs {
    let all = ["virt-top"].iter().chain(args);
    VirtTop::try_parse_from(all).unwrap().args
}

/// Settings of an init file and a command line, with warnings.
fn settings(file: &str, args: &[&str]) -> Result<(Settings, Vec<String>), String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rc");
    std::fs::write(&path, file).unwrap();
    let mut args = arguments(args);
    args.virt_top.init_file = Some(path.clone());
    let loaded = Settings::load(&args).map_err(|error| error.to_string());
    let shown = path.display().to_string();
    let short = |text: String| text.replace(&shown, "rc");
    match loaded {
        Ok((mut settings, warnings)) => {
            settings.init_file = settings.init_file.map(|_| "rc".into());
            Ok((settings, warnings.into_iter().map(short).collect()))
        }
        Err(error) => Err(short(error)),
    }
}

#[test]
fn without_either_there_are_virt_tops_defaults() {
    let (settings, warnings) = settings("", &[]).unwrap();
    assert_eq!(settings.interval, Duration::from_secs(3));
    assert_eq!(settings.hist_cpu_seconds, 20);
    assert_eq!(settings.iterations, None);
    assert_eq!(settings.order.key, Key::Cpu);
    assert_eq!(settings.display, Display::VirtTop(View::Domains));
    assert!(warnings.is_empty());
}

const WHOLE: &str = "\
display net
delay 1.5
hist-cpu 5
iterations 10
sort netrx
connect test:///default
debug d.log
csv c.csv
csv-cpu false
csv-mem false
csv-block false
csv-net false
batch true
secure true
script true
stream true
block-in-bytes true
end-time +60
overwrite-init-file false
";

#[test]
fn every_key_is_read() {
    let (settings, warnings) = settings(WHOLE, &[]).unwrap();
    let expected = Settings {
        display: Display::VirtTop(View::Nics),
        interval: Duration::from_millis(1500),
        hist_cpu_seconds: 5,
        iterations: Some(10),
        order: Order {
            key: Key::NetRx,
            is_reversed: false,
        },
        connect: Some("test:///default".into()),
        debug: Some("d.log".into()),
        csv: Some("c.csv".into()),
        csv_columns: CsvColumns {
            cpu: false,
            memory: false,
            block: false,
            net: false,
        },
        batch: true,
        secure: true,
        script: true,
        stream: true,
        block_in_bytes: true,
        end_time: Some(EndTime::After(Duration::from_secs(60))),
        init_file: None,
    };
    assert_eq!(settings, expected);
    assert!(warnings.is_empty());
}

#[test]
fn the_command_line_wins() {
    let (settings, _) = settings(
        WHOLE,
        &[
            "-3",
            "-d",
            "2",
            "--hist-cpu",
            "7",
            "-n",
            "-1",
            "-o",
            "mem",
            "-c",
            "test:///other",
            "--debug",
            "e.log",
            "--csv",
            "e.csv",
            "--end-time",
            "+5",
        ],
    )
    .unwrap();
    assert_eq!(settings.display, Display::VirtTop(View::Disks));
    assert_eq!(settings.interval, Duration::from_secs(2));
    assert_eq!(settings.hist_cpu_seconds, 7);
    assert_eq!(settings.iterations, None, "-1 is endless");
    assert_eq!(settings.order.key, Key::Memory);
    assert_eq!(settings.connect.as_deref(), Some("test:///other"));
    assert_eq!(settings.debug, Some("e.log".into()));
    assert_eq!(settings.csv, Some("e.csv".into()));
    assert_eq!(
        settings.end_time,
        Some(EndTime::After(Duration::from_secs(5)))
    );
    let (settings, _) = super::tests::settings("csv-cpu true\n", &["--no-csv-cpu"]).unwrap();
    assert!(!settings.csv_columns.cpu);
}

#[test]
fn unknown_keys_are_told_by_line() {
    let (settings, warnings) = settings("# x\n\ncolour red\nsort mem\n", &[]).unwrap();
    assert_eq!(warnings, ["rc:3: unknown key 'colour' is ignored"]);
    assert_eq!(settings.order.key, Key::Memory);
}

#[test]
fn a_file_of_something_else_is_told_briefly() {
    let file = "colour red\n".repeat(30) + "sort mem\n";
    let (settings, warnings) = settings(&file, &[]).unwrap();
    assert_eq!(warnings.len(), MOST_WARNINGS + 1);
    assert_eq!(
        warnings.last().unwrap(),
        "rc: 20 more unknown keys are ignored"
    );
    assert_eq!(settings.order.key, Key::Memory);
}

#[test]
fn bad_values_are_told_by_line() {
    for (line, words) in [
        ("sort foo", "blockrdrq"),
        ("display foo", "task, pcpu, block, net, offload"),
        ("delay soon", "not a number of seconds"),
        ("delay -1", "must be from"),
        ("batch yes", "not true or false"),
        ("iterations many", "not a whole number"),
        ("end-time later", "+HH:MM:SS"),
        ("connect qemu+ssh://elsewhere/system", "another host"),
    ] {
        let error = settings(&format!("\n{line}\n"), &[]).unwrap_err();
        assert!(error.starts_with("rc:2: "), "{error}");
        assert!(error.contains(words), "{line}: {error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn a_file_that_is_named_must_not_be_missed() {
    let missing = arguments(&["--init-file", "/nonexistent/rc"]);
    let (settings, warnings) = Settings::load(&missing).unwrap();
    assert_eq!(warnings, ["/nonexistent/rc: there is no such file"]);
    assert_eq!(settings.init_file, Some("/nonexistent/rc".into()));
    let directory = arguments(&["--init-file", "/"]);
    assert!(Settings::load(&directory).is_err());
}

#[test]
fn outputs_for_programs_read_no_init_file() {
    assert_eq!(init_path(&arguments(&["--json"])), None);
    assert_eq!(init_path(&arguments(&["--once"])), None);
    assert_eq!(init_path(&arguments(&["--no-init-file"])), None);
    let named = init_path(&arguments(&["--json", "--init-file", "x"]));
    assert_eq!(named, Some("x".into()));
    let usual = init_path(&arguments(&["--stream"])).unwrap();
    assert!(usual.ends_with(".virt-toprc"), "{usual:?}");
}

#[test]
fn the_last_display_wins() {
    let display = |args: &[&str]| settings("display pcpu\n", args).unwrap().0.display;
    assert_eq!(display(&[]), Display::VirtTop(View::Pcpus));
    assert_eq!(display(&["-2", "-3"]), Display::VirtTop(View::Disks));
    assert_eq!(display(&["-3", "-2"]), Display::VirtTop(View::Nics));
    assert_eq!(display(&["-3", "-4"]), Display::Offload);
}
