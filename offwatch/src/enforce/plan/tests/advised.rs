//! What is taken of an advice.

use super::*;
use crate::enforce::{
    from_advice::{FromAdvice, Item, What},
    plan::json::Document,
    policy::Switches,
};

fn advice(vm: &str, ifindex: u32, what: Option<What>) -> FromAdvice {
    let id = Id {
        netns: 9,
        ifindex,
        dev: "vnet0".into(),
    };
    let features = vec![("rx-gro".into(), false)];
    FromAdvice {
        file: "-".into(),
        items: vec![Item {
            rule: "tap-no-tso".into(),
            vm: Some(vm.into()),
            vm_uuid: Some(format!("uuid-{vm}")),
            dev: Some("vnet0".into()),
            what: what.unwrap_or(What::Features { id, features }),
        }],
    }
}

fn advised(targets: &Targets, advice: &FromAdvice, rules: Option<&str>) -> Result<Plan, PlanError> {
    let policy = rules.map(policy);
    let sources = Sources {
        policy: policy.as_ref().map(|policy| (FILE, policy)),
        advice: Some(advice),
    };
    make(targets, sources)
}

#[test]
fn an_advice_is_about_the_interface_that_it_saw() {
    let targets = targets([tap(3, "vnet0", Some("db"))]);
    let of = |vm, ifindex| advised(&targets, &advice(vm, ifindex, None), None).expect("a plan");
    let plan = of("db", 3);
    assert_eq!(devs(&plan), ["vnet0"]);
    assert_eq!(plan.changes[0].why.place(), "- [tap-no-tso]");
    for (vm, ifindex, because) in [
        (
            "db",
            4,
            "vnet0: the one with ifindex 4 is gone, or has another name now; run advise again",
        ),
        (
            "web",
            3,
            "vnet0: it belongs to VM db now, not to web; run advise again",
        ),
    ] {
        let plan = of(vm, ifindex);
        assert_eq!(
            (devs(&plan).len(), left(&plan)),
            (0, vec![because.to_owned()])
        );
    }
    let elsewhere = Targets {
        targets: targets
            .targets
            .iter()
            .cloned()
            .map(|mut target| {
                target.id.netns = 8;
                target
            })
            .collect(),
        ..targets.clone()
    };
    let plan = advised(&elsewhere, &advice("db", 3, None), None).expect("a plan");
    assert_eq!(
        left(&plan),
        ["vnet0: the advice is about another network namespace; run advise again"]
    );
}

#[test]
fn a_policy_says_what_of_an_advice_is_taken() {
    let targets = targets([tap(3, "vnet0", Some("db"))]);
    let advice = advice("db", 3, None);
    let taken = |rules: &str| devs(&advised(&targets, &advice, Some(rules)).expect("a plan")).len();
    assert_eq!(taken(&rule("advice = \"tap-no-tso\"", "")), 1);
    assert_eq!(
        taken(&rule(
            "advice = \"tap-no-tso\", vm = \"d*\"",
            "reason = \"x\""
        )),
        1
    );
    assert_eq!(taken(&rule("advice = \"tap-no-tso\", vm = \"web\"", "")), 0);
    assert_eq!(taken(&rule("advice = \"tap-sg-off\"", "")), 0);
    assert_eq!(taken(""), 0);
    let none = advised(
        &targets,
        &advice,
        Some(&rule("advice = \"tap-sg-off\"", "")),
    );
    let none = none.expect("a plan");
    assert_eq!(left(&none), ["vnet0: no rule of the policy takes it"]);
    assert_eq!(none.left[0].why.place(), "- [tap-no-tso]");
    let both = rule("advice = \"tap-no-tso\"", "") + &rule("vm = \"db\"", "features.gro = true");
    let error = advised(&targets, &advice, Some(&both)).expect_err("a contradiction");
    assert!(
        error.to_string().contains("policy.toml:2 [tap-no-tso]"),
        "{error}"
    );
    let error = planned(&targets, &rule("advice = \"tap-no-tso\"", ""));
    let error = error.expect_err("no advice").to_string();
    assert_eq!(
        error,
        "policy.toml:2: match.advice takes an advice; give it with --from"
    );
}

#[test]
fn what_is_done_by_others_is_told() {
    let targets = targets([tap(3, "vnet0", Some("db"))]);
    let told = advice("db", 3, Some(What::Left("in the guest: x".into())));
    let plan = advised(&targets, &told, None).expect("a plan");
    assert_eq!(left(&plan), ["vnet0: in the guest: x"]);
    let what = What::Definition {
        vm: "db".into(),
        mac: Some("52:54:00:00:00:01".into()),
        switches: Switches {
            host: Vec::new(),
            guest: vec![("csum".into(), true)],
        },
    };
    let plan = advised(&targets, &advice("db", 3, Some(what)), None).expect("a plan");
    assert_eq!(
        plan.definitions[0].xml(),
        "<driver><guest csum='on'/></driver>"
    );
    let document = serde_json::to_value(Document::from(&plan)).expect("JSON");
    assert_eq!(document["schema"], "offwatch.plan");
    assert_eq!(document["definitions"][0]["guest"]["csum"], true);
    assert_eq!(document["has_changes"], true);
}
