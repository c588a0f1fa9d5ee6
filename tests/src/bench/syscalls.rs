//! Counts system calls, with strace where it is installed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::NamedTempFile;

/// The system call that marks the part to count.
const MARK: &str = "getppid(";
/// What is read once for each sample with interfaces, and by nothing else.
pub const SAMPLE: &str = "/thread-self/net/snmp\"";
/// How output to stdout begins, of a program that makes it at once.
pub const OUTPUT: &str = "write(1<";

/// How many system calls reading takes; `None` without strace.
pub(super) fn of_reading(interfaces: u32) -> Result<Option<u64>> {
    let log = NamedTempFile::new().context("a file for strace")?;
    let this = std::env::current_exe().context("the path of this program")?;
    let traced = Command::new("strace")
        .args(["-f", "-o"])
        .arg(log.path())
        .arg(this)
        .args(["--read-only", &interfaces.to_string()])
        .stdin(Stdio::null())
        .output();
    let output = match traced {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        output => output.context("running strace")?,
    };
    ensure!(
        output.status.success(),
        "under strace: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let log = std::fs::read_to_string(log.path()).context("the log of strace")?;
    between_marks(&log).map(Some)
}

fn between_marks(log: &str) -> Result<u64> {
    let mut parts = log.split(MARK);
    let (Some(_), Some(marked), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        anyhow::bail!("strace saw no marks");
    };
    // The rest of the first mark's line, and the process id before the second.
    Ok(marked.lines().count().saturating_sub(2) as u64)
}

/// System calls of a tick, by name and, where that is known, what they are about: where
/// a path begins (`/proc`), or `socket`, `pipe`, ...
pub type Calls = BTreeMap<String, u64>;

/// How the allocator gets memory from the kernel and gives it back: that is up to
/// sizes.
const MEMORY: [&str; 5] = ["brk", "madvise", "mmap", "mremap", "munmap"];
/// How threads wait and wake each other: how often is up to the scheduler.
const WAITS: [&str; 7] = [
    "clock_nanosleep",
    "epoll_wait",
    "futex",
    "poll",
    "ppoll",
    "restart_syscall",
    "sched_yield",
];
/// What they wake each other with: eventfd, epoll, pipes.
const WAKERS: [&str; 2] = ["anon_inode", "pipe"];

/// Calls that ask the kernel for something, or write: neither [`MEMORY`] nor waiting.
pub fn asking(calls: &Calls) -> Calls {
    let is_asking = |call: &str| {
        let (name, object) = call.split_once(' ').unwrap_or((call, ""));
        let is_output = name == "write" && object == "pipe";
        ![&MEMORY[..], &WAITS[..]].concat().contains(&name)
            && (is_output || !WAKERS.contains(&object))
    };
    let asking = calls.iter().filter(|(call, _)| is_asking(call));
    asking.map(|(call, count)| (call.clone(), *count)).collect()
}

/// Looks at a running offwatch until strace saw so many ticks, and returns the system
/// calls that a tick takes, of all threads: of each, the median. Not everything is
/// done in every tick. A tick begins with `mark`: [`SAMPLE`] or [`OUTPUT`]. `None`
/// without strace.
pub fn of_a_tick(pid: u32, mark: &str, ticks: usize) -> Result<Option<Calls>> {
    const LOOK: Duration = Duration::from_millis(200);
    const PATIENCE: u32 = 5 * 240;
    let log = NamedTempFile::new().context("a file for strace")?;
    let Some(mut strace) = attach(pid, log.path())? else {
        return Ok(None);
    };
    let mut seen = Vec::new();
    for _ in 0..PATIENCE {
        sleep(LOOK);
        let text = std::fs::read_to_string(log.path()).context("the log of strace")?;
        seen = by_tick(&text, mark);
        let ended = strace.try_wait().context("waiting for strace")?;
        ensure!(
            ended.is_none(),
            "strace has ended, and saw {} ticks",
            seen.len()
        );
        if seen.len() >= ticks {
            break;
        }
    }
    // It lets go of the process and ends.
    kill(Pid::from_raw(strace.id().try_into()?), Signal::SIGINT).context("ending strace")?;
    strace.wait().context("waiting for strace")?;
    ensure!(seen.len() >= ticks, "strace saw {} ticks", seen.len());
    Ok(Some(typical(&seen)))
}

fn attach(pid: u32, log: &std::path::Path) -> Result<Option<Child>> {
    let started = Command::new("strace")
        .args(["-f", "-q", "-y", "-p", &pid.to_string(), "-o"])
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        started => Ok(Some(started.context("running strace")?)),
    }
}

/// The system calls of each whole tick.
fn by_tick(log: &str, mark: &str) -> Vec<Calls> {
    let mut ticks = Vec::new();
    let mut tick: Option<Calls> = None;
    for line in log.lines() {
        // `PID name(...`; one that another thread interrupts goes on as
        // `PID <... name resumed>`.
        let call = line
            .split_once(' ')
            .map_or("", |(_, call)| call.trim_start());
        let Some((name, _)) = call.split_once('(') else {
            continue;
        };
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let object = object(call);
        // How many records there are in the kernel's log is up to all that happens on
        // the machine.
        if object == KERNEL_LOG {
            continue;
        }
        if call.contains(mark) {
            ticks.extend(tick.replace(Calls::new()));
        }
        if let Some(tick) = &mut tick {
            let name = format!("{name} {object}");
            *tick.entry(name.trim_end().to_owned()).or_default() += 1;
        }
    }
    ticks
}

const KERNEL_LOG: &str = "/dev/kmsg";

/// What a call is about, as strace tells it: `read(9</proc/net/snmp>, ...`,
/// `recvmsg(3<socket:[7]>, ...`, `openat(AT_FDCWD</>, "/proc/net/snmp", ...`.
fn object(call: &str) -> &str {
    let of = |open: char, close: char| call.split_once(open)?.1.split_once(close);
    let is_absolute = |(path, _): &(&str, &str)| path.starts_with('/');
    let quoted = of('"', '"').filter(is_absolute);
    let mut by_path = ["openat(", "statx(", "readlink("].iter();
    let found = match by_path.any(|name| call.starts_with(name)) {
        true => quoted.or_else(|| of('<', '>')),
        false => of('<', '>'),
    };
    let Some((object, _)) = found else { return "" };
    if object.starts_with(KERNEL_LOG) {
        return KERNEL_LOG;
    }
    let begin = object.strip_prefix('/').unwrap_or(object);
    let end = begin.find(['/', ':']).unwrap_or(begin.len());
    &object[..object.len() - begin.len() + end]
}

/// Of each system call, the median.
fn typical(ticks: &[Calls]) -> Calls {
    let names: BTreeSet<&String> = ticks.iter().flat_map(Calls::keys).collect();
    let median = |name: &String| {
        let of = |tick: &Calls| tick.get(name).copied().unwrap_or(0);
        let mut counts: Vec<u64> = ticks.iter().map(of).collect();
        counts.sort_unstable();
        counts[counts.len() / 2]
    };
    let medians = names.into_iter().map(|name| (name.clone(), median(name)));
    medians.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_between_the_marks_count() -> Result<()> {
        let none = "7 brk(0) = 0\n7 getppid() = 1\n7 getppid() = 1\n7 exit(0) = ?\n";
        assert_eq!(between_marks(none)?, 0);
        let two = "7 getppid() = 1\n7 brk(0) = 0\n7 mmap(0) = 0\n7 getppid() = 1\n";
        assert_eq!(between_marks(two)?, 2);
        assert!(between_marks("7 getppid() = 1\n").is_err());
        Ok(())
    }

    #[test]
    fn a_tick_is_from_one_sample_to_the_next() {
        let tick =
            "7  openat(AT_FDCWD</>, \"/proc/thread-self/net/snmp\", O_RDONLY) = 9</proc/7/x>\n";
        let rest = "7  read(9</proc/7/net/snmp>, \"(\", 1) = 1\n\
                    8  recvmsg(3<socket:[5]>, <unfinished ...>\n\
                    7  close(9</proc/7/net/snmp>) = 0\n8  <... recvmsg resumed>) = 5\n\
                    7  read(4</dev/kmsg>, \"6,339,51,-;\", 9) = 11\n8  --- SIGCONT {} ---\n";
        let log = format!("7  read(1, \"\", 0) = 0\n{tick}{rest}{tick}{rest}{rest}{tick}{rest}");
        let ticks = by_tick(&log, SAMPLE);
        let calls = |ticks: &Calls| ticks.values().sum::<u64>();
        assert_eq!(ticks.iter().map(calls).collect::<Vec<_>>(), [4, 7]);
        assert_eq!(ticks[0]["recvmsg socket"], 1);
        assert_eq!(ticks[0]["read /proc"], 1);
    }

    #[test]
    fn memory_and_waiting_ask_for_nothing() {
        let names = [
            "brk",
            "epoll_wait anon_inode",
            "read pipe",
            "write anon_inode",
            "write pipe",
            "read /sys",
            "sendto socket",
        ];
        let calls = names.map(|name| (name.to_owned(), 1)).into();
        let asking = asking(&calls);
        let asking: Vec<&str> = asking.keys().map(String::as_str).collect();
        assert_eq!(asking, ["read /sys", "sendto socket", "write pipe"]);
    }

    #[test]
    fn what_is_done_now_and_then_is_not_typical() {
        let tick = |reads, scans| Calls::from([("read".into(), reads), ("readlink".into(), scans)]);
        let ticks = [tick(5, 0), tick(90, 900), tick(5, 0)];
        assert_eq!(typical(&ticks), Calls::from([("read".into(), 5)]));
    }
}
