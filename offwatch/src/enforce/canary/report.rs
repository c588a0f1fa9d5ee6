//! What a canary tells.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use super::{
    Settings,
    conclusion::{Conclusion, told},
    judge::{Judgement, Verdict},
};

/// The course of a canary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How it was judged.
    pub settings: Settings,
    /// The first interface to be changed, and why that one.
    pub canary: Option<Chosen>,
    /// What was changed, in order.
    pub stages: Vec<Stage>,
    /// Interfaces that were not changed, as it ended before.
    pub not_changed: Vec<String>,
    /// How often windows were repeated, as a guest negotiated in them.
    pub restarts: u32,
    /// How it ended.
    #[serde(flatten)]
    pub conclusion: Conclusion,
}

/// The interface that is changed first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// Its name.
    pub dev: String,
    /// Why.
    pub because: String,
}

/// Interfaces that were changed together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Their names.
    pub changed: Vec<String>,
    /// Windows that were measured after the change.
    pub windows: usize,
    /// What they say; `None`: there were none.
    pub judgement: Option<Judgement>,
}

impl Report {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            canary: None,
            stages: Vec::new(),
            not_changed: Vec::new(),
            restarts: 0,
            conclusion: Conclusion::Passed,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(Chosen { dev, because }) = &self.canary {
            let _ = writeln!(text, "canary {dev}: {because}");
        }
        for (number, stage) in self.stages.iter().enumerate() {
            let _ = writeln!(text, "stage {}: {}", number + 1, stage.changed.join(", "));
            if let Some(judgement) = &stage.judgement {
                text += &judged(judgement);
            }
        }
        if self.restarts > 0 {
            let _ = writeln!(
                text,
                "measured again as a guest negotiated: {}",
                self.restarts
            );
        }
        if !self.not_changed.is_empty() {
            let _ = writeln!(text, "not changed: {}", self.not_changed.join(", "));
        }
        text += &match &self.conclusion {
            Conclusion::Passed => "canary: passed\n".to_owned(),
            Conclusion::Harm { because } => format!("canary: harm: {because}\n"),
            Conclusion::NoVerdict { because } => {
                format!("canary: no verdict, which is no pass: too little traffic: {because}\n")
            }
            Conclusion::Failed { because } => format!("canary: no pass: {because}\n"),
        };
        text
    }
}

fn judged(judgement: &Judgement) -> String {
    let mut text = String::new();
    for judged in &judgement.interfaces {
        let dev = &judged.dev;
        match &judged.verdict {
            Verdict::Unharmed | Verdict::Harm => {}
            Verdict::TooLittleTraffic { because, .. } | Verdict::Unmeasured { because } => {
                let _ = writeln!(text, "  {dev}: not judged: {because}");
            }
        }
        for finding in &judged.findings {
            let mark = match finding.harm {
                true => "HARM ",
                false => "",
            };
            let _ = writeln!(text, "  {dev}: {mark}{}", told(finding));
        }
        let reasons: BTreeSet<&str> = judged.not_judged.values().map(AsRef::as_ref).collect();
        for reason in reasons {
            let of = judged.not_judged.iter().filter(|(_, told)| *told == reason);
            let names: Vec<&str> = of.map(|(measure, _)| measure.name()).collect();
            let _ = writeln!(text, "  {dev}: not judged: {}: {reason}", names.join(", "));
        }
    }
    let names: Vec<&str> = judgement
        .controls
        .used
        .iter()
        .map(|(_, dev)| dev.as_str())
        .collect();
    let _ = match names.is_empty() {
        true => writeln!(text, "  no controls: compared with the time before alone"),
        false => writeln!(text, "  controls: {}", names.join(", ")),
    };
    for (dev, because) in &judgement.controls.left_out {
        let _ = writeln!(text, "  no control: {dev}: {because}");
    }
    text
}
