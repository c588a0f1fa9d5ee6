//! Results of iperf3.

use anyhow::{Context, Result, bail};

/// One finished TCP run.
#[derive(Clone, Debug)]
pub struct Throughput {
    /// Payload received, in bits per second.
    pub bits_per_second: f64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Segments that the sender sent again.
    pub retransmits: u64,
    /// iperf3's whole report, for what the fields above leave out.
    pub report: serde_json::Value,
}

impl Throughput {
    /// Reads the output of `iperf3 --json`.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let report: serde_json::Value =
            serde_json::from_str(json).with_context(|| format!("not iperf3 JSON: {json}"))?;
        if let Some(error) = report["error"].as_str() {
            bail!("iperf3: {error}");
        }
        let number = |pointer: &str| {
            report
                .pointer(pointer)
                .with_context(|| format!("iperf3 reports no {pointer}: {json}"))
        };
        Ok(Self {
            bits_per_second: number("/end/sum_received/bits_per_second")?
                .as_f64()
                .unwrap_or_default(),
            bytes: number("/end/sum_received/bytes")?
                .as_u64()
                .unwrap_or_default(),
            // Absent for other protocols than TCP.
            retransmits: report["end"]["sum_sent"]["retransmits"]
                .as_u64()
                .unwrap_or_default(),
            report,
        })
    }
}

/// Whether a run did not begin because the server serves nobody at the moment.
pub(crate) fn is_refused(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    ["unable to connect to server", "the server is busy"]
        .iter()
        .any(|words| text.contains(words))
}

/// Whether a run was ended because it did not end: client and server may wait for
/// each other for ever where an emulated guest is very slow.
pub(crate) fn is_stuck(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("interrupt - the client has terminated")
}

#[cfg(test)]
mod tests {
    use super::{Throughput, is_refused, is_stuck};

    #[test]
    fn reads_results_and_errors() {
        let run = Throughput::parse(
            r#"{"end":{"sum_sent":{"retransmits":3},"sum_received":{"bytes":1000,"bits_per_second":8e3}}}"#,
        )
        .unwrap();
        assert_eq!((run.bytes, run.retransmits), (1000, 3));
        assert!((run.bits_per_second - 8e3).abs() < 1e-9);
        let error = Throughput::parse(r#"{"error":"unable to connect"}"#).unwrap_err();
        assert!(error.to_string().contains("unable to connect"));
        assert!(!is_refused(&error), "that may be anything");
        let refused = r#"{"error":"unable to connect to server: Connection refused"}"#;
        assert!(is_refused(&Throughput::parse(refused).unwrap_err()));
        let stuck = r#"{"error":"interrupt - the client has terminated"}"#;
        assert!(is_stuck(&Throughput::parse(stuck).unwrap_err()));
        assert!(!is_stuck(&error));
        assert!(Throughput::parse("").is_err());
    }
}
