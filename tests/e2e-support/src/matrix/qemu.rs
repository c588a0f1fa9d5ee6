//! One boot in QEMU, from start to end of the process.

use super::console::{Reader, trouble};
use super::results::Run;
use super::{Boot, Mode};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const QEMU: &str = "qemu-system-x86_64";

/// For every boot. Emulation, on a machine that is busy, must not look like a
/// kernel that hangs; nor need it pay for mitigations. After an oops nothing is
/// worth waiting for.
const PARAMETERS: &str = "console=ttyS0 loglevel=5 panic=-1 oops=panic \
    watchdog_thresh=60 nmi_watchdog=0 rcupdate.rcu_cpu_stall_timeout=300 \
    sysctl.kernel.hung_task_timeout_secs=600 \
    mitigations=off random.trust_cpu=on";

/// The emulated TSC's rate can only be measured, which goes wrong by far while the
/// machine is busy; the HPET's is known.
const KNOWN_RATE: &str = "clocksource=hpet tsc=unstable";

/// Where time is the count of instructions, the TSC is as exact as the HPET, and
/// what programs on real machines read.
const COUNTED: &str = "clocksource=tsc tsc=reliable";

const PROCESSORS: &[&str] = &["-cpu", "max", "-smp", "2"];

/// One instruction takes a nanosecond of the guest's time, and idling none of ours.
/// What else the guest takes from outside is the same in each run. Without ERMS and
/// FSRM memory is copied in a loop by words: an instruction that copies bytes is
/// counted for each of them.
const COUNTING_PROCESSOR: &[&str] = &[
    "-cpu",
    "max,erms=off,fsrm=off",
    "-icount",
    "shift=0,align=off,sleep=off",
    "-seed",
    "1",
    "-rtc",
    "base=2026-01-01,clock=vm",
];

/// What a kernel may still have to say after the line that condemns it.
const LAST_WORDS: Duration = Duration::from_secs(5);

enum Event {
    Kernel(String),
    Test(String),
}

/// Ends QEMU when it is dropped.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots, and prints each line of the guest's with the boot's label.
pub(super) fn run(
    boot: &Boot<'_>,
    initramfs: &File,
    absent_modules: Vec<String>,
    limit: Duration,
) -> Result<Run> {
    let mut reader = Reader::new(Run {
        label: boot.label.clone(),
        package: boot.kernel.package.clone(),
        version: boot.kernel.version.clone(),
        release: boot.kernel.release.clone(),
        lockdown: boot.mode == Mode::Lockdown,
        icount: boot.mode == Mode::Icount,
        without: boot.without,
        absent_modules,
        ..Run::default()
    });
    let mut deadline = Instant::now() + limit;
    let mut guest = Guest(
        command(boot, initramfs)
            .spawn()
            .with_context(|| format!("start {QEMU}"))?,
    );
    let (sender, events) = channel();
    let stdout = guest.0.stdout.take().context("QEMU has no stdout")?;
    let stderr = guest.0.stderr.take().context("QEMU has no stderr")?;
    listen(stdout, Event::Kernel, sender.clone());
    listen(stderr, Event::Test, sender);

    let label = &boot.label;
    let mut condemned = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Test(line)) => {
                println!("{label} | {line}");
                reader.line(&line);
                // However slow the machine is, as long as tests go on.
                if !condemned {
                    deadline = Instant::now() + limit;
                }
            }
            Ok(Event::Kernel(line)) => {
                println!("{label} [kernel] {line}");
                if let Some(message) = trouble(&line) {
                    reader.run.troubles.push(format!("kernel: {message}"));
                    if hopeless(message) && !condemned {
                        condemned = true;
                        deadline = deadline.min(Instant::now() + LAST_WORDS);
                    }
                }
            }
            // Both ports are closed: QEMU has ended.
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if !condemned {
                    let message = format!("nothing was heard for {} s", limit.as_secs());
                    reader.run.troubles.push(message);
                }
                break;
            }
        }
    }
    drop(guest);
    // What was left of a line without end: the test that hangs, for one.
    for event in events {
        if let Event::Test(line) = event {
            println!("{label} | {line}");
            reader.line(&line);
        }
    }
    Ok(reader.finish())
}

/// Whether the guest will not go on, or not soon.
fn hopeless(message: &str) -> bool {
    ["panic", "soft lockup", "stall"]
        .iter()
        .any(|word| message.contains(word))
}

fn command(boot: &Boot<'_>, initramfs: &File) -> Command {
    let more = match boot.mode {
        Mode::Plain => KNOWN_RATE,
        Mode::Lockdown => &format!("{KNOWN_RATE} lockdown=confidentiality"),
        Mode::Icount => COUNTED,
    };
    let parameters = format!("{PARAMETERS} {more}");
    // The file has no name, but a path as long as we hold it.
    let initramfs = format!("/proc/{}/fd/{}", std::process::id(), initramfs.as_raw_fd());
    let mut command = Command::new(QEMU);
    command
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        // One thread for both processors. With one for each, a processor may run
        // code that the other has just patched (a static key, a probe): 7.3 then
        // dies of "Oops: int3".
        .args(["-accel", "tcg,thread=single", "-m", "1536M"])
        .args(["-display", "none", "-monitor", "none"])
        // The kernel's log on one pipe, the tests' output on the other, where
        // QEMU's own complaints are welcome, too.
        .args(["-serial", "stdio", "-serial", "file:/dev/stderr"])
        .arg("-kernel")
        .arg(&boot.kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", &parameters])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.args(match boot.mode {
        Mode::Plain | Mode::Lockdown => PROCESSORS,
        Mode::Icount => COUNTING_PROCESSOR,
    });
    // SAFETY: the closure runs between fork and exec; it makes one system call
    // and touches no memory.
    unsafe {
        command.pre_exec(|| {
            Ok(nix::sys::prctl::set_pdeathsig(
                nix::sys::signal::Signal::SIGKILL,
            )?)
        });
    }
    command
}

/// Sends each line that comes from `port`, until it closes.
fn listen(port: impl Read + Send + 'static, event: fn(String) -> Event, sender: Sender<Event>) {
    thread::spawn(move || {
        let mut port = BufReader::new(port);
        let mut line = Vec::new();
        // A read that fails is a port that closed.
        while port.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            if sender.send(event(text.trim_end().to_owned())).is_err() {
                break;
            }
            line.clear();
        }
    });
}
