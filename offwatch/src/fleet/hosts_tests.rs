use super::*;
use crate::fleet::answer::tests::vector;

const NOW_S: f64 = 10_000.0;

fn heard(of: [&[(&str, f64)]; 4]) -> (Vec<Host>, Vec<Stale>) {
    let [hosts, down, remembered, seen] = of.map(|series| vector(series).series);
    let heard = Heard {
        now_s: NOW_S,
        hosts: &hosts,
        down: &down,
        remembered: &remembered,
        seen: &seen,
        step_s: 10,
        stale_after_s: 300.0,
        remember_s: 3600,
    };
    heard.sorted()
}

#[test]
fn hosts_are_fresh_stale_or_gone() {
    let (hosts, stale) = heard([
        &[
            ("job=o,instance=b:1,host=beta,kernel=6.1,hook=tp", 9_990.0),
            ("job=o,instance=a:1,host=alpha", 9_701.0),
            ("job=o,instance=old:1,host=old", 9_699.0),
        ],
        &[
            ("job=o,instance=down:1", 0.0),
            ("job=o,instance=new:1", 0.0),
        ],
        &[
            ("job=o,instance=a:1,host=alpha", 9_701.0),
            ("job=o,instance=down:1,host=down", 9_000.0),
            ("job=o,instance=gone:1,host=gone", 8_000.0),
            ("job=o,instance=gone:1,host=gone,kernel=older", 7_000.0),
        ],
        &[
            ("job=o,instance=gone:1,host=gone", 1.0),
            ("job=o,instance=brief:1,host=brief", 1.0),
        ],
    ]);
    let names: Vec<&str> = hosts.iter().map(|host| &*host.host).collect();
    assert_eq!(names, ["alpha", "beta"]);
    let beta = &hosts[1];
    assert_eq!(beta.kernel.as_deref(), Some("6.1"));
    assert_eq!(beta.last_seen_unix_ms, 9_990_000);
    let told = |stale: &Stale| {
        (
            stale.host.clone().unwrap_or_default(),
            stale.last_seen_unix_ms,
            stale.last_seen_within_seconds,
            stale.reason.clone(),
        )
    };
    let cannot = "it cannot be scraped (up is 0)";
    let no_more = "Prometheus scrapes it no more";
    let mut told: Vec<_> = stale.iter().map(told).collect();
    told.sort();
    let expected = [
        (
            "",
            None,
            3600,
            "it cannot be scraped (up is 0), and was never seen as a host; its job has hosts",
        ),
        ("brief", None, 3600, no_more),
        ("down", Some(9_000_000), 10, cannot),
        ("gone", Some(8_000_000), 10, no_more),
        ("old", Some(9_699_000), 0, "its newest sample is 5 min old"),
    ];
    let expected = expected
        .map(|(host, seen, within, reason)| (host.to_owned(), seen, within, reason.to_owned()));
    assert_eq!(told, expected);
}

#[test]
fn a_host_that_is_down_is_not_fresh_for_its_last_sample() {
    let host: &[_] = &[("job=o,instance=a:1,host=alpha", 9_999.0)];
    let (hosts, stale) = heard([host, &[("job=o,instance=a:1", 0.0)], host, &[]]);
    assert_eq!(hosts, []);
    assert_eq!(stale.len(), 1);
    assert_eq!(stale[0].last_seen_unix_ms, Some(9_999_000));
}

#[test]
fn targets_with_one_name_are_told_apart() {
    let (hosts, _) = heard([
        &[
            ("job=o,instance=a:1,host=alpha", 9_990.0),
            ("job=o,instance=a:2,host=alpha", 9_990.0),
            ("job=o,instance=b:1,host=beta", 9_990.0),
            ("job=o,instance=c:1,host=gamma", 9_990.0),
            ("job=p,instance=c:1,host=gamma", 9_990.0),
        ],
        &[],
        &[],
        &[],
    ]);
    assert_eq!(
        names(&hosts),
        [
            "alpha (a:1)",
            "alpha (a:2)",
            "beta",
            "gamma (o, c:1)",
            "gamma (p, c:1)"
        ]
    );
}

#[test]
fn hosts_tell_of_themselves() {
    let mut host = Host::default();
    let answer = vector(&[
        ("__name__=offwatch_build_info,version=0.2.0", 1.0),
        (
            "__name__=offwatch_unavailable,what=gso,reason=hook raw",
            1.0,
        ),
        ("__name__=offwatch_unavailable,what=note,reason=one", 1.0),
        ("__name__=offwatch_unavailable,what=note,reason=two", 1.0),
        ("__name__=offwatch_interfaces", 9.0),
        ("__name__=offwatch_interfaces_left_out", 7.0),
        ("__name__=offwatch_host_online_cpus", 8.0),
        ("__name__=offwatch_sample_timestamp_seconds", 9_600.0),
        (
            "__name__=offwatch_advice_last_evaluation_timestamp_seconds",
            1.5,
        ),
    ]);
    assert_eq!(host.weight(), 1_000);
    answer.series.iter().for_each(|series| host.learn(series));
    assert_eq!(host.offwatch_version.as_deref(), Some("0.2.0"));
    assert_eq!(host.cannot_see["gso"], "hook raw");
    assert_eq!(host.notes, ["one", "two"]);
    assert_eq!((host.left_out, host.weight()), (Some(7), 2));
    assert_eq!(host.advice.time_unix_ms, Some(1500));
    assert_eq!(host.online_cpus, Some(8));
    // However young it was when it was scraped: it may be a file that nobody writes.
    assert_eq!(host.stuck(NOW_S, 500.0), None);
    let stuck = host.stuck(NOW_S, 300.0).expect("stale");
    assert_eq!(
        stuck.reason,
        "it is scraped, but its offwatch took no sample for 7 min, if its clock is right"
    );
    assert_eq!(stuck.last_seen_unix_ms, Some(9_600_000));
}

#[test]
fn hosts_of_one_job_and_instance_are_not_mixed() {
    let (hosts, stale) = heard([
        &[
            ("job=o,instance=a:1,host=alpha,cluster=x", 9_990.0),
            ("job=o,instance=a:1,host=beta,cluster=y", 9_991.0),
            // A series of before, as after another kernel was started.
            ("job=o,instance=c:1,host=gamma,kernel=6.1", 9_500.0),
            ("job=o,instance=c:1,host=gamma,kernel=6.2", 9_990.0),
        ],
        &[],
        &[("job=o,instance=a:1,host=alpha,cluster=x", 9_990.0)],
        &[],
    ]);
    let names: Vec<&str> = hosts.iter().map(|host| &*host.host).collect();
    assert_eq!(names, ["gamma"]);
    let told = stale.iter().find(|stale| stale.target.instance() == "a:1");
    let reason = &told.expect("told").reason;
    assert!(reason.contains("(alpha, beta)"), "{reason}");
}

#[test]
fn clocks_that_are_ahead_are_told() {
    let (hosts, stale) = heard([
        &[("job=o,instance=a:1,host=alpha", 96_400.0)],
        &[],
        &[],
        &[],
    ]);
    assert_eq!((hosts.len(), stale.len()), (0, 1));
    let ahead = Host {
        sample_time_unix_ms: Some(96_400_000),
        ..Host::default()
    };
    let reason = ahead.stuck(NOW_S, 300.0).expect("stale").reason;
    assert!(reason.starts_with("its clock is 24 h ahead"), "{reason}");
}
