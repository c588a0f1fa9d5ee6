//! How rules name subjects, evidence and changes.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    advice::{Action, Evidence, Fix, Level, Persistence, Scope, Subject, Text, Unit},
    window::{Feature, Owner, Port, Vm, Window},
};
use crate::{
    model::Means,
    sample::{Hook, Kind},
};

/// The host.
pub(super) fn host(window: &Window<'_>) -> Subject {
    Subject {
        level: Level::Host,
        vm: None,
        vm_uuid: None,
        dev: None,
        ifindex: None,
        netns: window.host.netns,
    }
}

/// A VM.
pub(super) fn vm(window: &Window<'_>, vm: &Vm<'_>) -> Subject {
    Subject {
        level: Level::Vm,
        vm: Some(vm.name.to_owned()),
        vm_uuid: vm.uuid.map(ToOwned::to_owned),
        ..host(window)
    }
}

/// An interface, and its VM if it has one.
pub(super) fn port(window: &Window<'_>, port: &Port<'_>) -> Subject {
    let owner = match window.vm_of(port) {
        Some(owner) => vm(window, owner),
        None => host(window),
    };
    let level = match (port.owner, &port.found.kind) {
        (Owner::Vm(_), _) => Level::Vm,
        (_, Kind::Physical) => Level::Uplink,
        (_, Kind::Other(kind)) if kind == "bond" => Level::Uplink,
        (_, Kind::Bridge) => Level::Bridge,
        _ => Level::Other,
    };
    Subject {
        level,
        dev: Some(port.dev().to_owned()),
        ifindex: Some(port.found.ifindex),
        ..owner
    }
}

/// A number that the hooks counted.
pub(super) fn counted(
    window: &Window<'_>,
    what: impl Into<Text>,
    value: f64,
    unit: Unit,
) -> Evidence {
    let by = match window.host.hook {
        Hook::Tp => "hook tp",
        Hook::Raw => "hook raw",
        Hook::Tc => "hook tc",
    };
    told(what, value, unit, by)
}

/// A number that somebody else told.
pub(super) fn told(what: impl Into<Text>, value: f64, unit: Unit, by: impl Into<Text>) -> Evidence {
    Evidence {
        what: what.into(),
        value,
        unit,
        by: by.into(),
        at_least: false,
    }
}

/// Segments cut on the way to an interface.
pub(super) fn cut(window: &Window<'_>, port: &Port<'_>) -> Evidence {
    let work = port.work.unwrap_or_default();
    Evidence {
        what: "segments cut in software".into(),
        value: window.per_s(work.segments),
        unit: Unit::SegmentsPerS,
        by: means(work.segments_by),
        at_least: work.at_least,
    }
}

/// Bytes summed on the way to an interface.
pub(super) fn summed(window: &Window<'_>, port: &Port<'_>) -> Evidence {
    let work = port.work.unwrap_or_default();
    Evidence {
        what: "bytes checksummed in software".into(),
        value: window.per_s(work.checksum_bytes),
        unit: Unit::BytesPerS,
        by: means(work.checksum_bytes_by),
        at_least: work.at_least,
    }
}

fn means(means: Option<Means>) -> Text {
    Cow::Borrowed(match means {
        Some(Means::Fexit) => "exact by fexit",
        Some(Means::Kprobe) => "exact by kprobe",
        Some(Means::Derived) | None => "derived",
    })
}

/// Whether a feature is on.
pub(super) fn feature(port: &Port<'_>, feature: Feature) -> Evidence {
    let on = f64::from(u8::from(port.is_on(feature)));
    told(feature.name(), on, Unit::OnOff, "ethtool netlink")
}

/// What a change of features touches.
pub(super) fn scope(port: &Port<'_>) -> Scope {
    match &port.found.kind {
        Kind::Tap => Scope::Tap,
        Kind::Physical => Scope::Uplink,
        Kind::Other(kind) if kind == "bond" => Scope::Uplink,
        _ => Scope::Device,
    }
}

/// Whether a guest's next negotiation overwrites a feature of a tap.
fn is_negotiated(feature: Feature) -> bool {
    matches!(
        feature,
        Feature::TxChecksum
            | Feature::Tso
            | Feature::TsoEcn
            | Feature::Tso6
            | Feature::Uso
            | Feature::UdpTunnel
            | Feature::UdpTunnelCsum
    )
}

/// The name of an interface for a shell: the kernel takes any character but a
/// few, and a command is to be copied as it is printed.
pub(super) fn shell<'p>(port: &'p Port<'_>) -> Cow<'p, str> {
    // It fails for NUL alone, which no name has.
    shlex::try_quote(port.dev()).unwrap_or(Cow::Borrowed(port.dev()))
}

/// Features of an interface are switched.
pub(super) fn set_features(
    window: &Window<'_>,
    port: &Port<'_>,
    features: &[(Feature, bool)],
) -> Fix {
    debug_assert!(
        port.found.kind != Kind::Bridge,
        "flags of a bridge do nothing for what it forwards"
    );
    let mut command = format!("ethtool -K {}", shell(port));
    for (feature, on) in features {
        let state = if *on { "on" } else { "off" };
        command += &format!(" {} {state}", feature.name());
    }
    let persistence = match scope(port) {
        Scope::Tap if features.iter().any(|(feature, _)| is_negotiated(*feature)) => {
            Persistence::UntilNegotiation
        }
        Scope::Tap => Persistence::UntilRecreated,
        _ => Persistence::UntilHostBoot,
    };
    let named = features.iter();
    Fix {
        scope: scope(port),
        when: None,
        action: Action::SetFeatures {
            dev: port.dev().to_owned(),
            ifindex: port.found.ifindex,
            netns: window.host.netns,
            features: named
                .map(|(feature, on)| (Cow::Borrowed(feature.name()), *on))
                .collect::<BTreeMap<_, _>>(),
            command,
        },
        persistence,
    }
}

/// A command on the host that changes an interface.
pub(super) fn command(port: &Port<'_>, command: String) -> Fix {
    debug_assert!(
        ["ip ", "tc ", "ethtool ", "iptables "]
            .iter()
            .any(|program| command.starts_with(program))
            && shlex::split(&command).is_some_and(|words| {
                let own = words.iter().filter(|word| *word != port.dev());
                let mut own = own.map(String::as_str);
                own.all(|word| !word.contains([',', ':', ';']) && !word.contains(".."))
            }),
        "it can be run as it is: {command}"
    );
    Fix {
        scope: scope(port),
        when: None,
        action: Action::Command { command },
        persistence: match scope(port) {
            Scope::Tap => Persistence::UntilRecreated,
            _ => Persistence::UntilHostBoot,
        },
    }
}

/// Attributes of a card's `<driver>`; none if the interface is no VM's.
pub(super) fn xml(window: &Window<'_>, port: &Port<'_>, driver: impl Into<String>) -> Option<Fix> {
    let vm = window.vm_of(port)?;
    Some(Fix {
        scope: Scope::LibvirtXml,
        when: None,
        action: Action::LibvirtXml {
            domain: vm.name.to_owned(),
            mac: port.mac.map(ToOwned::to_owned),
            xml: driver.into(),
        },
        persistence: Persistence::AtColdStart,
    })
}

/// Something is done in the guest.
pub(super) fn in_guest(command: impl Into<Text>) -> Fix {
    Fix {
        scope: Scope::Guest,
        when: None,
        action: Action::InGuest {
            command: command.into(),
        },
        persistence: Persistence::AsGuestKeeps,
    }
}

/// Something is replaced by a newer version.
pub(super) fn upgrade(to: impl Into<Text>) -> Fix {
    Fix {
        scope: Scope::Host,
        when: None,
        action: Action::Upgrade { to: to.into() },
        persistence: Persistence::Lasting,
    }
}

/// Anything else that people do.
pub(super) fn people(scope: Scope, what: impl Into<Text>) -> Fix {
    Fix {
        scope,
        when: None,
        action: Action::Do { what: what.into() },
        persistence: Persistence::Lasting,
    }
}

/// The command of the trial that tells of a VM with these features, or of the first
/// change of features.
pub(super) fn trial(by_vm: Option<(&str, &str)>, fixes: &[Fix]) -> Option<String> {
    // It fails for NUL alone, which no name has.
    let quoted = |name: &str| Some(shlex::try_quote(name).ok()?.into_owned());
    if let Some((set, vm)) = by_vm {
        return Some(format!("offwatch trial --vm {} --set {set}", quoted(vm)?));
    }
    fixes.iter().find_map(|fix| match &fix.action {
        Action::SetFeatures { dev, features, .. } => {
            let each = features.iter().map(|(name, on)| {
                let state = if *on { "on" } else { "off" };
                format!("{name}={state}")
            });
            let set = each.collect::<Vec<_>>().join(",");
            Some(format!("offwatch trial --dev {} --set {set}", quoted(dev)?))
        }
        _ => None,
    })
}

impl Fix {
    /// Is made only then.
    #[must_use]
    pub(super) fn when(mut self, when: impl Into<Text>) -> Self {
        self.when = Some(when.into());
        self
    }

    /// Lasts so long.
    #[must_use]
    pub(super) fn lasting(mut self, persistence: Persistence) -> Self {
        self.persistence = persistence;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn a_command_names_an_interface_as_a_shell_wants_it() {
        let of = |dev: &str| {
            let tap = Made::tap(dev, 7).to(Frames::plain(1, 66));
            let (before, after) = Scene::default().with(tap).samples();
            let window = Window::new(&before, &after);
            let port = window.port(7).expect("it is there");
            let up = command(port, format!("ip link set dev {} up", shell(port)));
            let on = set_features(&window, port, &[(Feature::Gso, true)]);
            [up, on].map(|fix| match fix.action {
                Action::Command { command } | Action::SetFeatures { command, .. } => command,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(of("vnet0.7@a")[0], "ip link set dev vnet0.7@a up");
        for odd in ["a;reboot", "$(reboot)", "it's", "a,b..c"] {
            for command in of(odd) {
                let words = shlex::split(&command).expect("words");
                assert!(words.contains(&odd.to_owned()), "{command}");
                assert!(!command.contains(&format!(" {odd} ")), "{command}");
            }
        }
    }
}
