use hyper::header::{ACCEPT, HeaderMap, HeaderValue};

use super::super::negotiate::format;
use crate::export::Format::{self, OpenMetrics, Text};

fn of(accept: &[&str]) -> Format {
    let values = accept
        .iter()
        .map(|value| HeaderValue::from_str(value).unwrap());
    format(&values.map(|value| (ACCEPT, value)).collect::<HeaderMap>())
}

#[test]
fn the_format_is_the_one_that_is_liked_best() {
    let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.8,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        application/openmetrics-text;version=0.0.1;q=0.4,\
        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for (accept, expected) in [
        (vec![], Text),
        (vec!["*/*"], Text),
        (vec![prometheus_2], OpenMetrics),
        (vec![prometheus_3], OpenMetrics),
        (vec!["application/openmetrics-text"], OpenMetrics),
        (
            vec!["Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8"],
            OpenMetrics,
        ),
        (vec!["application/openmetrics-text; version=0.0.1"], Text),
        (vec!["application/openmetrics-text; version=2.0.0"], Text),
        (vec!["application/openmetrics-text;q=0"], Text),
        (
            vec!["application/openmetrics-text;q=0.3, text/plain;q=0.4"],
            Text,
        ),
        (
            vec!["application/openmetrics-text;q=0.4, text/plain;q=0.3"],
            OpenMetrics,
        ),
        (vec!["application/openmetrics-text;q=0.5, */*;q=0.6"], Text),
        // The closest range says how much text is liked.
        (
            vec!["application/openmetrics-text;q=0.5, text/plain;q=0.1, */*"],
            OpenMetrics,
        ),
        (
            vec!["text/plain;q=0.5", "application/openmetrics-text"],
            OpenMetrics,
        ),
        (vec!["application/openmetrics-text;q=NaN"], Text),
        (vec!["application/openmetrics-text;q=7"], Text),
        (vec!["image/png"], Text),
        (
            vec![";;=,,;q=,\"", "application/openmetrics-text"],
            OpenMetrics,
        ),
    ] {
        assert_eq!(of(&accept), expected, "{accept:?}");
    }
}
