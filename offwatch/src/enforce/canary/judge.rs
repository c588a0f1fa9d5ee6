//! Whether an interface fares worse after a change than before, and than those that
//! were not changed. Pure.
//!
//! Windows before the change are added up and compared with those after it. What
//! happened to the controls at the same time, as the median of them, excuses an
//! interface; it never accuses it: that others carry more now is no harm. The noise is
//! how far single windows before the change were from their mean, of the interface and
//! of the controls. What exceeds what is allowed is harm if it exceeds the noise, too;
//! if it does not, nothing can be told, and that is no pass.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;

use super::{
    Settings,
    controls::{self, Controls},
    measure::{Limit, Measure, Quotient},
};
use crate::{
    measure::{Figures, Window},
    sample::offloads::Fact,
};

/// Fewer events than this in all windows are chance.
const FEWEST_EVENTS: f64 = 10.0;
/// A direction is judged by itself if it carries at least this part of the bytes:
/// how many acknowledgements there are depends on the offloads alone.
const OWN_PART: f64 = 1.0 / 3.0;

/// Windows before and after a change.
#[derive(Clone, Copy)]
pub struct Evidence<'w> {
    /// Before it.
    pub before: &'w [Window],
    /// After it.
    pub after: &'w [Window],
    /// Interfaces that are changed by now, by ifindex.
    pub exposed: &'w [u32],
    /// Interfaces that may be compared with them.
    pub others: &'w [u32],
}

/// What a measure of an interface says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What was measured.
    pub measure: Measure,
    /// Unit of the values.
    pub unit: &'static str,
    /// Before the change.
    pub before: f64,
    /// After it.
    pub after: f64,
    /// What happened to the controls at the same time, as their median: `after`
    /// divided by `before`, or the difference of shares.
    pub controls_change: Option<f64>,
    /// What of the change is not the controls', too: a part of `before`, or a
    /// difference of shares.
    pub change: f64,
    /// From there on it is harm, without noise: of the same kind.
    pub limit: f64,
    /// How much windows before the change differed.
    pub noise: f64,
    /// It is harm.
    pub harm: bool,
    /// It would be, but windows before differed by as much.
    pub unclear: bool,
}

/// What became of an interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It fares worse.
    Harm,
    /// It does not.
    Unharmed,
    /// It carries too little to tell.
    TooLittleTraffic {
        /// When, and how much.
        because: String,
        /// Already before the change.
        before: bool,
    },
    /// It could not be measured.
    Unmeasured {
        /// Why.
        because: String,
    },
}

/// An interface that is changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Its index.
    pub ifindex: u32,
    /// Its name.
    pub dev: String,
    /// The VM it belongs to, if one is known.
    pub vm: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// By measure.
    pub findings: Vec<Finding>,
    /// Measures without a value, and why.
    pub not_judged: BTreeMap<Measure, Cow<'static, str>>,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Those that are changed.
    pub interfaces: Vec<Judged>,
    /// What they were compared with.
    pub controls: Controls,
}

/// Judges a change.
pub fn judge(settings: &Settings, evidence: &Evidence<'_>) -> Judgement {
    let controls = controls::of(settings, evidence);
    let used: Vec<u32> = controls.used.iter().map(|(ifindex, _)| *ifindex).collect();
    let each = evidence.exposed.iter();
    Judgement {
        interfaces: each
            .map(|ifindex| interface(settings, evidence, *ifindex, &used))
            .collect(),
        controls,
    }
}

fn interface(
    settings: &Settings,
    evidence: &Evidence<'_>,
    ifindex: u32,
    controls: &[u32],
) -> Judged {
    let first = evidence.before.iter().chain(evidence.after);
    let mut named = first.filter_map(|window| window.interfaces.get(&ifindex)?.known());
    let named = named.next();
    let mut judged = Judged {
        ifindex,
        dev: named.map_or_else(|| format!("interface {ifindex}"), |it| it.dev.to_string()),
        vm: named.and_then(|it| it.vm.clone()),
        verdict: Verdict::Unharmed,
        findings: Vec::new(),
        not_judged: BTreeMap::new(),
    };
    let both = figures(evidence.before, ifindex).and_then(|before| {
        let after = figures(evidence.after, ifindex)?;
        Ok((before, after))
    });
    let (before, after) = match both {
        Ok(both) => both,
        Err(because) => {
            judged.verdict = Verdict::Unmeasured { because };
            return judged;
        }
    };
    if let Some(because) = too_little(settings, &before, "before the change") {
        judged.verdict = Verdict::TooLittleTraffic {
            because,
            before: true,
        };
        return judged;
    }
    for measure in measures(&before) {
        match series(measure, &before) {
            Err(reason) => {
                judged.not_judged.insert(measure, reason);
            }
            Ok(known_before) => match series(measure, &after) {
                Ok(known_after) => {
                    let controls = Compared::with(measure, evidence, controls);
                    let finding = find(measure, settings, &known_before, &known_after, &controls);
                    judged.findings.extend(finding);
                }
                Err(reason) => {
                    let because = format!("{} can be told no more: {reason}", measure.name());
                    judged.verdict = Verdict::Unmeasured { because };
                }
            },
        }
    }
    if judged.findings.iter().any(|finding| finding.harm) {
        judged.verdict = Verdict::Harm;
    } else if judged.verdict == Verdict::Unharmed
        && let Some(because) = too_little(settings, &after, "after the change")
    {
        judged.verdict = Verdict::TooLittleTraffic {
            because,
            before: false,
        };
    }
    judged
}

type Series<'w> = Vec<(&'w Window, &'w Figures)>;

/// An interface in all windows, or why it is not.
pub(super) fn figures(windows: &[Window], ifindex: u32) -> Result<Series<'_>, String> {
    let each = windows
        .iter()
        .map(|window| match window.interfaces.get(&ifindex) {
            Some(Fact::Known(figures)) => Ok((window, figures)),
            Some(Fact::Unavailable(reason)) => Err(reason.to_string()),
            None => Err("it is gone".to_owned()),
        });
    each.collect()
}

/// Why an interface carries too little in windows, if so.
pub(super) fn too_little(settings: &Settings, series: &Series<'_>, when: &str) -> Option<String> {
    let seconds: f64 = series.iter().map(|(window, _)| window.seconds).sum();
    let bytes: u64 = series.iter().map(|(_, figures)| figures.bytes()).sum();
    let packets: u64 = series.iter().map(|(_, figures)| figures.packets()).sum();
    let bytes_per_s = bytes as f64 / seconds.max(f64::MIN_POSITIVE);
    if bytes_per_s < settings.floor_bytes_per_s {
        let floor = settings.floor_bytes_per_s;
        return Some(format!(
            "{bytes_per_s:.0} bytes/s {when}; {floor:.0} are needed (floor_bytes_per_s)"
        ));
    }
    let floor = settings.floor_packets;
    (packets < floor)
        .then(|| format!("{packets} frames {when}; {floor} are needed (floor_packets)"))
}

/// Those that apply to an interface with this traffic.
fn measures(before: &Series<'_>) -> impl Iterator<Item = Measure> {
    let sum = |of: fn(&Figures) -> u64| -> f64 {
        before.iter().map(|(_, figures)| of(figures) as f64).sum()
    };
    let all = sum(Figures::bytes);
    let receives = sum(|figures| figures.egress.bytes) >= all * OWN_PART;
    let sends = sum(|figures| figures.ingress.bytes) >= all * OWN_PART;
    Measure::ALL
        .into_iter()
        .filter(move |measure| match measure {
            Measure::ReceiveThroughput => receives,
            Measure::SendThroughput => sends,
            _ => true,
        })
}

/// A measure in those windows in which it is known, or why it is in none.
fn series(measure: Measure, series: &Series<'_>) -> Result<Vec<Quotient>, Cow<'static, str>> {
    let mut last = Cow::Borrowed("nothing was measured");
    let known: Vec<Quotient> = series
        .iter()
        .filter_map(|(window, figures)| match measure.of(window, figures) {
            Ok(quotient) => Some(quotient),
            Err(reason) => {
                last = reason;
                None
            }
        })
        .collect();
    match known.is_empty() {
        true => Err(last),
        false => Ok(known),
    }
}

fn total(quotients: &[Quotient]) -> Quotient {
    let zero = Quotient::default();
    quotients.iter().fold(zero, |sum, each| sum.plus(*each))
}

/// What happened to the controls.
struct Compared {
    /// Their values before and after.
    changes: Vec<(f64, f64)>,
    /// How far single windows before were from the mean.
    noises: Vec<f64>,
}

impl Compared {
    fn with(measure: Measure, evidence: &Evidence<'_>, controls: &[u32]) -> Self {
        let mut compared = Self {
            changes: Vec::new(),
            noises: Vec::new(),
        };
        for ifindex in controls {
            let of = |windows| series(measure, &figures(windows, *ifindex).ok()?).ok();
            let (Some(before), Some(after)) = (of(evidence.before), of(evidence.after)) else {
                continue;
            };
            if let (Some(from), Some(to)) = (total(&before).value(), total(&after).value()) {
                compared.changes.push((from, to));
                compared.noises.push(spread(&before, from));
            }
        }
        compared
    }

    fn median_ratio(&self) -> Option<f64> {
        let ratios = self.changes.iter().filter(|(before, _)| *before > 0.0);
        median(ratios.map(|(before, after)| after / before).collect())
    }

    fn median_difference(&self) -> Option<f64> {
        median(
            self.changes
                .iter()
                .map(|(before, after)| after - before)
                .collect(),
        )
    }
}

/// The largest distance of a window from the mean.
fn spread(windows: &[Quotient], mean: f64) -> f64 {
    let values = windows.iter().filter_map(Quotient::value);
    values.fold(0.0, |most, value| (value - mean).abs().max(most))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// `None` where there is nothing to divide by.
fn find(
    measure: Measure,
    settings: &Settings,
    before: &[Quotient],
    after: &[Quotient],
    controls: &Compared,
) -> Option<Finding> {
    let (whole_before, whole_after) = (total(before), total(after));
    let (from, to) = (whole_before.value()?, whole_after.value()?);
    let limit = measure.limit(settings);
    let own_noise = spread(before, from);
    let others_noise = median(controls.noises.clone()).unwrap_or(0.0);
    let (controls_change, change, limit, noise, harm, unclear) = match limit {
        Limit::Fall(limit) | Limit::Rise(limit) if from > 0.0 => {
            let of_controls = controls.median_ratio().filter(|ratio| *ratio > 0.0);
            let is_fall = matches!(measure.limit(settings), Limit::Fall(_));
            let ratio = to / from;
            // Only what others suffer, too, is left out.
            let own = of_controls.map_or(ratio, |others| match is_fall {
                true => ratio / others.min(1.0),
                false => ratio / others.max(1.0),
            });
            let before_others = median(controls.changes.iter().map(|(from, _)| *from).collect());
            let others_noise = before_others.map_or(0.0, |mean| match mean > 0.0 {
                true => others_noise / mean,
                false => 0.0,
            });
            let noise = own_noise / from + others_noise;
            let change = own - 1.0;
            let exceeds = |allowed: f64| match is_fall {
                true => change < -allowed,
                false => change > allowed,
            };
            let harm = exceeds(limit + noise);
            let unclear = exceeds(limit) && !harm;
            (of_controls, change, limit, noise, harm, unclear)
        }
        Limit::Fall(_) | Limit::Rise(_) => return None,
        Limit::Difference(limit) => {
            let of_controls = controls.median_difference();
            let change = to - from - of_controls.unwrap_or(0.0).max(0.0);
            let noise = own_noise + others_noise;
            let is_chance = whole_after.count < FEWEST_EVENTS;
            let exceeds = |allowed: f64| change > allowed && !is_chance;
            let harm = exceeds(limit + noise);
            let unclear = exceeds(limit) && !harm;
            (of_controls, change, limit, noise, harm, unclear)
        }
    };
    Some(Finding {
        measure,
        unit: measure.unit(),
        before: from,
        after: to,
        controls_change,
        change,
        limit,
        noise,
        harm,
        unclear,
    })
}

#[cfg(test)]
mod tests;
