//! The harness itself: guests boot, traffic flows, nothing is left behind.
//!
//! Needs root and the packages of `offwatch_e2e::PACKAGES`; prints why and
//! passes otherwise, unless `OFFWATCH_E2E_REQUIRED` is set.

use offwatch_e2e::{Endpoint, GuestSpec, Host, Options, Stopped, unless_stuck};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const BOOT: Duration = Duration::from_secs(90);
const MIB: u64 = 1 << 20;

/// Set in the process that `killed_harness_leaves_nothing` kills.
const VICTIM: &str = "OFFWATCH_E2E_VICTIM";

/// Two hosts at once would disturb each other's timing and each other's view of
/// what was left behind.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn skip() -> bool {
    let Some(reason) = offwatch_e2e::unavailable() else {
        return false;
    };
    assert!(
        std::env::var_os("OFFWATCH_E2E_REQUIRED").is_none(),
        "cannot run: {reason}"
    );
    eprintln!("skipped: {reason}");
    true
}

#[test]
fn two_guests_live_and_leave_nothing() {
    if skip() {
        return;
    }
    let _guard = ONE_AT_A_TIME.lock();
    unless_stuck(|| {
        two_guests();
        Ok(())
    })
    .unwrap();
}

fn two_guests() {
    let before = Traces::now();
    let clock = Instant::now();
    let host = Host::start(Options::default()).unwrap();
    eprintln!("host started in {:.1?}", clock.elapsed());
    let inside = namespace_ids(&host);

    let mut multi_queue = GuestSpec::new("ow-b", 12);
    multi_queue.queues = 2;
    multi_queue.driver_xml = "<host tso4='off'/>".into();
    host.define_and_start(&GuestSpec::new("ow-a", 11)).unwrap();
    host.define_and_start(&multi_queue).unwrap();
    let clock = Instant::now();
    host.wait_ready("ow-a", BOOT).unwrap();
    host.wait_ready("ow-b", BOOT).unwrap();
    eprintln!("two guests booted side by side in {:.1?}", clock.elapsed());

    traffic(&host);
    commands(&host);
    hot_plug(&host);
    power(&host);
    daemon_restart(&host);

    let clock = Instant::now();
    drop(host);
    eprintln!("everything ended in {:.1?}", clock.elapsed());
    assert_nothing_left(&before, &inside);
}

fn traffic(host: &Host) {
    let a = Endpoint::Guest("ow-a");
    let b = Endpoint::Guest("ow-b");
    for (from, to) in [(Endpoint::Host, a), (a, b), (b, Endpoint::Host)] {
        let run = host.iperf(from, to, 2).unwrap();
        eprintln!(
            "{from:?} to {to:?}: {:.2} Gbit/s",
            run.bits_per_second / 1e9
        );
        assert!(run.bytes > MIB, "{run:?}");
    }

    assert_eq!(host.taps("ow-a").unwrap(), ["vnet0"]);
    assert_eq!(host.taps("ow-b").unwrap(), ["vnet1"]);
    // libvirt counts as the guest sees it: "rx" is what the guest received.
    let stats = host.virsh(&["domifstat", "ow-a", "vnet0"]).unwrap();
    for counter in ["rx_bytes", "tx_bytes"] {
        let value: u64 = stats
            .lines()
            .find_map(|line| line.strip_prefix(&format!("vnet0 {counter} ")))
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {counter} in {stats}"));
        assert!(value > MIB, "{stats}");
    }

    // What offwatch reads when it cannot ask libvirt.
    for (guest, tap, queues) in [("ow-a", "vnet0", 1), ("ow-b", "vnet1", 2)] {
        let pid = host.qemu_pid(guest).unwrap();
        let holds = fs::read_dir(host.path(format!("/proc/{pid}/fdinfo")))
            .unwrap()
            .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
            .filter(|info| info.contains(&format!("iff:\t{tap}\n")))
            .count();
        assert_eq!(holds, queues, "{guest} holds {tap} once for each queue");
    }
    let status = fs::read_to_string(host.path("/run/libvirt/qemu/ow-b.xml")).unwrap();
    assert!(status.contains("<host tso4='off'/>"), "{status}");
}

/// `Host::command` behaves like a direct child.
fn commands(host: &Host) {
    let inside = host
        .command("sh")
        .args(["-c", "pwd; cat /proc/self/comm; ls /sys/class/net; exit 7"])
        .current_dir("/usr")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&inside.stdout);
    assert_eq!(inside.status.code(), Some(7));
    assert!(text.starts_with("/usr\ncat\n"), "{text}");
    assert!(text.contains("vnet1") && text.contains("owbr0"), "{text}");

    let missing = host.command("/nowhere/program").spawn().unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);

    let mut script = host
        .command("sh")
        .args([
            "-c",
            "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(script.stdout.as_mut().unwrap(), &mut up).unwrap();
    signal(&script, nix::sys::signal::Signal::SIGTERM);
    assert_eq!(
        script.wait().unwrap().code(),
        Some(5),
        "TERM is handed down"
    );

    let mut sleep = host.command("sleep").arg("4321").spawn().unwrap();
    sleep.kill().unwrap();
    assert_eq!(sleep.wait().unwrap().signal(), Some(9));
    // The program itself ends just after the process that stood in for it.
    wait_until("the killed program ends", || {
        !process_exists(|cmdline| cmdline == "sleep\x004321\x00")
    });

    let failed = host.exec("ow-a", "echo out; echo err >&2; exit 3").unwrap();
    assert_eq!((failed.status, failed.text.as_str()), (3, "out\nerr\n"));
    let cpus = host.exec("ow-b", "nproc; hostname").unwrap();
    assert_eq!(cpus.success().unwrap(), "2\now-b\n");
}

fn hot_plug(host: &Host) {
    let mac = "52:54:00:0f:02:01";
    let interface = ["ow-a", "bridge", "owbr0", "--model", "virtio", "--mac", mac];
    host.virsh(&[&["attach-interface"], &interface[..]].concat())
        .unwrap();
    assert_eq!(host.taps("ow-a").unwrap(), ["vnet0", "vnet2"]);
    let has_eth1 = || {
        let found = host.exec("ow-a", "test -e /sys/class/net/eth1");
        found.unwrap().status == 0
    };
    wait_until("the guest finds eth1", has_eth1);
    host.virsh(&["detach-interface", "ow-a", "bridge", "--mac", mac])
        .unwrap();
    wait_until("the guest loses eth1", || !has_eth1());
}

fn power(host: &Host) {
    let clock = Instant::now();
    let stopped = host.shutdown("ow-b", Duration::from_secs(30)).unwrap();
    assert_eq!(stopped, Stopped::Gracefully);
    eprintln!("shut down in {:.1?}", clock.elapsed());
    assert!(!host.is_running("ow-b"));
    assert!(host.wait_ready("ow-b", Duration::ZERO).is_err());

    host.start_domain("ow-b").unwrap();
    // A new tap with a new name, not the old one.
    assert_eq!(host.taps("ow-b").unwrap(), ["vnet3"]);
    let boot = host.wait_ready("ow-b", BOOT).unwrap();
    let console = host.console("ow-b");
    let ready = console
        .lines()
        .rfind(|line| line.starts_with("init: ready"));
    eprintln!("one guest booted alone in {boot:.1?} ({ready:?})");

    let reboot = host.reboot("ow-b", BOOT).unwrap();
    eprintln!("rebooted in {reboot:.1?}");
    assert_eq!(
        host.taps("ow-b").unwrap(),
        ["vnet3"],
        "a reboot keeps the tap"
    );
}

fn daemon_restart(host: &Host) {
    let pid = host.qemu_pid("ow-a").unwrap();
    host.stop_libvirtd().unwrap();
    assert!(host.virsh(&["list"]).is_err());
    for guest in ["ow-a", "ow-b"] {
        assert!(host.is_running(guest));
        host.exec(guest, "true").unwrap().success().unwrap();
    }
    host.start_libvirtd().unwrap();
    assert_eq!(host.qemu_pid("ow-a").unwrap(), pid);
    let names = host.virsh(&["list", "--name"]).unwrap();
    assert_eq!(
        names.split_whitespace().collect::<Vec<_>>(),
        ["ow-a", "ow-b"]
    );
}

/// What a kernel prints that stands still is printed here by a guest that does not:
/// the test that failed with it is run again, one that fails without it is not.
#[test]
fn a_test_is_run_again_where_a_guest_stood_still() {
    if skip() {
        return;
    }
    let _guard = ONE_AT_A_TIME.lock();
    for (words, runs) in [("BUG: soft lockup - CPU#0 stuck for 26s!", 2), ("fine", 1)] {
        let mut seen = 0;
        let ended = unless_stuck(|| {
            seen += 1;
            let host = Host::start(Options::default())?;
            host.define_and_start(&GuestSpec::new("ow-s", 22))?;
            host.wait_ready("ow-s", BOOT)?;
            if seen == 1 {
                host.exec("ow-s", &format!("echo 'watchdog: {words}' >/dev/console"))?
                    .success()?;
                anyhow::bail!("the first run fails");
            }
            Ok(())
        });
        assert_eq!(
            (seen, ended.is_ok()),
            (runs, runs == 2),
            "{words}: {ended:?}"
        );
    }
}

#[test]
fn killed_harness_leaves_nothing() {
    if std::env::var_os(VICTIM).is_some() {
        let host = Host::start(Options::default()).unwrap();
        host.define_and_start(&GuestSpec::new("ow-k", 21)).unwrap();
        let mut child = host.command("sleep").arg("4322").spawn().unwrap();
        println!("VICTIM {}", namespace_ids(&host).join(" "));
        child.wait().unwrap();
        return;
    }
    if skip() {
        return;
    }
    let _guard = ONE_AT_A_TIME.lock();
    let before = Traces::now();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_harness_leaves_nothing", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = std::io::BufReader::new(victim.stdout.take().unwrap());
    let inside: Vec<String> = std::io::BufRead::lines(stdout)
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, ids) = line.split_once("VICTIM ")?;
            Some(ids.split(' ').map(str::to_owned).collect())
        })
        .expect("the victim starts a host");
    assert!(process_exists(|cmdline| cmdline.contains("guest=ow-k,")));
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_nothing_left(&before, &inside);
}

/// What of a host could be seen from outside: mounts, links and files.
struct Traces(BTreeSet<String>);

impl Traces {
    fn now() -> Self {
        let names = |directory: &str| -> Vec<String> {
            fs::read_dir(directory)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path().display().to_string())
                .collect()
        };
        // Where libvirt, QEMU and the harness would leave something.
        let directories = [
            "/sys/class/net",
            "/run",
            "/run/libvirt",
            "/etc",
            "/etc/libvirt",
            "/var/lib",
            "/var/lib/libvirt",
            "/var/log",
            "/var/cache",
            "/tmp",
            "/dev",
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/cpu",
        ];
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        // Other programs use this machine too; these words tell what is ours.
        let words = [
            "libvirt",
            "qemu",
            "machine",
            "offwatch-e2e",
            "owbr",
            "vnet",
            "ow-",
        ];
        let ours = |name: &String| words.iter().any(|word| name.contains(word));
        Self(
            directories
                .into_iter()
                .flat_map(names)
                .chain(mounts.lines().map(str::to_owned))
                .filter(ours)
                .collect(),
        )
    }
}

/// "net:[4026532000]" and the like, as processes inside have them.
fn namespace_ids(host: &Host) -> Vec<String> {
    let output = host
        .command("readlink")
        .args(["net", "mnt", "pid"].map(|name| format!("/proc/self/ns/{name}")))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ids: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), 3, "{text}");
    ids
}

fn assert_nothing_left(before: &Traces, inside: &[String]) {
    // A killed harness's guests end right after it, but not in the same instant.
    wait_until("the namespaces end", || users(inside).is_empty());
    assert!(!process_exists(|cmdline| cmdline.contains("guest=ow-")));
    let after = Traces::now();
    let added: Vec<_> = after.0.difference(&before.0).collect();
    assert!(added.is_empty(), "left behind: {added:#?}");
}

/// Processes that are in, or hold open, one of these namespaces.
fn users(namespaces: &[String]) -> Vec<String> {
    let mut users = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for directory in ["ns", "fd"] {
            for link in fs::read_dir(process.path().join(directory))
                .into_iter()
                .flatten()
                .flatten()
            {
                let target = fs::read_link(link.path()).unwrap_or_default();
                if namespaces.iter().any(|id| target == Path::new(id)) {
                    users.push(link.path().display().to_string());
                }
            }
        }
    }
    users
}

fn process_exists(matches: impl Fn(&str) -> bool) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read(entry.path().join("cmdline"))
            .is_ok_and(|cmdline| matches(&String::from_utf8_lossy(&cmdline)))
    })
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waiting: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &std::process::Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}
