//! Feeds from recordings. What is waited for is counted, never timed: the
//! recordings are an hour from sample to sample, so only what is asked comes.

use std::io::Write as _;

use super::*;
use crate::{advise::testing::Scene, filter::Filter, record::Recorder, sample::Sample};

const HOUR_MS: u64 = 3_600_000;

fn recording(samples: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut recorder = Recorder::create(file.path(), None).expect("writable");
    for number in 0..samples {
        let sample = Sample {
            time_unix_ms: number * HOUR_MS,
            monotonic_ns: number * HOUR_MS * 1_000_000,
            ..Sample::default()
        };
        recorder.write(&sample, false).expect("written");
    }
    file
}

fn wanted(iterations: Option<u64>) -> Wanted {
    Wanted {
        filter: Filter::new(&[], &[]).expect("no pattern is a good one"),
        iterations,
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

async fn start(file: &tempfile::NamedTempFile) -> Feed {
    let origin = Origin::Replay(file.path().to_owned());
    Feed::start(origin, wanted(None))
        .await
        .expect("a recording")
}

/// What comes next, in words.
async fn next(feed: &mut Feed) -> String {
    match feed.next().await {
        Some(Ok(Update::Tick(tick))) => {
            let Some(Position { number, count }) = tick.position else {
                return "tick".into();
            };
            let jumped = if tick.jumped { "jumped to " } else { "" };
            let rates = tick.model.interval_seconds.is_some();
            assert_eq!(rates, number > 0, "{number}");
            format!("{jumped}{number} of {count}")
        }
        Some(Ok(Update::Past(model))) => format!("past {}", model.time_unix_ms / HOUR_MS),
        Some(Ok(Update::Message(message))) => message,
        Some(Err(error)) => panic!("{error}"),
        None => "end".into(),
    }
}

#[test]
fn a_recording_is_stepped_through() {
    let file = recording(4);
    block_on(async {
        let mut feed = start(&file).await;
        assert_eq!(next(&mut feed).await, "0 of 4");
        feed.ask(Command::Step(1));
        assert_eq!(next(&mut feed).await, "1 of 4");
        feed.ask(Command::Step(-1));
        assert_eq!(next(&mut feed).await, "jumped to 0 of 4");
        // There is nothing before, so this says nothing.
        feed.ask(Command::Step(-1));
        feed.ask(Command::Step(99));
        assert_eq!(next(&mut feed).await, "jumped to 3 of 4");
        for past in ["past 2", "past 1", "past 0"] {
            assert_eq!(next(&mut feed).await, past);
        }
        feed.ask(Command::Step(1));
        assert_eq!(next(&mut feed).await, "end of the recording");
        feed.end().await;
    });
}

#[test]
fn a_time_is_jumped_to() {
    let file = recording(4);
    block_on(async {
        let mut feed = start(&file).await;
        assert_eq!(next(&mut feed).await, "0 of 4");
        feed.ask(Command::Jump(2 * HOUR_MS - 5));
        assert_eq!(next(&mut feed).await, "jumped to 2 of 4");
        assert_eq!(next(&mut feed).await, "past 1");
        assert_eq!(next(&mut feed).await, "past 0");
    });
}

#[test]
fn speed_is_obeyed() {
    let file = recording(3);
    block_on(async {
        let mut feed = start(&file).await;
        assert_eq!(next(&mut feed).await, "0 of 3");
        feed.ask(Command::Speed(1e9));
        assert_eq!(next(&mut feed).await, "1 of 3");
        assert_eq!(next(&mut feed).await, "2 of 3");
    });
}

#[test]
fn what_is_appended_is_played() {
    let file = recording(1);
    block_on(async {
        let mut feed = start(&file).await;
        assert_eq!(next(&mut feed).await, "0 of 1");
        let other = recording(2);
        let more = std::fs::read(other.path()).expect("a recording");
        let mut append = std::fs::OpenOptions::new()
            .append(true)
            .open(file.path())
            .expect("writable");
        append.write_all(&more).expect("appended");
        feed.ask(Command::Step(1));
        let Some(Ok(Update::Tick(tick))) = feed.next().await else {
            panic!("no tick");
        };
        let position = tick.position.expect("in a file");
        assert_eq!((position.number, position.count), (1, 3));
        assert_eq!(tick.model.interval_seconds, None, "another run");
    });
}

#[test]
fn a_truncated_recording_is_shown_and_told() {
    let file = recording(3);
    let whole = std::fs::read(file.path()).expect("a recording");
    std::fs::write(file.path(), &whole[..whole.len() - 1]).expect("cut");
    block_on(async {
        let mut feed = start(&file).await;
        assert_eq!(next(&mut feed).await, "0 of 2");
        feed.ask(Command::Step(1));
        assert_eq!(next(&mut feed).await, "1 of 2");
        feed.ask(Command::Step(1));
        assert!(next(&mut feed).await.contains("truncated: record 4"));
    });
}

#[test]
fn it_ends_after_so_many() {
    let file = recording(4);
    block_on(async {
        let origin = Origin::Replay(file.path().to_owned());
        let mut feed = Feed::start(origin, wanted(Some(1)))
            .await
            .expect("a recording");
        assert_eq!(next(&mut feed).await, "0 of 4");
        assert_eq!(next(&mut feed).await, "end");
    });
}

#[test]
fn what_keeps_it_from_starting_is_the_error() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    for (content, words) in [
        ("no recording\n", "not a recording"),
        (
            "{\"schema\":\"offwatch.recording\",\"version\":3}\n",
            "no sample",
        ),
    ] {
        std::fs::write(file.path(), content).expect("written");
        let origin = Origin::Replay(file.path().to_owned());
        let error = block_on(Feed::start(origin, wanted(None)))
            .err()
            .expect("an error");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// What is said of a VM in the model of a sample; `None` before an evaluation.
async fn findings_at(feed: &mut Feed, number: usize) -> Option<Vec<String>> {
    loop {
        let update = feed.next().await.expect("not the end").expect("no error");
        if let Update::Tick(tick) = update
            && tick.position.expect("in a file").number == number
        {
            let findings = tick.findings?;
            let said = findings.of_vm("legacy");
            return Some(said.map(|advice| advice.rule.to_string()).collect());
        }
    }
}

#[test]
fn findings_are_those_of_the_ten_seconds_before() {
    let (before, after) = Scene::of_three(12).samples();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut recorder = Recorder::create(file.path(), None).expect("writable");
    for (seconds, sample) in [(0, &before), (4, &before), (8, &before), (12, &after)] {
        let sample = Sample {
            time_unix_ms: seconds * 1000,
            monotonic_ns: seconds * 1_000_000_000,
            ..sample.clone()
        };
        recorder.write(&sample, false).expect("written");
    }
    let found = Some(vec!["tap-no-tso".to_owned()]);
    block_on(async {
        let mut feed = start(&file).await;
        // It holds from then on.
        feed.ask(Command::Jump(0));
        assert_eq!(findings_at(&mut feed, 0).await, None);
        for (command, number, expected) in [
            (Command::Step(1), 1, &None),
            (Command::Step(1), 2, &None),
            (Command::Step(1), 3, &found),
            (Command::Step(-1), 2, &None),
            (Command::Step(1), 3, &found),
            (Command::Jump(0), 0, &None),
            (Command::Jump(12_000), 3, &found),
        ] {
            feed.ask(command);
            let findings = findings_at(&mut feed, number).await;
            assert_eq!(findings, *expected, "{command:?} to {number}");
        }
    });
}
