//! `offwatch enforce --watch` keeps a policy applied whatever guests do, and gives
//! up where somebody else wants it otherwise. Not with the usual `main`: this
//! program plays QEMU, too.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use offwatch::inventory::features::{Family, Monitor};
use offwatch_tests::{
    GuestConfig, Lab, Netns, Offloads, command,
    domains::{Domain, TestDriver},
    link, skip_unless_lab,
    tap::Tap,
    vmm::Vmm,
    vmm_main,
    watcher::{Home, Watcher, check_features, wait_features},
};

const CSUM: &str = "tx-checksum-ip-generic";
const TSO: &str = "tx-tcp-segmentation";
const TSO6: &str = "tx-tcp6-segmentation";
const GRO: &str = "rx-gro";

/// As the policy has it, with a driver that accepts everything.
const KEPT: [(&str, bool); 3] = [(CSUM, true), (TSO, false), (TSO6, false)];
/// As the driver has it.
const UNTOUCHED: [(&str, bool); 3] = [(CSUM, true), (TSO, true), (TSO6, true)];

/// A rule for VMs named db-something, and an interface by which one can tell that
/// everything before has been seen.
const POLICY: &str = "
version = 1
[watch]
burst = 1000
[[rule]]
match = { vm = 'db-*' }
features = { tso = false }
[[rule]]
match = { device = 'sentinel' }
features = { tso = false }
";

vmm_main!(
    the_policy_holds_through_negotiations_and_reboots,
    new_taps_of_a_vm_are_kept,
    a_name_that_another_vm_gets_is_not_its_own,
    a_fight_with_a_program_ends,
    a_fight_with_a_guest_ends,
    a_kill_leaves_what_was_applied,
    lost_notifications_are_made_good,
    the_policy_is_read_again,
    what_wants_to_be_confirmed_was_confirmed,
    one_capability_is_enough,
    the_unit_is_confined,
);

/// A tap with a driver that accepts everything.
fn tap(ns: &Netns, name: &str) -> Result<Tap> {
    let tap = Tap::create(ns, name, 1)?;
    tap.set_offloads(Offloads::ALL)?;
    Ok(tap)
}

/// An interface of the policy, to tell that everything before has been seen.
struct Sentinel {
    ns: Netns,
    tap: Tap,
}

impl Sentinel {
    fn new(ns: &Netns) -> Result<Self> {
        Ok(Self {
            ns: ns.clone(),
            tap: tap(ns, "sentinel")?,
        })
    }

    /// Waits until a change of this one is answered, and so every one before it.
    fn wait(&self) -> Result<()> {
        self.tap.set_offloads(Offloads::ALL)?;
        wait_features(&self.ns, "sentinel", &KEPT).context("the sentinel")
    }
}

fn domain(name: &str, number: u8, taps: &[&str]) -> Domain {
    let taps = taps.iter().zip(0..);
    Domain {
        name: name.into(),
        uuid: format!("0ff3a7c4-0000-4000-8000-{number:012x}"),
        interfaces: taps
            .map(|(tap, card)| ((*tap).to_owned(), [0x52, 0x54, 0, 0, number, card]))
            .collect(),
        os_id: None,
        driver: None,
    }
}

fn the_policy_holds_through_negotiations_and_reboots() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let kept = tap(ns, "owtap1")?;
    let other = tap(ns, "owtap2")?;
    let sentinel = Sentinel::new(ns)?;
    let driver = TestDriver::new(&[
        domain("db-1", 1, &["owtap1"]),
        domain("web-1", 2, &["owtap2"]),
    ])?;
    let home = Home::new(POLICY)?;
    let _watcher = Watcher::start(ns, &home, &["-c", &driver.uri()])?;
    // It says that it is ready when all is applied.
    check_features(ns, "owtap1", &KEPT)?;

    // As a driver that starts: three times within some 0.1 ms.
    for _ in 0..5 {
        for offloads in [Offloads::ALL, Offloads::NONE, Offloads::ALL] {
            kept.set_offloads(offloads)?;
            other.set_offloads(offloads)?;
        }
        wait_features(ns, "owtap1", &KEPT).context("a driver started")?;
    }
    // As a guest that is booted anew.
    for tap in [&kept, &other] {
        tap.set_offloads(Offloads::NONE)?;
    }
    sentinel.wait()?;
    check_features(ns, "owtap1", &[(CSUM, false), (TSO, false)])?;
    for tap in [&kept, &other] {
        tap.set_offloads(Offloads::ALL)?;
    }
    wait_features(ns, "owtap1", &KEPT).context("the guest was booted anew")?;
    // An administrator.
    link::set_features(ns, "owtap1", &[TSO, "on"])?;
    wait_features(ns, "owtap1", &KEPT).context("ethtool -K")?;

    sentinel.wait()?;
    check_features(ns, "owtap1", &KEPT)?;
    check_features(ns, "owtap2", &UNTOUCHED)?;
    ensure!(home.audit("owtap2")?.is_empty(), "not a rule's");
    let audit = home.audit("owtap1")?;
    ensure!(audit[0]["action"] == "apply", "{}", audit[0]);
    ensure!(audit[0]["owner"]["vm"] == "db-1", "{}", audit[0]);
    let again = audit[1..].iter().all(|line| line["action"] == "reapply");
    ensure!(audit.len() >= 7 && again, "{audit:?}");
    ensure!(home.commits()? == 1, "its state before is journalled once");
    Ok(())
}

fn new_taps_of_a_vm_are_kept() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let sentinel = Sentinel::new(ns)?;
    let _first = tap(ns, "owtap1")?;
    let driver = TestDriver::new(&[
        domain("db-1", 1, &["owtap1", "owtap3"]),
        domain("web-1", 2, &["owtap4"]),
    ])?;
    let home = Home::new(POLICY)?;
    let watcher = Watcher::start(ns, &home, &["-c", &driver.uri()])?;
    check_features(ns, "owtap1", &KEPT)?;

    // QEMU tries what the tap offers before any driver does.
    let _other = tap(ns, "owtap4")?;
    let second = Tap::create(ns, "owtap3", 1)?;
    second.set_offloads(Offloads::CSUM_ONLY)?;
    second.set_offloads(Offloads::NONE)?;
    second.set_offloads(Offloads::ALL)?;
    wait_features(ns, "owtap3", &KEPT).context("hot-plugged")?;
    second.set_offloads(Offloads::ALL)?;
    wait_features(ns, "owtap3", &KEPT).context("its driver")?;
    // Renamed it is libvirt's no more, and back it is.
    command::run(ns, &["ip", "link", "set", "owtap3", "name", "other"])?;
    second.set_offloads(Offloads::ALL)?;
    sentinel.wait()?;
    watcher.wait_line("2 interfaces")?;
    check_features(ns, "other", &UNTOUCHED)?;
    check_features(ns, "owtap4", &UNTOUCHED)?;
    command::run(ns, &["ip", "link", "set", "other", "name", "owtap3"])?;
    wait_features(ns, "owtap3", &KEPT).context("back under its name")
}

fn a_name_that_another_vm_gets_is_not_its_own() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let home = Home::new(POLICY)?;
    let _watcher = Watcher::start(ns, &home, &[])?;
    let start = |name: &str, index| {
        let config = GuestConfig::new(name, index);
        let tap = config.tap.clone();
        anyhow::Ok((Vmm::start(&lab, config)?, tap))
    };
    for round in 0..2 {
        let (db, tap) = start("db-1", 1)?;
        wait_features(ns, &tap, &KEPT).with_context(|| format!("round {round}, db-1"))?;
        drop(db);
        // Another VM gets the name of its tap.
        let (web, same) = start("web-1", 1)?;
        ensure!(same == tap, "{same} is not {tap}");
        let ifindex = link::ifindex(ns, &tap)?;
        // One that comes later is seen: so is this one.
        let (later, other) = start("db-2", 2)?;
        wait_features(ns, &other, &KEPT).context("db-2")?;
        check_features(ns, &tap, &UNTOUCHED)?;
        let touched = home.audit(&tap)?;
        let mut touched = touched.iter();
        ensure!(
            touched.all(|line| line["id"]["ifindex"] != ifindex && line["owner"]["vm"] == "db-1"),
            "web-1 was touched"
        );
        drop((web, later));
    }
    Ok(())
}

const FIGHT: &str = "
version = 1
[watch]
burst = 5
[[rule]]
match = { device = 'owtap1' }
features = { tso = false }
[[rule]]
match = { device = 'sentinel' }
features = { tso = false }
";

/// Does something until the interface is contested, and returns what is told.
fn fight(watcher: &Watcher, back: impl Fn() -> Result<()> + Sync) -> Result<String> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let fighter = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                back()?;
            }
            anyhow::Ok(())
        });
        let told = watcher.wait_line("contested");
        is_over.store(true, Ordering::Relaxed);
        match fighter.join() {
            Ok(result) => result?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        told
    })
}

/// How often it was changed.
fn changes(home: &Home) -> Result<usize> {
    let audit = home.audit("owtap1")?;
    let changes = audit.iter();
    Ok(changes.filter(|line| line["sent"].is_object()).count())
}

fn a_fight_with_a_program_ends() -> Result<()> {
    skip_unless_lab!();
    const FLIPS: usize = 20;
    let lab = Lab::new()?;
    let ns = lab.host();
    let _tap = tap(ns, "owtap1")?;
    let sentinel = Sentinel::new(ns)?;
    let home = Home::new(FIGHT)?;
    let watcher = Watcher::start(ns, &home, &[])?;
    check_features(ns, "owtap1", &KEPT)?;
    let set = |state| link::set_features(ns, "owtap1", &["tso", state]);
    let told = fight(&watcher, || set("on"))?;
    for words in ["owtap1", TSO, "likely a program on this host", CSUM] {
        ensure!(told.contains(words), "{words}: {told}");
    }
    // The first time is none of the budget.
    ensure!(changes(&home)? == 6, "{}", changes(&home)?);
    let contested = home.audit("owtap1")?.pop().context("a line")?;
    ensure!(contested["action"] == "contested", "{contested}");
    ensure!(contested["likely"] == "host", "{contested}");

    // The other one has it its way: each of its changes is notified of, and no
    // other one.
    set("off")?;
    let ifindex = link::ifindex(ns, "owtap1")?;
    let notified = counted(ns, ifindex, || {
        for _ in 0..FLIPS {
            set("on")?;
            set("off")?;
        }
        set("on")?;
        sentinel.wait()
    })?;
    ensure!(notified == 2 * FLIPS + 1, "{notified} notifications");
    check_features(ns, "owtap1", &UNTOUCHED)?;
    ensure!(changes(&home)? == 6, "it did not stop");

    // Until it is settled.
    watcher.signal(Signal::SIGHUP)?;
    wait_features(ns, "owtap1", &KEPT).context("the policy was read again")
}

/// How often the kernel notifies of changes of an interface while something is done.
fn counted(ns: &Netns, ifindex: u32, run: impl FnOnce() -> Result<()> + Send) -> Result<usize> {
    ns.try_run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut monitor = Monitor::open(Family::resolve()?)?;
            thread::scope(|scope| scope.spawn(run).join())
                .map_err(|_| anyhow::anyhow!("it panicked"))??;
            let mut count = 0;
            let step = Duration::from_millis(100);
            while let Ok(next) = tokio::time::timeout(step, monitor.next()).await {
                let of = next.map_err(|_| anyhow::anyhow!("notifications were lost"))?;
                count += usize::from(of == ifindex);
            }
            Ok(count)
        })
    })
}

fn a_fight_with_a_guest_ends() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let tap = tap(ns, "owtap1")?;
    let home = Home::new(FIGHT)?;
    let watcher = Watcher::start(ns, &home, &[])?;
    check_features(ns, "owtap1", &KEPT)?;
    let told = fight(&watcher, || {
        tap.set_offloads(Offloads::NONE)?;
        tap.set_offloads(Offloads::ALL)
    })?;
    for words in ["owtap1", TSO, "likely the guest's driver"] {
        ensure!(told.contains(words), "{words}: {told}");
    }
    // Nothing is sent where the guest itself has just switched it off.
    ensure!((2..=6).contains(&changes(&home)?), "{}", changes(&home)?);
    // Its VM is started anew: another tap of the same name.
    drop(tap);
    let _new = self::tap(ns, "owtap1")?;
    wait_features(ns, "owtap1", &KEPT).context("made anew")
}

fn a_kill_leaves_what_was_applied() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let tap = tap(ns, "owtap1")?;
    let home = Home::new(FIGHT)?;
    let watcher = Watcher::start(ns, &home, &[])?;
    check_features(ns, "owtap1", &KEPT)?;
    let second = command::run(
        ns,
        &[
            offwatch_tests::observer::binary()?
                .to_str()
                .context("a path")?,
            "enforce",
            "--watch",
            "--policy",
            home.policy().to_str().context("a path")?,
            "--state-dir",
            home.path("other").to_str().context("a path")?,
        ],
    );
    let refused = format!("{:#}", second.err().context("there is one already")?);
    let pid = format!("another enforcer runs (pid {})", watcher.pid());
    ensure!(refused.contains(&pid), "{refused}");

    watcher.signal(Signal::SIGKILL)?;
    drop(watcher);
    check_features(ns, "owtap1", &KEPT)?;
    // Nobody keeps it.
    tap.set_offloads(Offloads::ALL)?;
    check_features(ns, "owtap1", &UNTOUCHED)?;
    let mut watcher = Watcher::start(ns, &home, &[])?;
    check_features(ns, "owtap1", &KEPT)?;
    ensure!(home.commits()? == 1, "its state before is journalled once");
    watcher.signal(Signal::SIGTERM)?;
    let status = watcher.wait()?;
    ensure!(status.success(), "{status}");
    check_features(ns, "owtap1", &KEPT)
}

/// While it stands still, the kernel drops notifications.
fn lost_notifications_are_made_good() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let flooded = tap(ns, "owtap1")?;
    let gone = tap(ns, "owtap2")?;
    let home = Home::new(&POLICY.replace("db-*", "*"))?;
    let names = ["owtap1", "owtap2", "owtap3", "owtap4"];
    let driver = TestDriver::new(&[domain("db-1", 1, &names)])?;
    let watcher = Watcher::start(ns, &home, &["-c", &driver.uri()])?;
    check_features(ns, "owtap1", &KEPT)?;
    watcher.signal(Signal::SIGSTOP)?;
    for _ in 0..flood()? {
        flooded.set_offloads(Offloads::NONE)?;
        flooded.set_offloads(Offloads::ALL)?;
    }
    drop(gone);
    let _anew = tap(ns, "owtap2")?;
    let _new = tap(ns, "owtap3")?;
    watcher.signal(Signal::SIGCONT)?;
    for name in ["owtap1", "owtap2", "owtap3"] {
        wait_features(ns, name, &KEPT)?;
    }
    // It follows again.
    flooded.set_offloads(Offloads::ALL)?;
    wait_features(ns, "owtap1", &KEPT)?;
    let _later = tap(ns, "owtap4")?;
    wait_features(ns, "owtap4", &KEPT)
}

/// Pairs of changes that no receive buffer holds: the kernel accounts at least
/// 256 bytes for each notification, and twice what is asked for.
fn flood() -> Result<u64> {
    let path = "/proc/sys/net/core/rmem_max";
    let most: u64 = std::fs::read_to_string(path)
        .context(path)?
        .trim()
        .parse()?;
    Ok(most.min(8 << 20) * 2 / 256 / 2 + 100)
}

fn the_policy_is_read_again() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let tap = tap(ns, "owtap1")?;
    let home = Home::new(FIGHT)?;
    let mut watcher = Watcher::start(ns, &home, &[])?;
    check_features(ns, "owtap1", &KEPT)?;
    watcher.lines();
    for (bad, words) in [
        ("version = 1\n[[rule]]\nmatch = {", "policy.toml:3"),
        (
            "version = 1\n[[rule]]\nmatch = { device = 'owtap1' }\nfeatures = { tsoo = true }\n",
            "policy.toml:4",
        ),
    ] {
        home.write(bad)?;
        watcher.signal(Signal::SIGHUP)?;
        let line = watcher.wait_line("stays")?;
        ensure!(line.contains(words), "{line}");
        watcher.wait_notified("READY=1")?;
        tap.set_offloads(Offloads::ALL)?;
        wait_features(ns, "owtap1", &KEPT).context("the policy before stays")?;
    }
    home.write(&FIGHT.replace("tso = false", "gro = false"))?;
    watcher.signal(Signal::SIGHUP)?;
    watcher.wait_line("read again")?;
    wait_features(ns, "owtap1", &[(GRO, false)])?;
    tap.set_offloads(Offloads::ALL)?;
    link::set_features(ns, "owtap1", &["gro", "on"])?;
    wait_features(ns, "owtap1", &[(GRO, false)])?;
    check_features(ns, "owtap1", &UNTOUCHED)?;

    // One that is to be confirmed was not.
    home.write(&format!("[defaults]\nconfirm = '60s'\n{FIGHT}").replace("version = 1\n", ""))?;
    watcher.signal(Signal::SIGHUP)?;
    watcher.wait_line("stays")?;
    Ok(())
}

fn what_wants_to_be_confirmed_was_confirmed() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let ns = lab.host();
    let _taps = [tap(ns, "owtap1")?, tap(ns, "sentinel")?];
    let policy = FIGHT.replace("[watch]", "[defaults]\nconfirm = '60s'\n[watch]");
    let home = Home::new(&policy)?;
    ensure!(Watcher::start(ns, &home, &[]).is_err(), "never confirmed");
    check_features(ns, "owtap1", &UNTOUCHED)?;
    let run = |args: &[&str]| {
        let (binary, state) = (offwatch_tests::observer::binary()?, home.state());
        let mut argv = vec![binary.to_str().context("a path")?, "enforce"];
        argv.extend(args);
        argv.extend(["--state-dir", state.to_str().context("a path")?]);
        command::run(ns, &argv)
    };
    let path = home.policy();
    let path = path.to_str().context("a path")?;
    run(&["--policy", path, "--apply", "--detach"])?;
    ensure!(Watcher::start(ns, &home, &[]).is_err(), "not yet confirmed");
    run(&["confirm"])?;
    let watcher = Watcher::start(ns, &home, &[])?;
    check_features(ns, "owtap1", &KEPT)?;
    // Another one was not.
    drop(watcher);
    home.write(&(policy + "# changed\n"))?;
    ensure!(Watcher::start(ns, &home, &[]).is_err(), "another policy");
    check_features(ns, "owtap1", &KEPT)?;
    // It changes nothing, and can be confirmed all the same; that is nothing to undo.
    let told = run(&["--policy", path, "--apply", "--detach"])?;
    ensure!(told.contains("0 of 2 interfaces changed"), "{told}");
    ensure!(Watcher::start(ns, &home, &[]).is_err(), "not yet confirmed");
    run(&["confirm"])?;
    drop(Watcher::start(ns, &home, &[])?);
    let told = run(&["--policy", path, "--apply"])?;
    ensure!(told.contains("nothing to change"), "{told}");
    run(&["undo"])?;
    check_features(ns, "owtap1", &UNTOUCHED)
}

fn one_capability_is_enough() -> Result<()> {
    skip_unless_lab!();
    const NOBODY: &str = "65534";
    let lab = Lab::new()?;
    let ns = lab.host();
    let tap = tap(ns, "owtap1")?;
    let home = Home::new(FIGHT)?;
    let nobody = nix::unistd::Uid::from_raw(NOBODY.parse()?);
    nix::unistd::chown(&home.state(), Some(nobody), None)?;
    // Wherever it was built, it may not be for others.
    let program = home.path("offwatch");
    std::fs::copy(offwatch_tests::observer::binary()?, &program)?;
    let as_nobody = |capabilities: &str| {
        let mut command = ns.command("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
            command.args([set, capabilities]);
        }
        command.arg("--no-new-privs").arg(&program);
        command
    };
    let refused = Watcher::spawn(as_nobody("-all"), &home, &[]);
    ensure!(refused.is_err(), "without any capability");
    let watcher = Watcher::spawn(as_nobody("-all,+net_admin"), &home, &[])?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", watcher.pid()))?;
    for line in [
        "Uid:\t65534",
        "CapEff:\t0000000000001000",
        "CapBnd:\t0000000000001000",
    ] {
        ensure!(status.contains(line), "not {line}: {status}");
    }
    check_features(ns, "owtap1", &KEPT)?;
    tap.set_offloads(Offloads::ALL)?;
    wait_features(ns, "owtap1", &KEPT)
}

fn the_unit_is_confined() -> Result<()> {
    let text = include_str!("../../contrib/systemd/offwatch-enforce.service");
    let directory = tempfile::tempdir()?;
    let unit = directory.path().join("offwatch-enforce.service");
    std::fs::write(&unit, text)?;
    let unit = unit.to_str().context("a path of plain text")?;
    let of = |key: &str| {
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.collect::<Vec<_>>()
    };
    ensure!(of("CapabilityBoundingSet") == ["CAP_NET_ADMIN"], "{unit}");
    ensure!(of("AmbientCapabilities").is_empty(), "{unit}");
    let Ok(version) = std::process::Command::new("systemd-analyze")
        .arg("--version")
        .output()
    else {
        offwatch_tests::skip::left_out("systemd-analyze is not installed");
        return Ok(());
    };
    ensure!(version.status.success(), "systemd-analyze");
    // In tenths.
    let output = std::process::Command::new("systemd-analyze")
        .args([
            "security",
            "--offline=true",
            "--threshold=20",
            "--no-pager",
            unit,
        ])
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{told}");
    let verified = std::process::Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no", unit])
        .output()?;
    let told = String::from_utf8_lossy(&verified.stderr);
    // It is not installed where it is tested.
    let problems = told
        .lines()
        .filter(|line| !line.contains("is not executable"));
    let problems: Vec<_> = problems
        .filter(|line| line.contains("offwatch-enforce"))
        .collect();
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}
