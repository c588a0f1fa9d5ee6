//! What is wrong with a policy, and where.

/// A policy that is not understood. Its file is named by whoever read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

impl PolicyError {
    pub(super) fn at(line: usize, problem: Problem) -> Self {
        Self { line, problem }
    }
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.line, self.problem)
    }
}

impl std::error::Error for PolicyError {}

/// Number of the line after these bytes.
pub(super) fn line(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not UTF-8.
    #[error("not a text in UTF-8")]
    NotText,
    /// It is not TOML, or a value has another type.
    #[error("{0}")]
    Form(String),
    /// Nobody knows the key.
    #[error("unknown key '{key}'{}", or_list(nearest.as_ref(), known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The known one that is most like it.
        nearest: Option<String>,
        /// All of them.
        known: Vec<String>,
    },
    /// A form of another version.
    #[error("version {0} is not known; write version = {VERSION}", VERSION = super::VERSION)]
    Version(u64),
    /// A value is out of its bounds.
    #[error("{key}: {reason}")]
    Value {
        /// Which one.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting of `[canary]` is out of its bounds.
    #[error("canary.{field} {must}")]
    Canary {
        /// Which one.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// A rule matches nothing in particular.
    #[error("match is empty; name what the rule is about, such as device = \"vnet*\"")]
    EmptyMatch,
    /// A rule asks for nothing.
    #[error("the rule asks for nothing; give features, definition or match.advice")]
    NothingAsked,
    /// A rule asks for features and takes those of the advice.
    #[error("match.advice takes what the advice says; leave features and definition out")]
    AdviceAndFeatures,
    /// A pattern is not one.
    #[error("match.{key}: '{pattern}' is not a valid pattern: {reason}")]
    Pattern {
        /// Which one.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No rule of the advice has this id.
    #[error("match.advice: there is no rule '{rule}'{}", or_nearest(nearest.as_ref()))]
    UnknownAdvice {
        /// The id.
        rule: String,
        /// The one that is most like it.
        nearest: Option<String>,
    },
    /// libvirt does not know the attribute.
    #[error(
        "definition.{side}: libvirt has no '{name}'{}",
        or_list(nearest.as_ref(), known)
    )]
    UnknownAttribute {
        /// `host` or `guest`.
        side: &'static str,
        /// The attribute.
        name: String,
        /// The one that is most like it.
        nearest: Option<String>,
        /// All of them.
        known: Vec<String>,
    },
    /// No feature can have this name.
    #[error("'{0}' cannot be the name of a feature")]
    FeatureName(String),
    /// More rules than anybody writes.
    #[error("more than {0} rules")]
    TooManyRules(usize),
}

fn or_nearest(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean '{nearest}'?")
    })
}

fn or_list(nearest: Option<&String>, known: &[String]) -> String {
    match nearest {
        None if !known.is_empty() => format!("; known are {}", known.join(", ")),
        nearest => or_nearest(nearest),
    }
}
