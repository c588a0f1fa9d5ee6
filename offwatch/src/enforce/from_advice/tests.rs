use serde_json::{Value, json};

use super::*;

/// An advice whose one piece has these fixes.
fn advice(verdict: &str, fixes: Value) -> Value {
    json!({
        "schema": "offwatch.advice", "version": 1,
        "host": {"name": "h", "kernel": "6.1", "online_cpus": 2, "netns": 9, "hook": "tp"},
        "window": {"seconds": 1.0, "start_unix_ms": 1, "end_unix_ms": 2, "has_traffic": true},
        "advice": [{
            "rule": "tap-no-tso", "verdict": verdict,
            "subject": {"level": "vm", "vm": "db", "vm_uuid": "u-1", "dev": "vnet0",
                "ifindex": 7, "netns": 9},
            "finding": "f", "measured": [], "mechanism": "m", "fixes": fixes,
            "price": null, "confidence": "high", "wrong_when": "w",
        }],
        "cannot_see": [], "too_short": [], "silent": [], "notes": [],
    })
}

fn fix(action: Value) -> Value {
    let mut fix = json!({"scope": "tap", "persistence": "until_negotiation"});
    let fields = fix.as_object_mut().expect("an object");
    fields.extend(action.as_object().expect("an object").clone());
    fix
}

fn features() -> Value {
    fix(json!({
        "action": "set_features", "dev": "vnet0", "ifindex": 7, "netns": 9,
        "features": {"tx-tcp-segmentation": true}, "command": "ethtool -K vnet0 ...",
    }))
}

fn xml(xml: &str) -> Value {
    fix(json!({"action": "libvirt_xml", "domain": "db", "mac": "52:54:00:00:00:01", "xml": xml}))
}

fn in_guest() -> Value {
    fix(json!({"action": "in_guest", "command": "ethtool -K eth0 tso on"}))
}

fn parsed(value: &Value) -> Result<FromAdvice, AdviceError> {
    FromAdvice::parse("-", value.to_string().as_bytes())
}

fn whats(verdict: &str, fixes: &[Value]) -> Vec<What> {
    let found = parsed(&advice(verdict, json!(fixes))).expect("an advice");
    found.items.into_iter().map(|item| item.what).collect()
}

fn left(text: &str) -> What {
    What::Left(text.into())
}

#[test]
fn the_first_change_is_made_and_further_ones_are_told() {
    let id = Id {
        netns: 9,
        ifindex: 7,
        dev: "vnet0".into(),
    };
    let features_of = What::Features {
        id,
        features: vec![("tx-tcp-segmentation".into(), true)],
    };
    assert_eq!(
        whats("change", &[features(), in_guest()]),
        [
            features_of,
            left("if that does not help: in the guest: ethtool -K eth0 tso on")
        ]
    );
    let mut conditional = features();
    conditional["when"] = json!("until then");
    assert_eq!(
        whats("change", &[conditional]),
        [left("until then: run ethtool -K vnet0 ...")]
    );
}

#[test]
fn nothing_is_done_without_the_verdict() {
    assert_eq!(whats("keep", &[features()]), []);
    assert_eq!(whats("cannot_see", &[features()]), []);
    assert_eq!(
        whats("needs_trial", &[features()]),
        [left("only a trial can tell: run ethtool -K vnet0 ...")]
    );
    assert_eq!(
        whats("fix_in_guest", &[in_guest(), features()]),
        [left("in the guest: ethtool -K eth0 tso on")]
    );
    assert_eq!(whats("change", &[]), []);
}

#[test]
fn attributes_of_a_driver_are_understood() {
    let offer = "<driver><guest csum='on' tso4='off'/><host mrg_rxbuf='on'/></driver>";
    let [What::Definition { vm, mac, switches }] = &whats("change", &[xml(offer)])[..] else {
        panic!("no definition");
    };
    assert_eq!((&**vm, mac.as_deref()), ("db", Some("52:54:00:00:00:01")));
    assert_eq!(
        switches.guest,
        [("csum".into(), true), ("tso4".into(), false)]
    );
    assert_eq!(switches.host, [("mrg_rxbuf".into(), true)]);
    for other in [
        "<mtu size='9000'/>",
        "<driver queues='4'/>",
        "<driver name='qemu'><guest csum='on'/></driver>",
        "<driver><guest csum='maybe'/></driver>",
        "<driver><guest gso='on'/></driver>",
        "<driver><other csum='on'/></driver>",
        "<driver/>",
        "<driver>",
    ] {
        let whats = whats("change", &[xml(other)]);
        let told = format!("in the XML of db card 52:54:00:00:00:01: {other}");
        assert_eq!(whats, [left(&told)]);
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let error = |value: &Value| parsed(value).expect_err("an error").to_string();
    let good = advice("change", json!([features()]));
    assert!(parsed(&good).is_ok());
    let mut other = good.clone();
    other["schema"] = json!("offwatch.sample");
    assert_eq!(
        error(&other),
        "not an advice, but 'offwatch.sample'; give what `offwatch advise --json` prints"
    );
    assert!(error(&json!([1])).starts_with("not an advice, but JSON without a schema"));
    let mut newer = good.clone();
    newer["version"] = json!(2);
    assert!(error(&newer).starts_with("advice of version 2; "));
    let mut unknown = good.clone();
    unknown["advice"][0]["fixes"][0]["only_if"] = json!("idle");
    assert_eq!(error(&unknown), "unknown field 'advice.0.fixes.0.only_if'");
    let mut missing = good.clone();
    missing["advice"][0]["subject"] = json!({});
    assert!(error(&missing).starts_with("not an advice: missing field"));
    let cut = &good.to_string()[..100];
    let error = FromAdvice::parse("-", cut.as_bytes()).expect_err("cut");
    assert!(error.to_string().starts_with("not JSON: EOF"), "{error}");
}
