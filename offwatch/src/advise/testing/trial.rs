//! A trial made by hand.

use std::collections::BTreeMap;

use crate::{
    sample::offloads::Fact,
    trial::{
        Conclusion, Cpu, Effect, Interval, Measure, Period, Settings, Side, Trial, Verdict, Way,
        outcome::{SCHEMA, SCHEMA_VERSION, Subject, TrialHost, Tried},
    },
};

/// TSO off on the tap `vnet0` (7) of `web`: 1 MB of goodput a period, in 20 frames
/// without the change and in 680 with it, at 2 ns a byte without it. The CPU time of
/// the host differs by so many percent, surely by no less than nine tenths of that; the
/// goodput does not.
pub fn trial(percent: f64) -> Trial {
    let period = |round, side| {
        let cut = match side {
            Side::Without => 0,
            Side::With => 680,
        };
        Period {
            round,
            side,
            seconds: 1.0,
            received: Way {
                packets: if cut == 0 { 20 } else { cut },
                bytes: 1_050_000,
                goodput_bytes: Fact::Known(1_000_000),
                ..Way::default()
            },
            sent: Way {
                goodput_bytes: Fact::Known(0),
                ..Way::default()
            },
            software_segments: Fact::Known(cut),
            checksum_bytes: Fact::Known(0),
            checksum_drops: Fact::Known(0),
            cpu: Cpu {
                vhost_ns: Fact::Known(0),
                ..Cpu::default()
            },
        }
    };
    let rounds = (1..=4).flat_map(|round| [Side::Without, Side::With].map(|side| (round, side)));
    let effect = |measure, without: f64, percent: f64, verdict| Effect {
        measure,
        unit: "ns_per_byte".into(),
        without: Some(without),
        with: Some(without * (1.0 + percent / 100.0)),
        difference_percent: Some(Interval {
            value: percent,
            low: (percent * 0.9).min(percent * 1.1),
            high: (percent * 0.9).max(percent * 1.1),
        }),
        rounds: vec![percent; 4],
        verdict,
    };
    let cost = match percent {
        more if more > 5.0 => Verdict::Worse,
        less if less < -5.0 => Verdict::Better,
        _ => Verdict::NoDifference {
            would_have_seen: 6.0,
        },
    };
    let same = Verdict::NoDifference {
        would_have_seen: 6.0,
    };
    Trial {
        schema: SCHEMA.into(),
        version: SCHEMA_VERSION,
        host: TrialHost {
            name: "host".into(),
            kernel: "6.12.30".into(),
            online_cpus: 8,
            netns: 4_026_531_840,
        },
        start_unix_ms: 1_000,
        end_unix_ms: 9_000,
        subject: Subject {
            vm: Some("web".into()),
            vm_uuid: None,
            devs: BTreeMap::from([("vnet0".into(), 7)]),
        },
        change: Some(Tried {
            set: "tso=off".into(),
            features: BTreeMap::from([("tx-tcp-segmentation".into(), false)]),
            also: BTreeMap::new(),
            commands: vec!["ethtool -K vnet0 tx-tcp-segmentation off".into()],
        }),
        settings: Settings::default(),
        periods: rounds.map(|(round, side)| period(round, side)).collect(),
        effects: vec![
            effect(Measure::Goodput, 1_000_000.0, 0.0, same),
            effect(Measure::HostCost, 2.0, percent, cost),
        ],
        conclusion: Conclusion::Complete,
        not_as_before: Vec::new(),
        forecast: None,
        notes: Vec::new(),
    }
}
