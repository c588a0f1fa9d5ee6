//! What Prometheus answers, made of the bytes that it sends.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{error::FleetError, hosts::unix_ms};

/// An answer: a vector or a matrix, and what Prometheus warns of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its series.
    pub series: Vec<Series>,
    /// Why it may not be all.
    pub warnings: Vec<String>,
}

/// A series at one moment, or in a time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Series {
    /// Labels, `__name__` among them if it has a name.
    #[serde(rename = "metric")]
    labels: BTreeMap<String, String>,
    /// Time, and the value as text.
    #[serde(default)]
    value: Option<(f64, String)>,
    /// The same for each sample of a time.
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Series {
    /// A label; empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// A label, if it is there and not empty.
    pub fn known(&self, name: &str) -> Option<&str> {
        Some(self.label(name)).filter(|value| !value.is_empty())
    }

    /// The value, if it is a number.
    pub fn value(&self) -> Option<f64> {
        number(&self.value.as_ref()?.1)
    }

    /// Its samples: when they were scraped, milliseconds since the epoch, and what is a
    /// number.
    pub fn samples(&self) -> impl Iterator<Item = (u64, f64)> {
        let known = self.values.iter();
        known.filter_map(|(time, value)| Some((unix_ms(*time), number(value)?)))
    }
}

fn number(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(value)
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Body {
    Success {
        data: Data,
        #[serde(default)]
        warnings: Vec<String>,
    },
    Error {
        #[serde(rename = "errorType")]
        kind: String,
        error: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Matrix(Vec<Series>),
}

/// What came over HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response<'a> {
    /// Who sent it, for messages.
    pub(super) url: &'a str,
    /// Status code.
    pub(super) code: u16,
    /// `Content-Type`.
    pub(super) content_type: &'a str,
    /// `Location`.
    pub(super) location: &'a str,
    /// A token was sent.
    pub(super) has_token: bool,
    /// The body.
    pub(super) body: &'a [u8],
}

/// Reads an answer.
pub(super) fn read(response: Response<'_>) -> Result<Answer, FleetError> {
    let Response { url, code, .. } = response;
    let url = || url.to_owned();
    match code {
        300..=399 => {
            let to = response.location.to_owned();
            return Err(FleetError::Redirect { url: url(), to });
        }
        401 | 403 => {
            return Err(FleetError::Refused {
                url: url(),
                code,
                has_token: response.has_token,
            });
        }
        _ => {}
    }
    match serde_json::from_slice(response.body) {
        Ok(Body::Success {
            data: Data::Vector(series) | Data::Matrix(series),
            warnings,
        }) => Ok(Answer { series, warnings }),
        Ok(Body::Error { kind, error }) => Err(FleetError::Query {
            url: url(),
            kind,
            message: error,
        }),
        Err(error) => Err(FleetError::NotPrometheus {
            url: url(),
            code,
            what: what(&response, &error),
        }),
    }
}

/// What came instead.
fn what(response: &Response<'_>, error: &serde_json::Error) -> String {
    let content_type = response.content_type.split(';').next().unwrap_or_default();
    match content_type.trim() {
        "application/json" => format!("JSON of another kind ({error})"),
        "" if response.body.is_empty() => "an empty answer".into(),
        "" => "an answer that is not JSON".into(),
        other => format!("{other} instead of JSON"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Series as Prometheus writes them: labels as `name=value,...`.
    pub(crate) fn vector(series: &[(&str, f64)]) -> Answer {
        let results = series.iter().map(|(labels, value)| {
            let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            let labels: BTreeMap<&str, &str> = pairs.collect();
            serde_json::json!({"metric": labels, "value": [1.5e9, value.to_string()]})
        });
        let results: Vec<_> = results.collect();
        let body = serde_json::json!({
            "status": "success",
            "data": {"resultType": "vector", "result": results},
        });
        of(200, "application/json", "", &body.to_string()).expect("an answer")
    }

    /// The same with samples: their times, seconds, and values.
    pub(crate) fn matrix(series: &[(&str, &[(f64, f64)])]) -> Answer {
        let results = series.iter().map(|(labels, samples)| {
            let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            let labels: BTreeMap<&str, &str> = pairs.collect();
            let values = samples
                .iter()
                .map(|(time, value)| (time, value.to_string()));
            serde_json::json!({"metric": labels, "values": values.collect::<Vec<_>>()})
        });
        let results: Vec<_> = results.collect();
        let body = serde_json::json!({
            "status": "success",
            "data": {"resultType": "matrix", "result": results},
        });
        of(200, "application/json", "", &body.to_string()).expect("an answer")
    }

    fn of(code: u16, content_type: &str, location: &str, body: &str) -> Result<Answer, String> {
        let response = Response {
            url: "http://p:9090",
            code,
            content_type,
            location,
            has_token: false,
            body: body.as_bytes(),
        };
        read(response).map_err(|error| error.to_string())
    }

    #[test]
    fn answers_of_prometheus_are_read() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"offwatch"},"value":[1795674636.51,"1"]},
            {"metric":{"job":"x"},"value":[1795674636,"NaN"]}]},
            "warnings":["a store is gone"],"infos":["not a counter"]}"#;
        let answer = of(200, "application/json", "", body).expect("an answer");
        assert_eq!(answer.warnings, ["a store is gone"]);
        let [up, nothing] = &answer.series[..] else {
            panic!("{answer:?}")
        };
        assert_eq!((up.label("job"), up.value()), ("offwatch", Some(1.0)));
        assert_eq!((up.known("host"), up.label("host")), (None, ""));
        assert_eq!(nothing.value(), None, "NaN is no number");
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error at 1"}"#;
        let cases = [
            (
                (400, "application/json", "", refused),
                "Prometheus at http://p:9090: bad_data: parse error at 1",
            ),
            (
                (200, "text/html; charset=utf-8", "", "<html>"),
                "http://p:9090 is not the API of Prometheus: HTTP 200, text/html instead of \
                 JSON; is the address right?",
            ),
            (
                (404, "text/plain", "", "404 page not found"),
                "http://p:9090 is not the API of Prometheus: HTTP 404, text/plain instead of \
                 JSON; is the address right?",
            ),
            (
                (502, "", "", ""),
                "http://p:9090 is not the API of Prometheus: HTTP 502, an empty answer; is the \
                 address right?",
            ),
            (
                (401, "text/plain", "", "Unauthorized"),
                "http://p:9090 refuses access (HTTP 401): it wants a token: --token-file FILE",
            ),
            (
                (302, "text/html", "https://p/login", ""),
                "http://p:9090 redirects to https://p/login: give --prometheus the address \
                 that is meant",
            ),
        ];
        for ((code, content_type, location, body), expected) in cases {
            let error = of(code, content_type, location, body).expect_err(expected);
            assert_eq!(error, expected);
        }
        let other = of(200, "application/json", "", r#"{"took":5}"#).expect_err("not ours");
        assert!(other.contains("JSON of another kind"), "{other}");
        assert_eq!(other.lines().count(), 1);
    }
}
