//! What a rule is.

use super::{
    advice::{Advice, Confidence, Evidence, Fix, Subject, Text, Verdict},
    make,
    need::Need,
    price::Price,
    tried::Tell,
    window::{Port, Vm, Window},
};

/// A rule of the catalogue: a fault, a cost or a belief about offloads, how it
/// is recognised and what to do about it.
pub struct Rule {
    /// Stable name.
    pub id: &'static str,
    /// What it is about.
    pub family: Family,
    /// One line.
    pub title: &'static str,
    /// How it comes about, in one sentence.
    pub mechanism: &'static str,
    /// What must have been observed, in words.
    pub trigger: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// What the remedy costs or gains, in words.
    pub cost: &'static str,
    /// When the advice would be wrong.
    pub wrong_when: &'static str,
    /// Versions for which it holds.
    pub version_bound: Option<&'static str>,
    /// Where this is known from.
    pub sources: &'static [&'static str],
    /// How sure it is.
    pub confidence: Confidence,
    /// Evidence without which it cannot tell.
    pub needs: &'static [Need],
    /// Numbers that decide, and why they are what they are.
    pub thresholds: &'static [&'static Threshold],
    /// The shortest window in which it can tell, in seconds.
    pub shortest_window_s: f64,
    /// It also tells of an interface whose offloads changed in the window.
    pub holds_in_mixed_windows: bool,
    /// How it is evaluated.
    pub check: Check,
}

/// Groups of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The default.
    Keep,
    /// Less is offloaded than could be.
    Offer,
    /// Checksums.
    Checksum,
    /// Network cards of the host and their drivers.
    Uplink,
    /// Sizes and MTUs.
    Size,
    /// Tunnels.
    Tunnel,
    /// Stability of guests and the host.
    Stability,
    /// Beliefs that lead astray.
    Trap,
}

impl Family {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Keep,
        Self::Offer,
        Self::Checksum,
        Self::Uplink,
        Self::Size,
        Self::Tunnel,
        Self::Stability,
        Self::Trap,
    ];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Keep => "The default: leave it on",
            Self::Offer => "Less is offloaded than could be",
            Self::Checksum => "Checksums",
            Self::Uplink => "Network cards and drivers of the host",
            Self::Size => "Sizes and MTUs",
            Self::Tunnel => "Tunnels",
            Self::Stability => "Stability of guests and host",
            Self::Trap => "Traps",
        }
    }
}

/// A number that decides.
#[derive(Debug)]
pub struct Threshold {
    /// What it limits.
    pub name: &'static str,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Why it is this number.
    pub why: &'static str,
}

/// How a rule is evaluated. Checks are pure: they read the window and nothing
/// else.
pub enum Check {
    /// Once.
    Host(fn(&Window) -> Option<Finding>),
    /// For every interface of a kind that had traffic.
    Port(On, fn(&Window, &Port) -> Option<Finding>),
    /// For every VM.
    Vm(fn(&Window, &Vm) -> Option<Finding>),
    /// Never: the host cannot see it, because.
    Unseen(&'static str),
}

/// Which interfaces a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Taps, of VMs or unowned.
    Tap,
    /// Devices with hardware below, and bonds.
    Uplink,
    /// Bridges.
    Bridge,
    /// Tunnel devices: VXLAN, Geneve, GRE, IPIP, SIT.
    Tunnel,
    /// All.
    Any,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub(super) verdict: Verdict,
    pub(super) text: Text,
    pub(super) measured: Vec<Evidence>,
    pub(super) fixes: Vec<Fix>,
    pub(super) price: Option<Price>,
    pub(super) confidence: Option<Confidence>,
    /// What a trial of the VM is to change, if no fix says it.
    pub(super) trial: Option<&'static str>,
    /// What it is about, if not what the rule was asked about.
    pub(super) subject: Option<Subject>,
}

impl Finding {
    /// A verdict, and what was found in one sentence.
    pub fn new(verdict: Verdict, text: impl Into<Text>) -> Self {
        Self {
            verdict,
            text: text.into(),
            measured: Vec::new(),
            fixes: Vec::new(),
            price: None,
            confidence: None,
            trial: None,
            subject: None,
        }
    }

    /// Adds what was measured.
    #[must_use]
    pub fn measured(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.measured.extend(evidence);
        self
    }

    /// Adds a change; the first is the first choice.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fixes.push(fix);
        self
    }

    /// Adds the price.
    #[must_use]
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Is less sure than the rule in general.
    #[must_use]
    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = Some(confidence);
        self
    }

    /// A trial of the VM with these features, as `--set` takes them, tells whether it
    /// is right.
    #[must_use]
    pub fn trial(mut self, set: &'static str) -> Self {
        self.trial = Some(set);
        self
    }

    /// Is about something else than what the rule was asked about.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.subject = Some(subject);
        self
    }

    pub(super) fn into_advice(self, rule: &Rule, subject: Subject) -> Advice {
        let subject = self.subject.unwrap_or(subject);
        let by_vm = self.trial.zip(subject.vm.as_deref());
        let command = make::trial(by_vm, &self.fixes);
        Advice {
            rule: rule.id.into(),
            verdict: self.verdict,
            subject,
            finding: self.text,
            measured: self.measured,
            mechanism: rule.mechanism.into(),
            fixes: self.fixes,
            price: self.price,
            confidence: self.confidence.unwrap_or(rule.confidence),
            wrong_when: rule.wrong_when.into(),
            version_bound: rule.version_bound.map(Into::into),
            trial: command.map(|command| Tell {
                command,
                told: None,
            }),
        }
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rule").field(&self.id).finish()
    }
}

impl Rule {
    /// What most rules have in common, to be completed.
    pub(super) const BASE: Self = Self {
        id: "",
        family: Family::Keep,
        title: "",
        mechanism: "",
        trigger: "",
        remedy: "",
        cost: "",
        wrong_when: "",
        version_bound: None,
        sources: &[],
        confidence: Confidence::Medium,
        needs: &[],
        thresholds: &[],
        shortest_window_s: 1.0,
        holds_in_mixed_windows: false,
        check: Check::Unseen(""),
    };
}
