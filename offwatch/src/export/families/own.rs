//! Metrics of the exporter itself.

use super::{Family, Kind, Values};
use crate::{
    enforce::audit::sha256,
    export::{Own, exposition::Writer, labels, value::Value},
    probe::OBJECT,
};

const SECONDS: Option<&str> = Some("seconds");

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "offwatch_build",
        kind: Kind::Info,
        unit: None,
        help: "This program: its version, the SHA-256 of its BPF object, and the features that \
               it was built with.",
        labels: &["version", "bpf_sha256", "features"],
        values: Values::OfHost(|_, to| build(to)),
    },
    Family {
        name: "offwatch_sample_duration_seconds",
        kind: Kind::Gauge,
        unit: SECONDS,
        help: "How long reading all counters took.",
        labels: &[],
        values: Values::Host(|snapshot| {
            let took = snapshot.took?.as_nanos();
            u64::try_from(took).ok().map(Value::Ns)
        }),
    },
    Family {
        name: "offwatch_sample_timestamp_seconds",
        kind: Kind::Gauge,
        unit: SECONDS,
        help: "When the counters were read, since the Unix epoch: a second before a scrape at \
               most, or else the host is so loaded that a scrape waited for a second in vain, or \
               slow readers keep as many snapshots in memory as they may.",
        labels: &[],
        values: Values::OneOfHost(|host| host.sample_unix_ms.map(Value::unix_ms)),
    },
    own(
        "offwatch_samples",
        Kind::Counter,
        None,
        "How often counters were read.",
        |own| Some(Value::Count(own.samples())),
    ),
    own(
        "offwatch_bpf_runs",
        Kind::Counter,
        None,
        "Runs of offwatch's BPF programs; only with --bpf-stats.",
        |own| own.bpf().map(|bpf| Value::Count(bpf.count)),
    ),
    own(
        "offwatch_bpf_run_seconds",
        Kind::Counter,
        SECONDS,
        "Run time of offwatch's BPF programs; only with --bpf-stats.",
        |own| own.bpf().map(|bpf| Value::Ns(bpf.time_ns)),
    ),
    Family {
        name: "offwatch_http_requests",
        kind: Kind::Counter,
        unit: None,
        help: "Requests that were answered, by status code.",
        labels: &["code"],
        values: Values::OfHost(|snapshot, to| {
            for (code, count) in snapshot.own.iter().flat_map(|own| own.requests()) {
                let code = code.to_string();
                to.series("", Some(("code", &code)), Value::Count(count));
            }
        }),
    },
    own(
        "offwatch_http_connections",
        Kind::Gauge,
        None,
        "Connections that are open.",
        |own| Some(Value::Count(own.connections())),
    ),
    own(
        "process_cpu_seconds",
        Kind::Counter,
        SECONDS,
        "CPU time of the exporter.",
        |own| own.cpu_ns().map(Value::Ns),
    ),
    own(
        "process_resident_memory_bytes",
        Kind::Gauge,
        Some("bytes"),
        "Resident memory of the exporter.",
        |own| own.resident_bytes().map(Value::Count),
    ),
    own(
        "process_start_time_seconds",
        Kind::Gauge,
        SECONDS,
        "When the exporter was started, since the Unix epoch.",
        |own| own.start_seconds().map(Value::Number),
    ),
];

/// A metric of the process, which a recording does not have.
const fn own(
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    help: &'static str,
    value: fn(&Own) -> Option<Value>,
) -> Family {
    Family {
        name,
        kind,
        unit,
        help,
        labels: &[],
        values: Values::Own(value),
    }
}

fn build(to: &mut Writer<'_>) {
    let features = match cfg!(feature = "libvirt") {
        true => "libvirt",
        false => "",
    };
    static LABELS: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let labels = LABELS.get_or_init(|| {
        labels::of(&[
            ("version", env!("CARGO_PKG_VERSION")),
            ("bpf_sha256", &sha256(OBJECT)),
            ("features", features),
        ])
    });
    to.series(labels, None, Value::Count(1));
}
