//! DHCP clients that cannot do with partial checksums.

use crate::advise::{
    advice::{Confidence, Fix, Persistence, Scope, Unit, Verdict},
    make,
    need::Need,
    rule::{Check, Family, Finding, On, Rule, Threshold},
    window::{Feature, Port, Window},
};

const ASKED: Threshold = Threshold {
    name: "broadcasts of a DHCP client",
    value: 4.0,
    unit: "in the window",
    why: "a lease takes two (DISCOVER and REQUEST); a client that gets no answer it likes asks \
        again after 4, 8 and 16 s",
};

const KEEPS_ASKING: Threshold = Threshold {
    name: "time for each of them, at most",
    value: 120.0,
    unit: "seconds",
    why: "a client without an address asks more often; one that has one asks now and then",
};

pub(super) static DHCP_PARTIAL: Rule = Rule {
    id: "dhcp-partial",
    family: Family::Checksum,
    title: "An old DHCP client ignores answers with partial checksums",
    mechanism: "A DHCP server on the host answers with the checksum left to the receiver, and a \
        client that reads raw frames takes it for wrong and asks again",
    trigger: "Answers to a DHCP client (UDP to port 68) with a partial checksum reach a tap, and \
        the client keeps asking everybody.",
    remedy: "Have netfilter compute the checksums of these answers alone; or take this VM's card \
        out of vhost (<driver name='qemu'/>); last of all tx off on that tap.",
    cost: "The netfilter rule: nothing to speak of. tx off: TSO goes, and 60 became 15 Gbit/s \
        elsewhere.",
    wrong_when: "the client has another reason to ask again, as no free address or several boots in a \
        row (over the network, then from disk): its own log tells",
    sources: &[
        "Linux commit 9d1b11102b53: the CHECKSUM target",
        "nova LP#1029430",
        "weaveworks/ignite#870",
        "libvirt commit 3855f9fbd4fe: only very old guests need it",
        "FreeBSD PR 263229",
    ],
    confidence: Confidence::High,
    needs: &[Need::Frames, Need::Gso],
    thresholds: &[&ASKED, &KEEPS_ASKING],
    check: Check::Port(On::Tap, check),
    ..Rule::BASE
};

const FILL: &str =
    "iptables -t mangle -A POSTROUTING -p udp --dport 68 -j CHECKSUM --checksum-fill";

fn check(window: &Window<'_>, port: &Port<'_>) -> Option<Finding> {
    let (asked, answered) = (port.from.dhcp_packets, port.to.dhcp_packets);
    let keeps_asking = asked as f64 * KEEPS_ASKING.value >= window.seconds;
    if (asked as f64) < ASKED.value || !keeps_asking || answered == 0 {
        return None;
    }
    let text = format!(
        "the guest behind {} asked for an address {asked} times, and got {answered} answers whose \
         checksum was left to it",
        port.dev(),
    );
    let fill = Fix {
        scope: Scope::Host,
        ..make::command(port, FILL.to_owned())
    };
    let off = make::set_features(window, port, &[(Feature::TxChecksum, false)]);
    let xml = make::xml(window, port, "<driver name='qemu'/>");
    let mut found = Finding::new(Verdict::Change, text)
        .measured([
            make::counted(
                window,
                "broadcasts of its client",
                asked as f64,
                Unit::Frames,
            ),
            make::counted(
                window,
                "answers with a partial checksum",
                answered as f64,
                Unit::Frames,
            ),
        ])
        .fix(fill.lasting(Persistence::UntilHostBoot));
    if let Some(xml) = xml {
        found = found.fix(xml.when("if the server is not on this host, or is a guest itself"));
    }
    Some(found.fix(off.when("if neither helps: it costs this guest its TSO")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::testing::{Frames, Made, Scene};

    #[test]
    fn a_client_that_keeps_asking_is_told_from_one_that_got_its_lease() {
        let says = |asked, answered| {
            let tap = Made::tap("vnet0", 7)
                .vm("old")
                .from(Frames::plain(asked, 342).dhcp())
                .to(Frames::partial(answered, 342).dhcp());
            Scene::default().with(tap).advice(&DHCP_PARTIAL)
        };
        let found = says(4, 1);
        assert_eq!(found[0].verdict, Verdict::Change);
        let scopes: Vec<_> = found[0].fixes.iter().map(|fix| fix.scope).collect();
        assert_eq!(scopes, [Scope::Host, Scope::LibvirtXml, Scope::Tap]);
        assert_eq!(says(3, 3), []);
        let long = |asked, hours: u64| {
            let tap = Made::tap("vnet0", 7)
                .vm("old")
                .from(Frames::plain(asked, 342).dhcp())
                .to(Frames::partial(asked, 342).dhcp());
            let scene = Scene::lasting(hours * 3_600).with(tap);
            !scene.advice(&DHCP_PARTIAL).is_empty()
        };
        assert!(!long(29, 1), "it got its lease, several times");
        assert!(long(30, 1));
        assert_eq!(says(4, 0), [], "nobody answers, or with whole checksums");
    }
}
