use super::*;
use crate::fleet::answer::tests::{matrix, vector};

const HOST: &str = "job=o,instance=a:1";

fn clock(stamps: &[(f64, f64)]) -> Spans {
    let labels = format!("__name__={SAMPLED},{HOST}");
    Spans::new(&[TOLD, SAMPLED], &matrix(&[(&labels, stamps)]).series)
}

fn seconds(spans: &Spans, vm: &str, dev: &str) -> Result<f64, &'static str> {
    let span = spans.span(&Target::new("o", "a:1"), vm, dev);
    span.map(|span| span.seconds)
}

#[test]
fn a_rate_is_of_the_time_between_samples() {
    // A file that is written every minute, and scraped more often.
    let spans = clock(&[
        (100.0, 45.0),
        (115.0, 105.0),
        (130.0, 105.0),
        (160.0, 105.0),
    ]);
    let series = vector(&[(&format!("{HOST},vm=web,dev=t0"), 10.0)]).series;
    let span = spans.of(&series[0]).expect("a span");
    assert_eq!(span.seconds, 60.0);
    assert_eq!(
        span.rate(10.0),
        10.0,
        "600 in a minute, between scrapes as well"
    );
    let spans = clock(&[(100.0, 99.0), (160.0, 129.0)]);
    let span = spans.of(&series[0]).expect("a span");
    assert_eq!(span.rate(10.0), 20.0, "600 in half a minute");
}

#[test]
fn what_came_later_is_asked_for_the_time_since() {
    let mut spans = clock(&[
        (100.0, 99.5),
        (115.0, 114.5),
        (130.0, 129.5),
        (145.0, 144.5),
    ]);
    let of = |vm: &str| format!("{HOST},vm={vm},dev=t-{vm}");
    let (old, young, new, back) = (of("old"), of("young"), of("new"), of("back"));
    let counts = [(&*old, 4.0), (&*young, 2.0), (&*new, 1.0), (&*back, 3.0)];
    let lacking = spans.lacking(&vector(&counts).series);
    assert_eq!(
        lacking.into_iter().collect::<Vec<_>>(),
        ["back", "new", "young"]
    );
    let samples = matrix(&[
        (&young, &[(130.0, 5.0), (145.0, 7.0)]),
        (&new, &[(145.0, 7.0)]),
        (&back, &[(100.0, 5.0), (115.0, 5.0), (145.0, 7.0)]),
        (
            &old,
            &[(100.0, 1.0), (115.0, 1.0), (130.0, 1.0), (145.0, 1.0)],
        ),
    ]);
    spans.learn(&samples.series);
    assert_eq!(seconds(&spans, "old", "t-old"), Ok(45.0));
    assert_eq!(seconds(&spans, "young", "t-young"), Ok(15.0));
    assert_eq!(seconds(&spans, "back", "t-back"), Ok(45.0));
    let few = Err("fewer than two scrapes of it");
    assert_eq!(seconds(&spans, "new", "t-new"), few);
    let terms: Vec<_> = spans.terms();
    let asked: Vec<_> = terms
        .iter()
        .map(|term| (&*term.matchers, term.from_ms, term.to_ms, term.count))
        .collect();
    let host = r#"job="o",instance="a:1""#;
    assert_eq!(
        asked,
        [
            (host, 100_000, 145_000, 4),
            (
                &format!(r#"{host},vm=~"back",dev=~"t-back""#),
                100_000,
                145_000,
                3
            ),
            (
                &format!(r#"{host},vm=~"young",dev=~"t-young""#),
                130_000,
                145_000,
                2
            ),
        ]
    );
}

#[test]
fn without_a_span_there_is_a_reason() {
    let reason = |stamps: &[(f64, f64)]| seconds(&clock(stamps), "web", "t0");
    let few = Err("fewer than two scrapes of it");
    assert_eq!(reason(&[(100.0, 99.0)]), few);
    assert_eq!(reason(&[]), few);
    // A file that nobody writes: not a rate of 0.
    let frozen = [(100.0, 9.0), (115.0, 9.0)];
    assert_eq!(reason(&frozen), Err("its host told nothing new"));
    let set = Err("the clock of its host was set");
    assert_eq!(reason(&[(100.0, 99.0), (115.0, 50.0), (130.0, 129.0)]), set);
    assert_eq!(reason(&[(100.0, 99.0), (115.0, 7_314.0)]), set);
}
