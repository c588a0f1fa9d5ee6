use std::time::Duration;

use super::*;

const HEAD: &str = "version = 1\n";

fn parsed(text: &str) -> Policy {
    Policy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> String {
    let error = Policy::parse(text.as_bytes()).expect_err(text);
    error.to_string()
}

/// A rule in the lines from 2 on.
fn rule(lines: &str) -> String {
    error(&format!("{HEAD}[[rule]]\n{lines}\n"))
}

#[test]
fn a_policy_is_read() {
    let policy = parsed(
        r#"version = 1
[defaults]
confirm = "2m"
canary = true
[watch]
burst = 4
per_minute = 2

[[rule]]
match = { vm = "db-*", bridge = "br0", os = "*/microsoft.com/win/*" }
features = { tso = true, "tx-udp-segmentation" = false }
definition = { host = { tso4 = true }, guest = { csum = false } }
reason = "why"

[[rule]]
match = { advice = "tap-no-tso" }

[[rule]]
features.gro = false
[rule.match]
device = "eth0"
"#,
    );
    assert_eq!(policy.confirm, Some(Duration::from_secs(120)));
    assert!(policy.canary);
    assert_eq!((policy.watch.burst, policy.watch.per_minute), (4, 2));
    let lines: Vec<usize> = policy.rules.iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [9, 15, 18]);
    let first = &policy.rules[0];
    let vm = first.matches.vm.as_ref().expect("given");
    assert!(vm.is_match("db-1") && !vm.is_match("web"));
    assert!(!vm.names("db-1") && vm.names("db-*"));
    let os = first.matches.os.as_ref().expect("given");
    assert!(os.is_match("http://microsoft.com/win/2k22"));
    assert!(first.matches.device.is_none() && first.matches.driver.is_none());
    let wishes = first.features.iter();
    let wishes: Vec<_> = wishes
        .map(|wish| (&*wish.name, wish.on, wish.line))
        .collect();
    assert_eq!(
        wishes,
        [("tso", true, 11), ("tx-udp-segmentation", false, 11)]
    );
    assert_eq!(first.definition.host, [("tso4".to_owned(), true)]);
    assert_eq!(first.definition.guest, [("csum".to_owned(), false)]);
    assert_eq!(first.reason.as_deref(), Some("why"));
    assert_eq!(
        policy.rules[1].matches.advice.as_deref(),
        Some("tap-no-tso")
    );
    assert_eq!(policy.rules[2].features[0].line, 19);
}

#[test]
fn what_is_not_given_has_its_default() {
    let policy = parsed(HEAD);
    assert!(policy.rules.is_empty() && !policy.canary && policy.confirm.is_none());
    assert_eq!(
        policy.watch,
        WatchLimits {
            burst: 10,
            per_minute: 1
        }
    );
}

#[test]
fn a_form_of_another_version_is_refused() {
    assert_eq!(
        error("version = 2"),
        "1: version 2 is not known; write version = 1"
    );
    assert_eq!(error("[watch]\nburst = 1"), "1: missing field `version`");
}

#[test]
fn unknown_keys_are_answered_with_the_nearest() {
    assert_eq!(
        error("version = 1\n\n[watch]\nbrust = 3\n"),
        "4: unknown key 'brust'; did you mean 'burst'?"
    );
    assert_eq!(
        rule("match = { vm = \"a\",\n  devcie = \"b\" }"),
        "4: unknown key 'devcie'; did you mean 'device'?"
    );
    assert_eq!(
        rule("match = { vm = \"a\" }\nif = 1"),
        "4: unknown key 'if'; known are match, features, definition, reason"
    );
    assert_eq!(
        rule("match = { vm = \"a\" }\ndefinition.host.tso_4 = true"),
        "4: definition.host: libvirt has no 'tso_4'; did you mean 'tso4'?"
    );
    assert_eq!(
        rule("match = { advice = \"tap-no-tos\" }"),
        "3: match.advice: there is no rule 'tap-no-tos'; did you mean 'tap-no-tso'?"
    );
}

#[test]
fn wrong_values_are_told_with_their_line() {
    assert_eq!(
        error("version = 1\n[defaults]\nconfirm = \"soon\""),
        "3: defaults.confirm: not a time; write 120s or 2m"
    );
    assert_eq!(
        error("version = 1\n[watch]\nburst = 0"),
        "3: watch.burst: must be from 1 to 1000"
    );
    assert_eq!(
        error("version = 1\n\n[canary]\nfew = 0"),
        "3: canary.few must be 1 or more"
    );
    assert_eq!(
        rule("match = { vm = \"a\" }\nfeatures = {\n  tso = \"on\" }"),
        "5: write true or false"
    );
    assert_eq!(
        rule("match = { vm = \"a\" }\nfeatures.tso = off"),
        "4: write true or false"
    );
    assert_eq!(
        error("version = 1\n[defaults]\nconfirm = 120"),
        "3: write a time such as \"120s\""
    );
    for bad in ["-1", "\"3\"", "1.5"] {
        assert_eq!(
            error(&format!("version = 1\n[watch]\nburst = {bad}")),
            "3: write a whole number, 0 or more, without quotes"
        );
    }
    assert_eq!(
        error("version = 1\n[canary]\ndrops_percent = \"3\""),
        "3: write a number, without quotes"
    );
    assert_eq!(
        rule("match = { device = \"a[b\" }\nfeatures.tso = true"),
        "3: match.device: 'a[b' is not a valid pattern: unclosed character class; missing ']'"
    );
    let long = "x".repeat(33);
    assert_eq!(
        rule(&format!(
            "match = {{ device = \"a\" }}\nfeatures.{long} = true"
        )),
        format!("4: '{long}' cannot be the name of a feature")
    );
    assert!(error("version = 1\nx = [").starts_with("2: "));
    assert!(error("version = 1\nversion = 1").starts_with("2: duplicate key"));
}

#[test]
fn a_rule_must_mean_something() {
    assert!(rule("match = {}\nfeatures.tso = true").starts_with("3: match is empty"));
    assert!(rule("features.tso = true").starts_with("2: missing field `match`"));
    assert!(rule("match = { vm = \"a\" }").starts_with("2: the rule asks for nothing"));
    assert!(
        rule("match = { advice = \"tap-no-tso\" }\nfeatures.tso = true")
            .starts_with("2: match.advice takes what the advice says")
    );
    assert!(rule("match = { vm = \"\" }\nfeatures.tso = true").contains("it is empty"));
}

#[test]
fn any_bytes_are_answered() {
    let error = Policy::parse(b"version = 1\n# \xff").expect_err("no UTF-8");
    assert_eq!(error, PolicyError::at(2, Problem::NotText));
    let nested = format!("version = 1\nx = {}", "[".repeat(100_000));
    assert!(Policy::parse(nested.as_bytes()).is_err());
    let many = format!(
        "{HEAD}{}",
        "[[rule]]\nmatch.vm = \"a\"\nfeatures.tso = true\n".repeat(1001)
    );
    let error = Policy::parse(many.as_bytes()).expect_err("too many");
    assert_eq!(error, PolicyError::at(3002, Problem::TooManyRules(1000)));
    let long = "*a".repeat(200);
    let text = format!("{HEAD}[[rule]]\nmatch.vm = \"{long}\"\nfeatures.tso = true");
    assert!(Policy::parse(text.as_bytes()).is_err());
}
