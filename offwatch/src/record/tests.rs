use std::{
    io::{self, BufReader},
    sync::Arc,
};

use tempfile::NamedTempFile;

use super::*;
use crate::{
    facts::{
        Facts,
        device::Device,
        qdisc::{Qdisc, Shaper},
        topology::{Bridge, Lower, Topology},
    },
    sample::{Interface, Kind, offloads::Fact},
};

fn sample(time: u64) -> Sample {
    Sample {
        time_unix_ms: time,
        monotonic_ns: time * 1_000_000,
        ..Sample::default()
    }
}

/// Appends a run of samples with these times.
fn record(path: &Path, times: &[u64]) -> Result<(), RecordError> {
    let mut recorder = Recorder::create(path, None)?;
    times
        .iter()
        .try_for_each(|time| recorder.write(&sample(*time), false))
}

fn recorded(times: &[u64]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    record(file.path(), times).expect("recorded");
    file
}

/// The same in lines, as programs get it.
fn lines(times: &[u64]) -> Vec<u8> {
    let mut lines = serde_json::to_vec(&Header::default()).expect("plain data");
    lines.push(b'\n');
    for time in times {
        lines.extend(serde_json::to_vec(&sample(*time)).expect("plain data"));
        lines.push(b'\n');
    }
    lines
}

fn replay(bytes: &[u8]) -> Result<Replay, RecordError> {
    Replay::new("test".into(), Box::new(io::Cursor::new(bytes.to_vec())))
}

/// Times of the samples, with whether each starts a run, and what ended them.
fn read(bytes: &[u8]) -> (Vec<(u64, bool)>, Option<RecordError>) {
    let mut found = Vec::new();
    let mut replay = match replay(bytes) {
        Ok(replay) => replay,
        Err(error) => return (found, Some(error)),
    };
    loop {
        match replay.next_sample() {
            Ok(Some(next)) => {
                assert_eq!(next.sample, sample(next.sample.time_unix_ms));
                found.push((next.sample.time_unix_ms, next.starts_run));
            }
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

fn message<T>(result: Result<T, RecordError>) -> String {
    result.map(|_| ()).expect_err("an error").to_string()
}

fn bytes(file: &NamedTempFile) -> Vec<u8> {
    std::fs::read(file.path()).expect("read back")
}

#[test]
fn what_is_recorded_is_replayed_from_both_forms() {
    for recording in [bytes(&recorded(&[1, 2])), lines(&[1, 2])] {
        let (samples, error) = read(&recording);
        assert_eq!(samples, [(1, true), (2, false)]);
        assert!(error.is_none(), "{error:?}");
    }
}

#[test]
fn a_kind_of_interface_survives() {
    let file = NamedTempFile::new().expect("a temporary file");
    let kinds = [Kind::Tap, Kind::Unknown, Kind::Other("veth".into())];
    let sample = Sample {
        interfaces: kinds
            .map(|kind| {
                Arc::new(Interface {
                    kind,
                    ..Interface::default()
                })
            })
            .into(),
        ..sample(1)
    };
    let mut recorder = Recorder::create(file.path(), None).expect("writable");
    recorder.write(&sample, false).expect("written");
    let recording = Recording::open(file.path()).expect("a recording");
    assert_eq!(recording.sample(0).expect("whole"), sample);
}

#[test]
fn facts_survive() {
    let bridge = Device {
        kind: Kind::Bridge,
        topology: Topology::Bridge(Bridge::default()),
        lower: Some(Lower::Elsewhere),
        qdiscs: Fact::Known(vec![Qdisc {
            shaper: Shaper::Htb(Fact::unavailable("refused")),
            ..Qdisc::default()
        }]),
        ..Device::default()
    };
    let facts = Facts {
        devices: Fact::Known(vec![bridge]),
        domains: Fact::unavailable("no libvirt"),
        ..Facts::default()
    };
    let sample = Sample {
        facts: Some(Arc::new(facts)),
        ..sample(1)
    };
    let file = NamedTempFile::new().expect("a temporary file");
    let mut recorder = Recorder::create(file.path(), None).expect("writable");
    recorder.write(&sample, false).expect("written");
    let recording = Recording::open(file.path()).expect("a recording");
    assert_eq!(recording.sample(0).expect("whole"), sample);
}

#[test]
fn zstd_prints_a_recording_as_lines() {
    let file = recorded(&[1, 2]);
    let decoded = zstd::stream::decode_all(&*bytes(&file)).expect("zstd");
    assert_eq!(decoded, lines(&[1, 2]));
}

#[test]
fn recording_again_appends_a_run() {
    let file = recorded(&[1, 2]);
    record(file.path(), &[7, 8]).expect("appended");
    let expected = [(1, true), (2, false), (7, true), (8, false)];
    assert_eq!(read(&bytes(&file)).0, expected);

    let recording = Recording::open(file.path()).expect("a recording");
    let continued = [0, 1, 2, 3, 4].map(|number| recording.continues_run(number));
    assert_eq!(continued, [false, true, false, true, false]);
}

#[test]
fn what_a_crash_left_is_cut_off_before_appending() {
    let file = recorded(&[1, 2]);
    let whole = bytes(&file);
    std::fs::write(file.path(), &whole[..whole.len() - 3]).expect("cut");
    record(file.path(), &[7]).expect("appended");
    let (samples, error) = read(&bytes(&file));
    assert_eq!(samples, [(1, true), (7, true)]);
    assert!(error.is_none(), "{error:?}");
}

#[test]
fn a_recording_cut_anywhere_shows_what_is_complete() {
    for whole in [bytes(&recorded(&[1, 2, 3])), lines(&[1, 2, 3])] {
        // Where each record ends, by what can be read up to there.
        let mut complete = 0;
        let file = NamedTempFile::new().expect("a temporary file");
        for cut in 0..whole.len() {
            std::fs::write(file.path(), &whole[..cut]).expect("cut");
            let (samples, error) = read(&whole[..cut]);
            let times: Vec<u64> = samples.iter().map(|(time, _)| *time).collect();
            assert!(
                times.len() >= complete && times.len() <= complete + 1,
                "cut at {cut}"
            );
            complete = times.len();
            assert_eq!(times, [1, 2, 3][..complete], "cut at {cut}");
            match Recording::open(file.path()) {
                Ok(recording) => {
                    assert_eq!(recording.len(), complete, "cut at {cut}");
                    let read = (0..complete).map(|number| {
                        let sample = recording.sample(number).expect("complete");
                        sample.time_unix_ms
                    });
                    assert_eq!(read.collect::<Vec<_>>(), times);
                    assert_eq!(
                        recording.broken().is_some(),
                        error.is_some(),
                        "cut at {cut}"
                    );
                }
                Err(_) => assert_eq!(complete, 0),
            }
        }
        assert_eq!(complete, 2, "the last byte completes the last sample");
        assert_eq!(read(&whole).0.len(), 3);
    }
}

#[test]
fn a_truncated_recording_is_told_by_position() {
    let whole = lines(&[1, 2]);
    let error = read(&whole[..whole.len() - 10]).1.expect("an error");
    assert!(error.to_string().contains("truncated: line 3"), "{error}");
    let whole = bytes(&recorded(&[1, 2]));
    let error = read(&whole[..whole.len() - 10]).1.expect("an error");
    assert!(error.to_string().contains("truncated: record 3"), "{error}");
}

#[test]
fn a_damaged_record_is_told_by_position() {
    let mut whole = bytes(&recorded(&[1, 2]));
    let last = whole.len() - 5;
    whole[last] ^= 1;
    let (samples, error) = read(&whole);
    assert_eq!(samples, [(1, true)]);
    let error = error.expect("an error").to_string();
    assert!(error.contains("record 3: not a sample: damaged"), "{error}");

    let mut whole = lines(&[]);
    whole.extend(b"{\"time_unix_ms\":\"soon\"}\n");
    let error = read(&whole).1.expect("an error").to_string();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn samples_are_found_by_time() {
    let file = recorded(&[1000, 2000, 3000]);
    let recording = Recording::open(file.path()).expect("a recording");
    let found = [0, 1000, 1001, 3000, 9000].map(|time| recording.at_time(time));
    assert_eq!(found, [0, 0, 1, 2, 2]);
}

#[test]
fn a_growing_recording_is_followed() {
    let file = recorded(&[1]);
    let mut recording = Recording::open(file.path()).expect("a recording");
    assert!(!recording.extend().expect("readable"), "nothing new");
    record(file.path(), &[2, 3]).expect("appended");
    assert!(recording.extend().expect("readable"));
    assert_eq!(recording.len(), 3);
}

#[test]
fn a_file_is_not_touched_before_the_first_sample() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("new");
    drop(Recorder::create(&path, None).expect("writable"));
    assert!(!path.exists());
    let file = recorded(&[1]);
    let same = Recorder::create(file.path(), Some(file.path()));
    assert!(message(same).contains("another file"));
}

#[test]
fn only_a_compressed_recording_is_appended_to() {
    let file = NamedTempFile::new().expect("a temporary file");
    let damaged = [bytes(&recorded(&[1])), b"x".repeat(40)].concat();
    for (content, words) in [
        (b"precious".to_vec(), "is not a recording"),
        (lines(&[1]), "uncompressed"),
        (damaged, "damaged"),
    ] {
        std::fs::write(file.path(), &content).expect("written");
        assert!(
            message(record(file.path(), &[1])).contains(words),
            "{words}"
        );
        assert_eq!(bytes(&file), content, "untouched");
    }
}

#[test]
fn two_do_not_record_to_one_file() {
    let file = NamedTempFile::new().expect("a temporary file");
    let mut first = Recorder::create(file.path(), None).expect("writable");
    first.write(&sample(1), false).expect("written");
    assert!(message(record(file.path(), &[2])).contains("another offwatch"));
    drop(first);
    record(file.path(), &[2]).expect("free again");
}

#[test]
fn a_line_without_an_end_is_refused() {
    struct Zeroes;
    impl io::Read for Zeroes {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0);
            Ok(buffer.len())
        }
    }
    let endless = Box::new(BufReader::new(Zeroes));
    assert!(message(Replay::new("test".into(), endless)).contains("not a recording"));
}

#[test]
fn other_files_are_refused() {
    for other in [
        &b""[..],
        b"{}\n",
        b"PNG\x00\xff\n",
        b"_PNG\x00\xff\n",
        br#"{"schema":"x","version":1}"#,
        b"{\"schema\":\"x\",\"version\":1}\n",
    ] {
        assert!(
            message(replay(other)).contains("not a recording"),
            "{other:?}"
        );
    }
    for version in [0, VERSION - 1, VERSION + 1] {
        let other = format!("{{\"schema\":\"offwatch.recording\",\"version\":{version}}}\n");
        let told = message(replay(other.as_bytes()));
        assert!(told.contains(&format!("version {version}")), "{told}");
    }
}
