//! What is to be said.

use anyhow::{Context, Result, bail, ensure};
use offwatch::advise::{
    Advice, Report, Verdict,
    advice::{Action, Scope},
};

use super::scene::Names;

/// What a report must say.
pub(crate) enum Expect {
    /// These findings, and no other.
    Findings(Vec<Expected>),
    /// No finding, and that these rules say to leave things as they are.
    Keep(Vec<Expected>),
    /// Nothing at all.
    Silence,
}

/// A piece of advice.
#[derive(Debug)]
pub(crate) struct Expected {
    /// The rule that speaks.
    pub(crate) rule: &'static str,
    /// What to do.
    pub(crate) verdict: Verdict,
    /// The guest that it is about, or else the interface.
    pub(crate) about: &'static str,
    /// What the first change touches, and what is in it or in when it is to be
    /// made: `{NAME}` is the tap of a guest.
    pub(crate) fix: Option<(Scope, &'static str)>,
}

impl Expect {
    fn expected(&self) -> &[Expected] {
        match self {
            Self::Findings(expected) | Self::Keep(expected) => expected,
            Self::Silence => &[],
        }
    }

    /// Rules that are to speak.
    pub(super) fn rules(&self) -> impl Iterator<Item = &'static str> {
        self.expected().iter().map(|expected| expected.rule)
    }

    /// Whether the report says it.
    pub(super) fn check(&self, names: &Names, report: &Report) -> Result<()> {
        for expected in self.expected() {
            expected.find(names, report)?;
        }
        let counts = |advice: &Advice| match self {
            Self::Findings(_) | Self::Keep(_) => advice.verdict.is_finding(),
            Self::Silence => true,
        };
        let unexpected = |advice: &&Advice| {
            let mut expected = self.expected().iter();
            counts(advice) && !expected.any(|expected| expected.is(advice))
        };
        match report.advice.iter().find(unexpected) {
            Some(advice) => bail!("not expected: {}", told(advice)),
            None => Ok(()),
        }
    }

    /// The finding whose change is to be made.
    pub(super) fn finding<'r>(&self, names: &Names, report: &'r Report) -> Result<&'r Advice> {
        let first = self.expected().first().context("nothing is expected")?;
        first.find(names, report)
    }

    /// Whether the report says no more of any of it.
    pub(super) fn check_gone(report: &Report) -> Result<()> {
        match report
            .advice
            .iter()
            .find(|advice| advice.verdict.is_finding())
        {
            Some(advice) => bail!("still there: {}", told(advice)),
            None => Ok(()),
        }
    }
}

impl Expected {
    /// A guest's offloads are to be left on, and their price is told.
    pub(crate) const fn keep_on(about: &'static str) -> Self {
        Self::keep("keep-on", about)
    }

    /// A rule says to leave something as it is.
    pub(crate) const fn keep(rule: &'static str, about: &'static str) -> Self {
        Self {
            rule,
            verdict: Verdict::Keep,
            about,
            fix: None,
        }
    }

    /// Something is to be changed.
    pub(crate) const fn finding(
        rule: &'static str,
        verdict: Verdict,
        about: &'static str,
        scope: Scope,
        part: &'static str,
    ) -> Self {
        Self {
            rule,
            verdict,
            about,
            fix: Some((scope, part)),
        }
    }

    fn is(&self, advice: &Advice) -> bool {
        let subject = &advice.subject;
        let names = [subject.vm.as_deref(), subject.dev.as_deref()];
        let about = names.into_iter().flatten().next().unwrap_or("host");
        advice.rule == self.rule && about == self.about && advice.verdict == self.verdict
    }

    fn find<'r>(&self, names: &Names, report: &'r Report) -> Result<&'r Advice> {
        let found = report.advice.iter().find(|advice| self.is(advice));
        let found = found.with_context(|| {
            let said: Vec<_> = report.advice.iter().map(told).collect();
            format!(
                "{self:?} is missing; said was {said:#?}, unseen {:?}",
                report.cannot_see
            )
        })?;
        if let Some((scope, part)) = self.fix {
            let fix = found.fixes.first().context("no change is told")?;
            ensure!(fix.scope == scope, "{:?} is to be changed", fix.scope);
            let part = names.fill(part);
            let when = fix.when.as_deref().unwrap_or("first");
            let text = format!("{when}: {}", text(&fix.action));
            ensure!(text.contains(&part), "no {part} in {text}");
        }
        Ok(found)
    }
}

fn text(action: &Action) -> &str {
    match action {
        Action::SetFeatures { command, .. } | Action::Command { command } => command,
        Action::LibvirtXml { xml, .. } => xml,
        Action::InGuest { command } => command,
        Action::Upgrade { to } => to,
        Action::Do { what } => what,
    }
}

/// Advice in a line.
pub(super) fn told(advice: &Advice) -> String {
    let fixes: Vec<_> = advice.fixes.iter().map(|fix| text(&fix.action)).collect();
    format!(
        "{} {} {}: {} {fixes:?}",
        advice.rule,
        advice.verdict.name(),
        advice.subject.name(),
        advice.finding
    )
}

#[cfg(test)]
mod tests {
    use offwatch::advise::{
        Window, catalogue, evaluate,
        testing::{Frames, Made, Scene},
        window::Feature,
    };

    use super::*;

    /// TSO of vnet1 is off, and frames are cut for its guest.
    fn report() -> Report {
        let tso = [Feature::Tso, Feature::TsoEcn, Feature::Tso6];
        let db = Made::tap("vnet1", 8).vm("db").master(3).off(&tso);
        let web = Made::tap("vnet0", 7).vm("web").master(3);
        let (before, after) = Scene::default()
            .with(web.from(Frames::tcp(2_000, 40)).caused(80_000))
            .with(db.to(Frames::plain(80_000, 1_514)).cut(80_000))
            .samples();
        evaluate(&Window::new(&before, &after), &catalogue::rules())
    }

    fn tso(verdict: Verdict, about: &'static str, scope: Scope, part: &'static str) -> Expect {
        let rule = "tap-no-tso";
        Expect::Findings(vec![Expected::finding(rule, verdict, about, scope, part)])
    }

    fn check(expect: &Expect) -> Result<()> {
        let names = Names(vec![("db".into(), "vnet1".into())]);
        expect.check(&names, &report())
    }

    #[test]
    fn what_is_said_is_compared_in_all_its_parts() {
        let right = tso(Verdict::Change, "db", Scope::Tap, "ethtool -K {db} tx-tcp");
        assert!(check(&right).is_ok());
        for wrong in [
            tso(Verdict::NeedsTrial, "db", Scope::Tap, "ethtool"),
            tso(Verdict::Change, "web", Scope::Tap, "ethtool"),
            tso(Verdict::Change, "db", Scope::Guest, "ethtool"),
            tso(Verdict::Change, "db", Scope::Tap, "ethtool -K {web}"),
        ] {
            assert!(check(&wrong).is_err());
        }
    }

    #[test]
    fn what_is_said_beyond_that_is_an_error() {
        assert!(check(&Expect::Keep(vec![Expected::keep_on("web")])).is_err());
        assert!(check(&Expect::Silence).is_err());
        assert!(Expect::check_gone(&report()).is_err());
    }
}
