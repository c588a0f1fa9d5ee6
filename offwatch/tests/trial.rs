//! What there is in files about `offwatch trial`. None of this needs root.

use std::{fs, path::Path};

use offwatch::{
    sample::offloads::Fact,
    trial::{
        self, Conclusion, Measure, Period, Settings, Side, Trial, Trials, Verdict, judge, outcome,
        read, schedule,
    },
};
use serde_json::{Value, json};

#[test]
fn the_schema_of_a_trial_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/trial.schema.json");
    if std::env::var_os("OFFWATCH_BLESS").is_some() {
        fs::write(&path, trial::schema()).expect("the document is written");
    }
    let found = fs::read_to_string(&path).expect("the document is there");
    assert!(
        found == trial::schema(),
        "docs/trial.schema.json is out of date: run `cargo xtask docs`"
    );
}

/// With verdicts of all kinds: frames double, and CPU time is not known.
fn trial() -> Trial {
    let period = |(round, side)| {
        let mut period = Period {
            round,
            side,
            seconds: 1.0,
            software_segments: Fact::Known(0),
            ..Period::default()
        };
        period.received.packets = if side == Side::With { 20_000 } else { 10_000 };
        period.received.goodput_bytes = Fact::Known(50_000_000);
        period.sent.goodput_bytes = Fact::Known(0);
        period
    };
    let settings = Settings::default();
    let periods: Vec<Period> = schedule::order(settings.rounds).map(period).collect();
    Trial {
        schema: outcome::SCHEMA.into(),
        version: outcome::SCHEMA_VERSION,
        host: outcome::TrialHost::default(),
        start_unix_ms: 1,
        end_unix_ms: 2,
        subject: outcome::Subject::default(),
        change: None,
        effects: judge::effects(&periods, &settings),
        notes: judge::notes(&periods),
        periods,
        settings,
        conclusion: Conclusion::Complete,
        not_as_before: Vec::new(),
        forecast: None,
    }
}

#[test]
fn json_is_as_the_schema_has_it_and_can_be_read_again() {
    let schema: Value = serde_json::from_str(&trial::schema()).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let trial = trial();
    let verdict = |measure| {
        let effect = trial.effects.iter().find(|it| it.measure == measure);
        &effect.expect("each is told of").verdict
    };
    assert_eq!(verdict(Measure::Packets), &Verdict::More);
    let is_of_kind = [
        matches!(verdict(Measure::Goodput), Verdict::NoDifference { .. }),
        matches!(
            verdict(Measure::SendGoodput),
            Verdict::TooLittleTraffic { .. }
        ),
        matches!(verdict(Measure::HostCost), Verdict::NotMeasured { .. }),
    ];
    assert_eq!(is_of_kind, [true; 3], "{:?}", trial.effects);

    let recipe = json!(Trials::new(vec![trial.clone(), trial.clone()]));
    for (printed, trials) in [(json!(trial), 1), (recipe, 2)] {
        if let Err(error) = schema.validate(&printed) {
            panic!("{}: {error}", error.instance_path());
        }
        let read = read::parse(printed.to_string().as_bytes()).expect("trials");
        assert_eq!(read, vec![trial.clone(); trials]);
    }
    let mut broken = json!(trial);
    broken["effects"][0]["verdict"] = "perhaps".into();
    assert!(!schema.is_valid(&broken));
}
