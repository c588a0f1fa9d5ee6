use super::*;
use crate::fleet::{answer::tests::vector, hosts::Evaluation};

fn advice(vms: &[&str]) -> FleetAdvice {
    let host = |name: &str| Host {
        host: name.into(),
        target: Target::new("o", &format!("{name}:1")),
        advice: Evaluation {
            evaluations: Some(3),
            ..Evaluation::default()
        },
        ..Host::default()
    };
    let mut hosts = vec![host("a"), host("b"), host("c"), host("d")];
    hosts[2].advice = Evaluation::default();
    hosts[3].advice.evaluations = Some(0);
    let fleet = Fleet::new((0, "http://p:9090"), (hosts, Vec::new()), &[]);
    let advice = vector(&[
        (
            "job=o,instance=a:1,rule=keep-on,vm=web,dev=t0,verdict=keep",
            1.0,
        ),
        (
            "job=o,instance=a:1,rule=tap-no-tso,vm=old,dev=t1,verdict=change",
            1.0,
        ),
        (
            "job=o,instance=b:1,rule=tap-no-tso,vm=my vm,dev=t1,verdict=change",
            1.0,
        ),
        (
            "job=o,instance=b:1,rule=of-tomorrow,vm=web,verdict=reconsider",
            1.0,
        ),
        ("job=o,instance=b:1,rule=of-tomorrow,verdict=upgrade", 1.0),
        (
            "job=o,instance=b:1,rule=tap-no-tso,vm=past,dev=t9,verdict=change",
            0.0,
        ),
        (
            "job=x,instance=b:1,rule=tap-no-tso,vm=other,dev=t1,verdict=change",
            1.0,
        ),
    ]);
    let shares = vector(&[
        ("job=o,instance=a:1,rule=tap-no-tso,vm=old,dev=t1", 0.041),
        ("job=o,instance=b:1,rule=tap-no-tso,vm=my vm,dev=t1", 0.5),
        ("job=o,instance=a:1,rule=keep-on,vm=web,dev=t0", 0.0001),
    ]);
    let vms: Vec<String> = vms.iter().map(|&vm| vm.to_owned()).collect();
    let filter = Filter::new(&vms, &[]).expect("patterns");
    FleetAdvice::new(fleet, &advice.series, &shares.series, &filter)
}

#[test]
fn what_saves_most_comes_first_whatever_its_host() {
    let text = advice(&[]).text(false);
    let title = catalogue::find("tap-no-tso").expect("a rule").title;
    let words = |text: &str| {
        text.split_whitespace()
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    let unknown = "a rule that this offwatch does not know";
    let expected = format!(
        "offwatch fleet advise - 00:00:00 UTC - hosts: 4 - PARTIAL - 4 findings\n\
         PARTIAL: d has no advice yet: its first window is not over\n\
         CHANGE:\n\
         b: VM my vm, t1 [tap-no-tso]; saves 0.50 CPU\n{title}\n\
         on b: offwatch advise --vm 'my vm'\n\
         a: VM old, t1 [tap-no-tso]; saves 0.041 CPU\n{title}\n\
         on a: offwatch advise --vm old\n\
         UPGRADE:\n\
         b: the host [of-tomorrow]\n{unknown}\non b: offwatch advise\n\
         reconsider:\n\
         b: VM web [of-tomorrow]\n{unknown}\non b: offwatch advise --vm web\n\
         KEEP: 1 (--keep lists them)\n\
         c gives no advice (export --no-advice)\n"
    );
    assert_eq!(words(&text), words(&expected), "{text}");
    let all = advice(&[]).text(true);
    assert!(
        all.contains("KEEP:\n  a: VM web, t0  [keep-on]; avoids < 0.001 CPU\n"),
        "{all}"
    );
}

#[test]
fn vms_are_chosen() {
    let of_web = advice(&["web"]);
    let json = of_web.json();
    let rules: Vec<_> = json["advice"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["rule"])
        .collect();
    // What is about the whole host is, too.
    assert_eq!(rules, ["of-tomorrow", "of-tomorrow", "keep-on"]);
    assert!(of_web.is_to_do());
}

#[test]
fn json_tells_why_something_is_null() {
    let json = advice(&[]).json();
    assert_eq!(json["schema"], SCHEMA);
    let known = &json["advice"][0];
    assert_eq!((&known["host"], &known["cpus"]), (&"b".into(), &0.5.into()));
    assert_eq!(known["unavailable"], json!({}));
    let unknown = &json["advice"][3];
    assert_eq!(unknown["verdict"], "reconsider");
    assert_eq!(unknown["is_finding"], true);
    assert_eq!(
        unknown["unavailable"],
        json!({
            "title": "a rule that this offwatch does not know",
            "dev": "not about one",
            "cpus": "its host does not price it",
        })
    );
}

#[test]
fn nothing_found_is_only_said_of_hosts_that_looked() {
    let of = |evaluations: &[Option<u64>]| {
        let hosts = evaluations
            .iter()
            .zip(["a", "b"])
            .map(|(evaluations, name)| Host {
                host: name.into(),
                target: Target::new("o", name),
                advice: Evaluation {
                    evaluations: *evaluations,
                    ..Evaluation::default()
                },
                ..Host::default()
            });
        let fleet = Fleet::new((0, "http://p:9090"), (hosts.collect(), Vec::new()), &[]);
        let filter = Filter::new(&[], &[]).expect("patterns");
        let advice = FleetAdvice::new(fleet, &[], &[], &filter);
        let text = advice.text(false);
        let first = text.lines().next().unwrap_or_default();
        let said = first.rsplit(" - ").next().unwrap_or_default().to_owned();
        (said, advice.fleet.is_partial, advice.is_to_do())
    };
    let said = |text: &str, is_partial, is_to_do| (text.to_owned(), is_partial, is_to_do);
    let nothing = "nothing found to change";
    let nobody = "no host gave advice";
    assert_eq!(of(&[Some(1), Some(2)]), said(nothing, false, false));
    assert_eq!(
        of(&[Some(1), Some(0)]),
        said(
            &format!("{nothing} on the 1 of 2 that gave advice"),
            true,
            true
        )
    );
    assert_eq!(
        of(&[Some(1), None]),
        said(
            &format!("{nothing} on the 1 of 2 that gave advice"),
            false,
            false
        )
    );
    assert_eq!(of(&[Some(0), Some(0)]), said(nobody, true, true));
    assert_eq!(of(&[None]), said(nobody, false, true));
}
