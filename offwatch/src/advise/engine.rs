//! Evaluates rules over a window. Pure.

use std::{borrow::Cow, collections::HashMap};

use super::{
    advice::{Action, Advice, Subject, Verdict},
    make,
    need::Need,
    report::{Report, ReportHost, ReportWindow, SCHEMA, SCHEMA_VERSION, TooShort, Unseen},
    rule::{Check, Finding, On, Rule},
    tried,
    window::{Port, Vm, Window},
};
use crate::sample::Kind;

/// What the rules say about the window.
pub fn evaluate(window: &Window<'_>, rules: &[&'static Rule]) -> Report {
    let mut evaluation = Evaluation {
        window,
        advice: Vec::new(),
        unseen: UnseenList::default(),
        too_short: Vec::new(),
    };
    if window.has_traffic() {
        for rule in rules {
            evaluation.rule(rule);
        }
        for advice in &mut evaluation.advice {
            tried::apply(window, advice);
        }
        evaluation.settle();
    }
    evaluation.report()
}

struct Evaluation<'w, 's> {
    window: &'w Window<'s>,
    advice: Vec<Advice>,
    unseen: UnseenList,
    too_short: Vec<TooShort>,
}

impl<'s> Evaluation<'_, 's> {
    fn rule(&mut self, rule: &'static Rule) {
        if let Check::Unseen(_) = rule.check {
            return;
        }
        if self.window.seconds < rule.shortest_window_s {
            self.too_short.push(TooShort {
                rule: rule.id.into(),
                needs_seconds: rule.shortest_window_s,
            });
            return;
        }
        let on_host = |need: &Need| need.missing_on_host(self.window);
        if let Some(because) = rule.needs.iter().find_map(on_host) {
            if self.concerns_any(rule) {
                self.unseen.add(rule, because, None);
            }
            return;
        }
        match &rule.check {
            Check::Host(check) => {
                let found = check(self.window);
                self.add(rule, found, |evaluation| make::host(evaluation.window));
            }
            Check::Port(on, check) => {
                for port in &self.window.ports {
                    if on.includes(port) && self.has_something_to_say(port) {
                        self.port(rule, *check, port);
                    }
                }
            }
            Check::Vm(check) => {
                for vm in &self.window.vms {
                    self.vm(rule, *check, vm);
                }
            }
            Check::Unseen(_) => {}
        }
    }

    /// It had traffic, or cannot be counted, which rules are to tell. A bridge's
    /// own device has none for what it forwards.
    fn has_something_to_say(&self, port: &Port<'_>) -> bool {
        let forwards =
            || On::Bridge.includes(port) && self.window.members(port).any(Port::has_traffic);
        port.has_traffic() || port.uncounted.is_some() || forwards()
    }

    /// Whether there is anything that the rule is about.
    fn concerns_any(&self, rule: &Rule) -> bool {
        match rule.check {
            Check::Host(_) => true,
            Check::Port(on, _) => self.window.ports.iter().any(|port| on.includes(port)),
            Check::Vm(_) => !self.window.vms.is_empty(),
            Check::Unseen(_) => false,
        }
    }

    fn port(
        &mut self,
        rule: &'static Rule,
        check: fn(&Window<'_>, &Port<'_>) -> Option<Finding>,
        port: &Port<'s>,
    ) {
        if port.is_mixed() && !rule.holds_in_mixed_windows {
            return;
        }
        let mut needs = rule.needs.iter();
        if let Some(because) = needs.find_map(|need| need.missing_on_port(port)) {
            self.unseen.add(rule, because, Some(port.dev()));
            return;
        }
        let found = check(self.window, port);
        self.add(rule, found, |evaluation| {
            make::port(evaluation.window, port)
        });
    }

    fn vm(
        &mut self,
        rule: &'static Rule,
        check: fn(&Window<'_>, &Vm<'_>) -> Option<Finding>,
        vm: &Vm<'s>,
    ) {
        let mixed = self.window.ports_of(vm).any(|port| port.is_mixed());
        if mixed && !rule.holds_in_mixed_windows {
            return;
        }
        let mut ports = self.window.ports_of(vm);
        if !vm.unseen.is_empty() || ports.any(|port| port.has_traffic()) {
            let missing = |need: &Need| {
                let mut ports = self.window.ports_of(vm);
                need.missing_on_vm(vm)
                    .or_else(|| ports.find_map(|port| need.missing_on_port(port)))
            };
            if let Some(because) = rule.needs.iter().find_map(missing) {
                self.unseen.add(rule, because, Some(vm.name));
                return;
            }
            let found = check(self.window, vm);
            self.add(rule, found, |evaluation| make::vm(evaluation.window, vm));
        }
    }

    fn add(
        &mut self,
        rule: &'static Rule,
        found: Option<Finding>,
        subject: impl FnOnce(&Self) -> Subject,
    ) {
        if let Some(found) = found {
            let subject = subject(self);
            self.advice.push(found.into_advice(rule, subject));
        }
    }

    /// "Leave it on" is not said of a VM whose offloads are to be turned off.
    fn settle(&mut self) {
        let turned_off: Vec<Option<String>> = self
            .advice
            .iter()
            .filter(|advice| advice.verdict.is_finding() && turns_off(advice))
            .map(|advice| advice.subject.vm.clone())
            .filter(Option::is_some)
            .collect();
        if !turned_off.is_empty() {
            self.advice.retain(|advice| {
                advice.verdict != Verdict::Keep || !turned_off.contains(&advice.subject.vm)
            });
        }
        // Findings first, and what costs most first among its like.
        let rank = |advice: &Advice| (!advice.verdict.is_finding(), advice.subject.level);
        let cores = |advice: &Advice| advice.price.as_ref().map_or(0.0, |price| price.cores.value);
        self.advice.sort_by(|one, other| {
            let by_cores = || cores(other).total_cmp(&cores(one));
            rank(one).cmp(&rank(other)).then_with(by_cores)
        });
    }

    fn report(self) -> Report {
        let window = self.window;
        let host = &window.host;
        let silent = window
            .ports
            .iter()
            .filter(|port| port.is_tap() && port.uncounted.is_none() && !port.has_traffic());
        let tried_notes = tried::notes(window, &self.advice);
        Report {
            schema: SCHEMA.into(),
            version: SCHEMA_VERSION,
            host: ReportHost {
                name: host.name.to_owned(),
                kernel: host.kernel.to_owned(),
                online_cpus: host.online_cpus,
                netns: host.netns,
                hook: host.hook.name().into(),
            },
            window: ReportWindow {
                seconds: window.seconds,
                start_unix_ms: window.time_unix_ms.0,
                end_unix_ms: window.time_unix_ms.1,
                has_traffic: window.has_traffic(),
            },
            advice: self.advice,
            cannot_see: self.unseen.list,
            too_short: self.too_short,
            silent: silent.map(|port| make::port(window, port)).collect(),
            notes: host.notes.iter().cloned().chain(tried_notes).collect(),
        }
    }
}

fn turns_off(advice: &Advice) -> bool {
    advice.fixes.first().is_some_and(|fix| match &fix.action {
        Action::SetFeatures { features, .. } => features.values().any(|on| !on),
        Action::LibvirtXml { xml, .. } => xml.contains("='off'"),
        _ => false,
    })
}

impl On {
    /// Whether an interface is of the kind.
    pub fn includes(self, port: &Port<'_>) -> bool {
        match self {
            Self::Tap => port.is_tap(),
            Self::Uplink => port.found.kind == Kind::Physical || port.is_kind("bond"),
            Self::Bridge => port.found.kind == Kind::Bridge,
            Self::Tunnel => TUNNELS.iter().any(|kind| port.is_kind(kind)),
            Self::Any => true,
        }
    }
}

/// Kinds of tunnel devices.
const TUNNELS: [&str; 10] = [
    "vxlan",
    "geneve",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "ipip",
    "sit",
    "ip6tnl",
    "erspan",
];

/// What could not be seen, the same reason of the same rule once.
#[derive(Default)]
struct UnseenList {
    list: Vec<Unseen>,
    places: HashMap<(&'static str, Cow<'static, str>), usize>,
}

impl UnseenList {
    fn add(&mut self, rule: &'static Rule, because: Cow<'static, str>, of: Option<&str>) {
        let list = &mut self.list;
        let place = *self
            .places
            .entry((rule.id, because.clone()))
            .or_insert_with(|| {
                list.push(Unseen {
                    rule: rule.id.into(),
                    because,
                    of: Vec::new(),
                });
                list.len() - 1
            });
        self.list[place].of.extend(of.map(ToOwned::to_owned));
    }
}
