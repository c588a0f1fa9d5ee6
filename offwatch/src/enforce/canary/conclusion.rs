//! What follows from a stage. Pure.

use serde::Serialize;

use super::{
    judge::{Finding, Judgement, Verdict},
    measure::Measure,
};
use crate::output::units;

/// How a canary, or one of its stages, ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Conclusion {
    /// Nothing got worse.
    Passed,
    /// An interface fares worse.
    Harm {
        /// Which, by which measure, from what to what.
        because: String,
    },
    /// There was too little traffic to tell, or it was too uneven.
    NoVerdict {
        /// Where.
        because: String,
    },
    /// It could not be told.
    Failed {
        /// Why.
        because: String,
    },
}

impl Conclusion {
    /// Of a stage in which these interfaces were changed first. Those that carried
    /// little before are not judged, as long as another one is; the first one of all
    /// is judged, and what carried something before must carry something after.
    pub(super) fn of(judgement: &Judgement, new: &[u32], is_first: bool) -> Self {
        let those = |which: fn(&Finding) -> bool| -> Vec<String> {
            let found = judgement.interfaces.iter().flat_map(|judged| {
                let found = judged.findings.iter().filter(move |finding| which(finding));
                found.map(|finding| format!("{} of {}", told(finding), judged.dev))
            });
            found.collect()
        };
        let harms = those(|finding| finding.harm);
        if !harms.is_empty() {
            let because = harms.join("; ");
            return Self::Harm { because };
        }
        let unclear = those(|finding| finding.unclear);
        if !unclear.is_empty() {
            let because = format!(
                "{}: more than is allowed, but it differed by as much before the change",
                unclear.join("; ")
            );
            return Self::NoVerdict { because };
        }
        let mut is_judged = false;
        for judged in &judgement.interfaces {
            let dev = &judged.dev;
            match &judged.verdict {
                Verdict::Unmeasured { because } => {
                    let because = format!("{dev}: {because}");
                    return Self::Failed { because };
                }
                Verdict::TooLittleTraffic { because, before } => {
                    let is_new = new.contains(&judged.ifindex);
                    if is_new && (is_first || !before) {
                        let because = format!("{dev}: {because}");
                        return Self::NoVerdict { because };
                    }
                }
                Verdict::Unharmed | Verdict::Harm => is_judged = true,
            }
        }
        match is_judged {
            true => Self::Passed,
            false => Self::NoVerdict {
                because: "no changed interface carries enough".into(),
            },
        }
    }

    /// Why it did not pass.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Harm { because } | Self::NoVerdict { because } | Self::Failed { because } => {
                Some(because)
            }
        }
    }
}

/// A finding in words.
pub(super) fn told(finding: &Finding) -> String {
    let Finding {
        measure,
        before,
        after,
        ..
    } = finding;
    let value = |value: f64| match measure {
        Measure::Throughput | Measure::ReceiveThroughput | Measure::SendThroughput => {
            format!("{}bit/s", units::rate(Some(value * 8.0)))
        }
        Measure::Cost | Measure::VhostCost => format!("{value:.2} ns"),
        _ => format!("{:.2} %", value * 100.0),
    };
    let percent = |part: f64| format!("{:.2} %", part * 100.0);
    let mut allowed = percent(finding.limit);
    if finding.noise > 0.0 {
        allowed += &format!(" and noise of {}", percent(finding.noise));
    }
    format!(
        "{} {} to {} (change {:+.2} %, allowed {allowed})",
        measure.name(),
        value(*before),
        value(*after),
        finding.change * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::enforce::canary::{Controls, judge::Judged};

    fn judged(ifindex: u32, verdict: Verdict) -> Judged {
        Judged {
            ifindex,
            dev: format!("tap{ifindex}"),
            vm: None,
            verdict,
            findings: Vec::new(),
            not_judged: BTreeMap::new(),
        }
    }

    fn little(before: bool) -> Verdict {
        Verdict::TooLittleTraffic {
            because: "9 bytes/s".into(),
            before,
        }
    }

    fn concluded(verdicts: &[(u32, Verdict)], new: &[u32], is_first: bool) -> Conclusion {
        let each = verdicts.iter().cloned();
        let judgement = Judgement {
            interfaces: each.map(|(ifindex, it)| judged(ifindex, it)).collect(),
            controls: Controls::default(),
        };
        Conclusion::of(&judgement, new, is_first)
    }

    #[test]
    fn a_stage_passes_on_what_it_could_judge() {
        let fine = (1, Verdict::Unharmed);
        let none = |because: &str| Conclusion::NoVerdict {
            because: because.into(),
        };
        let passed = Conclusion::Passed;
        assert_eq!(concluded(std::slice::from_ref(&fine), &[1], true), passed);
        let alone = concluded(&[(1, little(true))], &[1], true);
        assert_eq!(alone, none("tap1: 9 bytes/s"));
        let idle = [fine.clone(), (2, little(true))];
        assert_eq!(concluded(&idle, &[2], false), passed, "it was idle before");
        let silent = [fine, (2, little(false))];
        assert_eq!(concluded(&silent, &[2], false), none("tap2: 9 bytes/s"));
        assert_eq!(concluded(&silent, &[3], false), passed, "changed long ago");
        let all = concluded(&[(1, little(false)), (2, little(true))], &[2], false);
        assert_eq!(all, none("no changed interface carries enough"));
        let because = "it is gone".to_owned();
        let gone = concluded(&[(1, Verdict::Unmeasured { because })], &[1], true);
        assert_eq!(gone.because(), Some("tap1: it is gone"));
    }

    #[test]
    fn harm_is_told_with_its_numbers() {
        let finding = |measure, before, after, change, noise| Finding {
            measure,
            unit: "",
            before,
            after,
            controls_change: None,
            change,
            limit: 0.2,
            noise,
            harm: true,
            unclear: false,
        };
        let fall = finding(Measure::Throughput, 1e6, 5e5, -0.5, 0.0);
        assert_eq!(
            told(&fall),
            "throughput 8.00Mbit/s to 4.00Mbit/s (change -50.00 %, allowed 20.00 %)"
        );
        let drops = finding(Measure::ReceiveDrops, 0.0, 0.31, 0.31, 0.001);
        assert_eq!(
            told(&drops),
            "drops on the way to the guest 0.00 % to 31.00 % (change +31.00 %, allowed \
             20.00 % and noise of 0.10 %)"
        );
        let mut harmed = judged(1, Verdict::Harm);
        harmed.findings = vec![fall];
        let judgement = Judgement {
            interfaces: vec![judged(2, little(true)), harmed],
            controls: Controls::default(),
        };
        let conclusion = Conclusion::of(&judgement, &[1, 2], true);
        let because = conclusion.because().unwrap_or_default();
        assert!(because.ends_with("allowed 20.00 %) of tap1"), "{because}");
        assert!(matches!(conclusion, Conclusion::Harm { .. }));

        let mut uneven = judged(1, Verdict::Unharmed);
        let mut fall = finding(Measure::Throughput, 1e6, 6e5, -0.4, 0.45);
        (fall.harm, fall.unclear) = (false, true);
        uneven.findings = vec![fall];
        let judgement = Judgement {
            interfaces: vec![uneven],
            controls: Controls::default(),
        };
        let conclusion = Conclusion::of(&judgement, &[1], true);
        assert!(
            matches!(conclusion, Conclusion::NoVerdict { .. }),
            "{conclusion:?}"
        );
    }
}
