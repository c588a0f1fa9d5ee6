//! What `enforce --apply` changes, and all ways to keep it or to take it back.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write as _,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            fs::{MetadataExt as _, PermissionsExt as _},
            process::CommandExt as _,
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    pty::openpty,
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, dup, setgid, setgroups, setuid},
};
use offwatch::enforce::journal::State;
use offwatch_tests::{
    Netns, Offloads,
    command::run,
    enforce::{BRIDGE, Bed, State as Features, VETH, kill_hard},
    ethtool, link, observer,
    quiet::wait_until,
    skip::skipped,
    skip_unless_lab,
    tap::Tap,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
const GRO_OFF: &[(&str, bool)] = &[("gro", false)];
const CSUM: &str = "tx-checksum-ip-generic";
const TSO: &str = "tx-tcp-segmentation";
const TSO6: &str = "tx-tcp6-segmentation";

fn is_unconfirmed(bed: &Bed) -> Result<bool> {
    let last = bed.last()?;
    Ok(last.is_some_and(|last| matches!(last.state, State::Unconfirmed { .. })))
}

fn status(bed: &Bed) -> Result<Value> {
    let (told, _) = bed.ends_with(0, bed.enforce(&["status", "--json"])?)?;
    let status: Value = serde_json::from_str(&told)?;
    ensure!(status["schema"] == "offwatch.enforce.status", "{status}");
    Ok(status["commits"].clone())
}

fn of(bed: &Bed, device: &str) -> Result<Features> {
    let features = bed.features()?;
    let ifindex = link::ifindex(bed.ns(), device)?;
    features.get(&ifindex).copied().context("it is listed")
}

/// Applies a policy that nobody confirms, and leaves it to its watchdog.
fn leave_unconfirmed(bed: &Bed, policy: &Path) -> Result<()> {
    let apply = bed.apply(policy, &["--confirm", "600s", "--detach"])?;
    bed.ends_with(0, apply)?;
    ensure!(is_unconfirmed(bed)?, "{:?}", bed.last()?);
    Ok(())
}

/// Nobody will take it back by himself.
fn kill_the_watchdog(bed: &Bed) -> Result<()> {
    for pid in bed.processes()? {
        kill_hard(pid)?;
    }
    bed.wait_until_all_ended()
}

#[test]
fn what_is_applied_is_so_and_is_undone() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(2)?;
    let before = bed.features()?;
    let policy = bed.policy(&[
        ("tap0", &[("rx-gro", false)]),
        ("tap1", &[("rx-gro", false), ("lro", true)]),
        (VETH, &[("sg", false)]),
    ])?;
    ensure!(!bed.state_dir().exists(), "made too early");
    // What cannot be switched is told, and does not keep what can be from it.
    let (told, _) = bed.ends_with(4, bed.apply(&policy, &["--json"])?)?;
    let report: Value = serde_json::from_str(&told)?;
    ensure!(report["state"] == "confirmed", "{report:#}");
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(Into::into))
            .collect()
    };
    let interfaces = report["interfaces"].as_array().context("interfaces")?;
    let by = |dev: &str| {
        let mut found = interfaces
            .iter()
            .filter(|interface| interface["dev"] == dev);
        found.next().context("the interface")
    };
    ensure!(by("tap0")?["sent"] == serde_json::json!({"rx-gro": false}));
    ensure!(by("tap1")?["unmet"][0]["feature"] == "rx-lro", "{report:#}");
    // What needs scatter-gather goes with it.
    let with_it = names(&by(VETH)?["collateral"]);
    ensure!(
        with_it.contains(&"tx-tcp-segmentation".into()),
        "{report:#}"
    );
    ensure!(names(&by(VETH)?["unexpected"]).is_empty(), "{report:#}");
    let text = bed.ethtool()?;
    ensure!(text.contains("generic-receive-offload: off"), "{text}");
    ensure!(of(&bed, VETH)?.active != before[&link::ifindex(bed.ns(), VETH)?].active);

    // Nothing is sent for what is so already.
    let lines = || fs::read_to_string(bed.state_dir().join("audit.jsonl"));
    let audit = lines()?;
    bed.ends_with(4, bed.apply(&policy, &[])?)?;
    ensure!(
        lines()? == audit && bed.last()?.context("it")?.commit.id == 1,
        "{}",
        lines()?
    );
    check_audit(&audit)?;

    bed.ends_with(0, bed.enforce(&["undo"])?)?;
    ensure!(
        bed.features()? == before,
        "{before:?}\nbecame\n{:?}",
        bed.features()?
    );
    let (told, _) = bed.ends_with(0, bed.enforce(&["undo"])?)?;
    ensure!(told.starts_with("nothing to undo"), "{told}");
    ensure!(status(&bed)?[0]["state"]["state"] == "undone");
    bed.wait_until_all_ended()
}

/// Who did what, why, and what the kernel said.
fn check_audit(audit: &str) -> Result<()> {
    let lines: Vec<Value> = audit
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let begin = &lines[0];
    ensure!(
        begin["action"] == "begin" && begin["version"].is_string(),
        "{begin}"
    );
    let sum = |name: &str| begin[name].as_str().is_some_and(|sum| sum.len() == 64);
    ensure!(sum("bpf_object_sha256") && sum("policy_sha256"), "{begin}");
    let applied = lines.iter().find(|line| line["id"]["dev"] == VETH);
    let applied = applied.context("the veth")?;
    ensure!(
        applied["action"] == "apply" && applied["commit"] == 1,
        "{applied}"
    );
    ensure!(
        applied["who"]["uid"] == 0 && applied["boot_id"].is_string(),
        "{applied}"
    );
    ensure!(applied["why"]["reason"] == "a test" && applied["why"]["line"] != Value::Null);
    ensure!(
        applied["before"]["tx-tcp-segmentation"]["active"] == true,
        "{applied}"
    );
    ensure!(
        applied["after"]["tx-tcp-segmentation"]["active"] == false,
        "{applied}"
    );
    ensure!(applied["sent"]["tx-scatter-gather"] == false, "{applied}");
    let changed = applied["changed"].as_array().context("the reply")?;
    ensure!(
        changed.len() > 1 && applied["unmet"] == serde_json::json!([]),
        "{applied}"
    );
    Ok(())
}

#[test]
fn what_is_confirmed_in_time_stays_and_the_watchdog_goes() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    leave_unconfirmed(&bed, &policy)?;
    ensure!(bed.processes()?.len() == 1, "the watchdog");
    let commits = status(&bed)?;
    ensure!(
        commits[0]["watchdog"] == true && commits[0]["this_boot"] == true,
        "{commits}"
    );
    ensure!(
        commits[0]["seconds_left"]
            .as_u64()
            .is_some_and(|left| left > 0),
        "{commits}"
    );
    // Another one has to wait.
    let (_, error) = bed.ends_with(1, bed.apply(&policy, &[])?)?;
    ensure!(
        error.contains("commit 1 waits") && error.contains("enforce confirm"),
        "{error}"
    );
    let (told, _) = bed.ends_with(0, bed.enforce(&["confirm"])?)?;
    ensure!(told == "commit 1 is confirmed\n", "{told}");
    bed.wait_until_all_ended()?;
    ensure!(bed.features()? != before, "it is not so");
    let (_, error) = bed.ends_with(1, bed.enforce(&["confirm"])?)?;
    ensure!(error.contains("nothing to confirm"), "{error}");
    bed.ends_with(0, bed.enforce(&["undo", "1"])?)?;
    ensure!(bed.features()? == before, "it is not undone");
    let (_, error) = bed.ends_with(1, bed.enforce(&["undo", "1"])?)?;
    ensure!(
        error.contains("commit 1 cannot be undone: it is undone"),
        "{error}"
    );
    let (_, error) = bed.ends_with(1, bed.enforce(&["undo", "7"])?)?;
    ensure!(error.contains("no commit 7"), "{error}");
    Ok(())
}

#[test]
fn what_nobody_confirms_is_taken_back_at_the_deadline() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    // In the foreground, and by the watchdog alone.
    let (told, _) = bed.ends_with(4, bed.apply(&policy, &["--confirm", "1s"])?)?;
    ensure!(told.contains("nobody confirmed it in time"), "{told}");
    ensure!(bed.features()? == before, "it stays");
    // The watchdog finds a directory that is given from here.
    let args = ["enforce", "--apply", "--confirm", "1s", "--detach"];
    let mut apply = observer::offwatch(bed.ns(), &args)?;
    apply
        .args(["--state-dir", "state", "--policy"])
        .arg(&policy);
    apply.current_dir(bed.path(""));
    bed.ends_with(0, apply)?;
    let is_taken_back = || Ok(matches!(bed.last()?, Some(last) if last.state.is_settled()));
    wait_until("the deadline", PATIENCE, is_taken_back)?;
    bed.wait_until_all_ended()?;
    ensure!(bed.features()? == before, "it stays");
    let (_, error) = bed.ends_with(1, bed.enforce(&["confirm"])?)?;
    ensure!(error.contains("nobody confirmed it in time"), "{error}");
    Ok(())
}

#[test]
fn in_the_foreground_enter_confirms_and_an_interrupt_takes_back() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut apply = bed.apply(&policy, &["--confirm", "600s"])?.spawn()?;
        wait_until("the deadline to begin", PATIENCE, || is_unconfirmed(&bed))?;
        kill(Pid::from_raw(i32::try_from(apply.id())?), signal)?;
        let status = apply.wait()?;
        ensure!(status.code() == Some(4), "{signal}: {status}");
        ensure!(bed.features()? == before, "{signal}: it stays");
        bed.wait_until_all_ended()?;
    }

    let terminal = openpty(None, None)?;
    let mut apply = bed.apply(&policy, &["--confirm", "600s"])?;
    let mut apply = apply.stdin(terminal.slave).spawn()?;
    wait_until("the deadline to begin", PATIENCE, || is_unconfirmed(&bed))?;
    fs::File::from(terminal.master.try_clone()?).write_all(b"\n")?;
    ensure!(apply.wait()?.success(), "Enter does not confirm");
    ensure!(bed.features()? != before, "it is taken back");
    bed.wait_until_all_ended()?;
    bed.ends_with(0, bed.enforce(&["undo"])?)?;

    // From elsewhere: one sees it, and tells.
    let apply = bed.apply(&policy, &["--confirm", "600s"])?.spawn()?;
    wait_until("the deadline to begin", PATIENCE, || is_unconfirmed(&bed))?;
    bed.ends_with(0, bed.enforce(&["rollback"])?)?;
    let status = apply.wait_with_output()?.status;
    ensure!(status.code() == Some(4), "{status}");
    ensure!(bed.features()? == before, "it stays");
    bed.wait_until_all_ended()
}

#[test]
fn a_reboot_ends_a_commit_and_nothing_is_sent() -> Result<()> {
    skip_unless_lab!();
    let mut bed = Bed::new(1)?;
    let policy = bed.policy(&[("tap0", GRO_OFF), (VETH, &[("sg", false)])])?;
    leave_unconfirmed(&bed, &policy)?;
    kill_the_watchdog(&bed)?;
    let path = bed.state_dir().join("journal/000001.jsonl");
    let journal = fs::read_to_string(&path)?;
    fs::write(
        &path,
        journal.replacen("\"boot_id\":\"", "\"boot_id\":\"0", 1),
    )?;
    // The same names, and for some reason already as the commit has them.
    bed.taps().clear();
    let tap = Tap::create(bed.ns(), "tap0", 1)?;
    tap.set_offloads(Offloads::ALL)?;
    link::set_features(bed.ns(), "tap0", &["gro", "off"])?;
    let before = bed.features()?;
    let commits = status(&bed)?;
    ensure!(commits[0]["this_boot"] == false, "{commits}");
    let (told, _) = bed.ends_with(0, bed.enforce(&["rollback"])?)?;
    ensure!(told.contains("ended with the boot"), "{told}");
    ensure!(bed.last()?.context("it")?.state == State::EndedByBoot);
    ensure!(bed.features()? == before, "something was sent");
    let (_, error) = bed.ends_with(1, bed.enforce(&["undo", "1"])?)?;
    ensure!(error.contains("ended with the boot"), "{error}");
    Ok(())
}

#[test]
fn interfaces_that_are_others_now_are_left_alone() -> Result<()> {
    skip_unless_lab!();
    let mut bed = Bed::new(4)?;
    let gro = |name| (name, GRO_OFF);
    let policy = bed.policy(&[gro("tap0"), gro("tap1"), gro("tap2"), gro("tap3")])?;
    let before = of(&bed, "tap3")?;
    leave_unconfirmed(&bed, &policy)?;
    // Renamed, gone, and another one by the same name.
    run(bed.ns(), &["ip", "link", "set", "tap0", "name", "other"])?;
    let keeps = bed.taps().pop().context("tap3")?;
    bed.taps().truncate(1);
    let another = Tap::create(bed.ns(), "tap2", 1)?;
    link::set_features(bed.ns(), "tap2", &["gro", "off"])?;
    let others = [of(&bed, "other")?, of(&bed, "tap2")?];
    let (told, _) = bed.ends_with(4, bed.enforce(&["rollback"])?)?;
    ensure!(
        told.contains("tap0: could not be set back")
            && told.contains("not set back there: rx-gro on"),
        "{told}"
    );
    for name in ["tap1", "tap2"] {
        let gone = format!("{name}: gone, has another name now, or is another");
        ensure!(told.contains(&gone), "{told}");
    }
    ensure!(
        [of(&bed, "other")?, of(&bed, "tap2")?] == others,
        "they were changed"
    );
    ensure!(of(&bed, "tap3")? == before, "it stays");
    drop((keeps, another));
    bed.wait_until_all_ended()
}

/// Not only `rollback` settles what was left.
#[test]
fn what_was_left_and_cannot_be_set_back_is_told_by_whoever_settles_it() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(3)?;
    let keep = bed.policy(&[("tap2", GRO_OFF)])?;
    bed.ends_with(0, bed.apply(&keep, &[])?)?;
    for (tap, settles) in [("tap0", "apply"), ("tap1", "undo")] {
        let policy = bed.policy(&[(tap, GRO_OFF)])?;
        leave_unconfirmed(&bed, &policy)?;
        kill_the_watchdog(&bed)?;
        run(bed.ns(), &["ip", "link", "set", tap, "name", settles])?;
        let command = match settles {
            "apply" => bed.apply(&bed.policy(&[("tap2", GRO_OFF)])?, &[])?,
            _ => bed.enforce(&["undo", "1"])?,
        };
        let (told, _) = bed.ends_with(4, command)?;
        ensure!(
            told.contains(&format!("{tap}: could not be set back")),
            "{told}"
        );
    }
    bed.wait_until_all_ended()
}

#[test]
fn what_guests_negotiate_since_is_told() -> Result<()> {
    skip_unless_lab!();
    let mut bed = Bed::new(1)?;
    let policy = bed.policy(&[("tap0", &[("tx-tcp-segmentation", false)])])?;
    leave_unconfirmed(&bed, &policy)?;
    bed.taps()[0].set_offloads(Offloads::CSUM_ONLY)?;
    let (told, _) = bed.ends_with(0, bed.enforce(&["rollback"])?)?;
    ensure!(
        told.contains("tx-tcp-segmentation on") && told.contains("not so now"),
        "{told}"
    );
    // When it accepts it again it is as it was.
    bed.taps()[0].set_offloads(Offloads::ALL)?;

    // What had no driver, and was asked for then, is its driver's since it is there.
    bed.taps()[0].set_offloads(Offloads::NONE)?;
    let all = [CSUM, TSO, TSO6].map(|feature| (feature, true));
    let policy = bed.policy(&[("tap0", &all)])?;
    let (told, _) = bed.ends_with(0, bed.apply(&policy, &[])?)?;
    ensure!(told.contains("no guest's driver has accepted it"), "{told}");
    let ifindex = link::ifindex(bed.ns(), "tap0")?;
    bed.taps()[0].set_offloads(Offloads {
        ecn: false,
        uso: false,
        ..Offloads::ALL
    })?;
    let negotiated = of(&bed, "tap0")?;
    let (told, _) = bed.ends_with(0, bed.enforce(&["undo"])?)?;
    ensure!(told.contains("left on: its guest has negotiated"), "{told}");
    ensure!(bed.features()?[&ifindex] == negotiated, "{told}");

    // What its driver accepted all the time is switched off again.
    let policy = bed.policy(&[("tap0", &[(TSO, false), (TSO6, false)])])?;
    bed.ends_with(0, bed.apply(&policy, &[])?)?;
    let policy = bed.policy(&[("tap0", &all)])?;
    bed.ends_with(0, bed.apply(&policy, &[])?)?;
    let (told, _) = bed.ends_with(0, bed.enforce(&["undo"])?)?;
    ensure!(!told.contains("left on"), "{told}");
    ensure!(bed.features()?[&ifindex] != negotiated, "{told}");

    // So is what an administrator's switch has kept off.
    let switch = |state| run(bed.ns(), &["ethtool", "-K", "tap0", "sg", state]);
    switch("off")?;
    let policy = bed.policy(&[("tap0", &[(TSO, true)])])?;
    bed.ends_with(4, bed.apply(&policy, &[])?)?;
    switch("on")?;
    let (told, _) = bed.ends_with(0, bed.enforce(&["undo"])?)?;
    ensure!(!told.contains("left on"), "{told}");
    bed.wait_until_all_ended()
}

#[test]
fn another_namespace_leaves_a_commit_alone() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    leave_unconfirmed(&bed, &policy)?;
    kill_the_watchdog(&bed)?;
    let changed = bed.features()?;
    let state_dir = bed.state_dir();
    let state_dir = state_dir.to_str().context("a path of plain text")?;
    let elsewhere = Netns::new()?;
    let enforce = |args: &[&str]| -> Result<Command> {
        let mut command = observer::offwatch(&elsewhere, &["enforce"])?;
        command.args(args).args(["--state-dir", state_dir]);
        Ok(command)
    };
    let (told, _) = bed.ends_with(0, enforce(&["rollback"])?)?;
    ensure!(
        told.contains("commit 1 belongs to another network namespace"),
        "{told}"
    );
    let (_, error) = bed.ends_with(1, enforce(&["confirm"])?)?;
    ensure!(error.contains("another network namespace"), "{error}");
    ensure!(
        is_unconfirmed(&bed)? && bed.features()? == changed,
        "it was touched"
    );
    bed.ends_with(0, bed.enforce(&["rollback"])?)?;
    ensure!(bed.features()? == before, "it stays");
    Ok(())
}

#[test]
fn there_is_one_enforcer_for_a_namespace_and_for_a_state_directory() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    let apply = bed.apply(&policy, &["--confirm", "600s"])?.spawn()?;
    wait_until("the deadline to begin", PATIENCE, || is_unconfirmed(&bed))?;
    let pid = format!("another enforcer runs (pid {})", apply.id());
    let (_, error) = bed.ends_with(1, bed.apply(&policy, &[])?)?;
    ensure!(error.contains(&pid), "{error}");
    let policy = policy.to_str().context("a path of plain text")?;
    let args = ["enforce", "--apply", "--policy", policy, "--state-dir"];
    // The namespace has one, whatever the directory.
    let mut other = observer::offwatch(bed.ns(), &args)?;
    other.arg(bed.path("another"));
    let (_, error) = bed.ends_with(1, other)?;
    ensure!(error.contains(&pid), "{error}");
    // The directory has one, whatever the namespace.
    let mut other = observer::offwatch(&Netns::new()?, &args)?;
    other.arg(bed.state_dir());
    let (_, error) = bed.ends_with(1, other)?;
    ensure!(
        error.contains(&pid) && error.contains("this state directory"),
        "{error}"
    );
    bed.ends_with(0, bed.enforce(&["rollback"])?)?;
    ensure!(apply.wait_with_output()?.status.code() == Some(4));
    ensure!(bed.features()? == before, "it stays");
    Ok(())
}

/// `enforce status` of a user who may do nothing.
fn status_of_nobody(bed: &Bed, program: &OwnedFd) -> Result<Command> {
    const NOBODY: u32 = 65_534;
    let program = format!("/proc/self/fd/{}", program.as_raw_fd());
    let mut status = bed.ns().command(&program);
    status
        .args(["enforce", "status", "--state-dir"])
        .arg(bed.state_dir());
    // SAFETY: makes system calls between fork and exec, nothing else.
    unsafe {
        status.pre_exec(|| {
            setgroups(&[])?;
            setgid(NOBODY.into())?;
            setuid(NOBODY.into())?;
            Ok(())
        });
    }
    Ok(status)
}

#[test]
fn status_needs_no_privilege_and_changes_nothing() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let (told, _) = bed.ends_with(0, bed.enforce(&["status"])?)?;
    ensure!(
        told.starts_with("nothing was changed: no commit in "),
        "{told}"
    );
    ensure!(!bed.state_dir().exists(), "it was made");
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    bed.ends_with(0, bed.apply(&policy, &[])?)?;
    let mode = |path: &str| -> Result<u32> {
        Ok(fs::metadata(bed.state_dir().join(path))?.mode() & 0o777)
    };
    ensure!(mode("")? == 0o700 && mode("journal")? == 0o700);
    ensure!(mode("audit.jsonl")? == 0o600 && mode("journal/000001.jsonl")? == 0o600);
    // Whoever it is has to get at the program.
    let program = dup(fs::File::open(observer::binary()?)?)?;
    // The way there is open, the directory is not.
    fs::set_permissions(bed.path(""), Permissions::from_mode(0o755))?;
    let status = status_of_nobody(&bed, &program)?;
    let (_, error) = bed.ends_with(1, status)?;
    ensure!(error.contains("Permission denied"), "{error}");
    for path in ["", "journal", "journal/000001.jsonl"] {
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(bed.state_dir().join(path), open)?;
    }
    let status = status_of_nobody(&bed, &program)?;
    let (told, _) = bed.ends_with(0, status)?;
    ensure!(
        told.contains("confirmed") && told.contains("tap0: rx-gro off: a test"),
        "{told}"
    );
    Ok(())
}

#[test]
fn without_the_capability_nothing_is_changed() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    let mut apply = bed.apply(&policy, &["--confirm", "60s"])?;
    // SAFETY: makes one system call between fork and exec.
    unsafe {
        apply.pre_exec(|| {
            const CAP_NET_ADMIN: libc::c_ulong = 12;
            nix::errno::Errno::result(libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_ADMIN))?;
            Ok(())
        });
    }
    let (_, error) = bed.ends_with(1, apply)?;
    ensure!(
        error.contains("CAP_NET_ADMIN") && error.contains("nothing was changed"),
        "{error}"
    );
    ensure!(bed.features()? == before, "it is changed");
    bed.wait_until_all_ended()
}

/// A command that sees a file system of its own where the state directory is:
/// with so many pages free, or read-only.
fn on_small_disk(bed: &Bed, mut command: Command, free_pages: Option<usize>) -> Result<Command> {
    const PAGES: usize = 16;
    const PAGE_BYTES: usize = 4096;
    let state_dir = bed.state_dir();
    fs::create_dir_all(&state_dir)?;
    let filler = state_dir.join("filler");
    // SAFETY: the child has one thread, and nobody else holds a lock of the
    // allocator that it might wait for: glibc's fork sees to that.
    unsafe {
        command.pre_exec(move || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            let size = format!("size={},mode=700", PAGES * PAGE_BYTES);
            let flags = match free_pages {
                Some(_) => MsFlags::empty(),
                None => MsFlags::MS_RDONLY,
            };
            mount(
                Some("tmpfs"),
                &state_dir,
                Some("tmpfs"),
                flags,
                Some(&*size),
            )?;
            if let Some(free) = free_pages {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&filler)?;
                file.write_all(&[0; PAGES * PAGE_BYTES][free * PAGE_BYTES..])?;
            }
            Ok(())
        });
    }
    Ok(command)
}

#[test]
fn without_room_for_the_journal_nothing_is_changed() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(1)?;
    let before = bed.features()?;
    let policy = bed.policy(&[("tap0", GRO_OFF)])?;
    let apply = || bed.apply(&policy, &["--confirm", "1s"]);
    let (_, error) = bed.ends_with(1, on_small_disk(&bed, apply()?, None)?)?;
    ensure!(
        error.contains("Read-only") && error.contains("nothing was changed"),
        "{error}"
    );
    ensure!(bed.features()? == before, "it is changed");
    let (mut refused, mut applied) = (0, 0);
    for free in 0..12 {
        let output = on_small_disk(&bed, apply()?, Some(free))?
            .stdin(Stdio::null())
            .output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(1) => {
                refused += 1;
                let is_told = error.contains("No space left") && error.lines().count() == 1;
                ensure!(is_told, "{free} pages: {error}");
            }
            // Applied, and taken back at the deadline.
            Some(4) => applied += 1,
            _ => anyhow::bail!("{free} pages: {output:?}"),
        }
        bed.wait_until_all_ended()?;
        ensure!(
            bed.features()? == before,
            "{free} pages: it is changed: {error}"
        );
    }
    ensure!(
        refused > 3 && applied > 3,
        "refused {refused}, applied {applied}"
    );
    Ok(())
}

#[test]
fn the_bridge_has_its_features_again() -> Result<()> {
    skip_unless_lab!();
    let bed = Bed::new(2)?;
    if ethtool::features(bed.ns(), "tap0")?["tx-udp-segmentation"].fixed {
        skipped(
            "taps have no UDP segmentation before Linux 6.2: nothing of theirs a bridge takes on",
        );
        return Ok(());
    }
    // The veth keeps the bridge's.
    run(bed.ns(), &["ip", "link", "set", VETH, "nomaster"])?;
    let before = bed.features()?;
    let uso: &[(&str, bool)] = &[("tx-udp-segmentation", false)];
    let policy = bed.policy(&[("tap0", uso), ("tap1", uso)])?;
    let bridge = of(&bed, BRIDGE)?;
    leave_unconfirmed(&bed, &policy)?;
    ensure!(of(&bed, BRIDGE)? != bridge, "the bridge is as it was");
    let journalled = bed.last()?.context("it")?.commit;
    ensure!(
        journalled
            .entries
            .iter()
            .any(|entry| entry.id.dev == BRIDGE)
    );
    bed.ends_with(0, bed.enforce(&["rollback"])?)?;
    ensure!(
        bed.features()? == before,
        "{before:?}\nbecame\n{:?}",
        bed.features()?
    );
    bed.wait_until_all_ended()
}
