//! A guest whose frames a process of its own carries, as those of a real VM: the
//! test program, started once more under QEMU's name, with QEMU's arguments and
//! with the tap that it got from its parent, as libvirt gives it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, ColorSetting, Failed, Trial};

use crate::guest::{self, BACKEND_VARIABLE, GUEST_DEVICE, format_mac};
use crate::relay::Relay;
use crate::tap::Tap;
use crate::{Backend, Endpoint, GuestConfig, Lab, Netns};

const PROGRAM: &str = "qemu-system-x86_64";
/// The same as the kernel has it for a process: cut after 15 bytes.
const COMM: &std::ffi::CStr = c"qemu-system-x86";

/// Descriptors of the taps in the new process: above those in use while it is
/// made, below the usual limit.
const HOST_TAP: RawFd = 1000;
/// See [`HOST_TAP`].
const GUEST_TAP: RawFd = 1001;

/// What the new process says when it carries frames.
const READY: &str = "ready";

/// A test by its name.
pub type Test = (&'static str, fn() -> Result<()>);

/// The `main` of a test program that plays QEMU, too: its tests, and how many run
/// at once, if that matters.
pub fn tests(tests: &[Test], threads: Option<usize>) -> ExitCode {
    if let Some(code) = run_if_asked() {
        return code;
    }
    let tests = tests.iter().map(|(name, test)| {
        let test = *test;
        Trial::test(*name, move || {
            test().map_err(|error| Failed::from(format!("{error:?}")))
        })
    });
    let mut arguments = Arguments::from_args();
    // The kernel matrix reads results from a terminal.
    arguments.color.get_or_insert(ColorSetting::Never);
    arguments.test_threads = threads.or(arguments.test_threads);
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}

/// A `main` of these tests, each by the name of its function.
#[macro_export]
macro_rules! vmm_main {
    ($($test:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::vmm::tests(&[$((stringify!($test), $test)),+], None)
        }
    };
    (one at a time: $($test:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::vmm::tests(&[$((stringify!($test), $test)),+], Some(1))
        }
    };
}

/// A running guest. It stops when this is dropped, or with this process.
#[derive(Debug)]
pub struct Vmm {
    config: GuestConfig,
    ns: Netns,
    child: Child,
    /// The process runs until this is closed.
    lifeline: Option<ChildStdin>,
}

impl Vmm {
    /// Starts a guest of one queue on a bridge of `lab`. The program calls
    /// [`run_if_asked`].
    pub fn start(lab: &Lab, config: GuestConfig) -> Result<Self> {
        ensure!(config.queues == 1, "such a guest has one queue");
        let (ns, host_tap, guest_tap) = guest::connect(lab.host(), &config)?;
        lab.introduce(&config, &ns)?;
        let mut child = command(lab.host(), &config, &host_tap, &guest_tap)?
            .spawn()
            .with_context(|| format!("cannot start the process of {}", config.name))?;
        let lifeline = child.stdin.take();
        let stdout = child.stdout.take().context("its stdout is a pipe")?;
        let vmm = Self {
            config,
            ns,
            child,
            lifeline,
        };
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("its first line")?;
        ensure!(
            line.trim_end() == READY,
            "the process of {} does not carry frames",
            vmm.config.name
        );
        Ok(vmm)
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where traffic of this guest starts or ends.
    pub fn endpoint(&self) -> Endpoint {
        self.config.endpoint(&self.ns)
    }
}

impl Drop for Vmm {
    fn drop(&mut self) {
        self.lifeline = None;
        // Fails only if it has been waited for already.
        let _ = self.child.wait();
    }
}

fn command(host: &Netns, config: &GuestConfig, host_tap: &Tap, guest_tap: &Tap) -> Result<Command> {
    let queue = |tap: &Tap| tap.queues().first().map(AsRawFd::as_raw_fd);
    let (host_tap, guest_tap) = queue(host_tap)
        .zip(queue(guest_tap))
        .context("tap without queues")?;
    ensure!(host_tap.max(guest_tap) < HOST_TAP, "too many open files");
    let passed = [(host_tap, HOST_TAP), (guest_tap, GUEST_TAP)];
    let program = std::env::current_exe().context("the path of this test")?;
    let mut command = host.command(program.to_str().context("a path of plain text")?);
    let mac = format_mac(config.mac);
    let vhost = match config.backend {
        Backend::Relay => "off",
        Backend::Vhost | Backend::VhostKthread => "on",
    };
    command
        .arg0(PROGRAM)
        .args(["-name", &format!("guest={},debug-threads=on", config.name)])
        .arg("-netdev")
        .arg(format!("tap,fd={HOST_TAP},id=hostnet0,vhost={vhost}"))
        .arg("-device")
        .arg(format!("virtio-net-pci,netdev=hostnet0,id=net0,mac={mac}"))
        .env(BACKEND_VARIABLE, config.backend.name())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    // SAFETY: the closure runs between fork and exec and only makes system
    // calls; it neither allocates nor takes a lock. Nothing uses `to` there.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in passed {
                // A duplicate stays open across exec.
                nix::Error::result(libc::dup2(from, to))?;
            }
            Ok(())
        });
    }
    Ok(command)
}

/// Plays QEMU, if this process was started by [`Vmm::start`]: to be called
/// first thing in `main`, as the first thread owns the devices of a real QEMU.
pub fn run_if_asked() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    if name != PROGRAM {
        return None;
    }
    Some(match carry_frames() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{PROGRAM}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn carry_frames() -> Result<()> {
    nix::sys::prctl::set_name(COMM).context("set the name")?;
    // SAFETY: the parent has put them there, and nothing else here owns them.
    let [host, guest] = [HOST_TAP, GUEST_TAP].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let taps = [("host", host), (GUEST_DEVICE, guest)];
    let [host, guest] = taps.map(|(name, queue)| Tap::from_queue(name, queue));
    let _relay = Relay::start(host, guest, Backend::from_env())?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{READY}").and_then(|()| stdout.flush())?;
    // Nothing is written to it: it ends with the parent.
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .context("stdin")
        .map(drop)
}
