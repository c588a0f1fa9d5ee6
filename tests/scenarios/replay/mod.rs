//! Conditions that no lab can create, as windows written by hand: faults of
//! drivers and cards, and guests other than Linux.

mod cards;
mod guests;

use offwatch::advise::{
    Verdict,
    advice::Scope,
    testing::{Frames, Made, Scene},
};

use super::bank::{Expect, Expected};

/// A host with a card of this driver in its bridge, and two guests that send and
/// receive through it.
fn host(uplink: Made) -> Scene {
    let tap = |dev, ifindex, vm| {
        let tap = Made::tap(dev, ifindex).vm(vm).master(3);
        tap.to(Frames::tcp(2_000, 40)).from(Frames::tcp(2_000, 40))
    };
    Scene::default()
        .with(uplink.master(3))
        .with(Made::bridge("br0", 3))
        .with(tap("vnet0", 7, "web"))
        .with(tap("vnet1", 8, "db"))
}

fn card(driver: &str) -> Made {
    let card = Made::uplink("eth0", 2, driver);
    card.from(Frames::tcp(4_000, 40)).to(Frames::tcp(4_000, 40))
}

/// Leave both guests' offloads on, and nothing else.
fn keep() -> Expect {
    Expect::Keep(["web", "db"].map(Expected::keep_on).into())
}

fn change(rule: &'static str, about: &'static str, scope: Scope, part: &'static str) -> Expect {
    let verdict = Verdict::Change;
    Expect::Findings(vec![Expected::finding(rule, verdict, about, scope, part)])
}
