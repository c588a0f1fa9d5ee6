//! The virtualisation host: libvirtd, its guests and traffic between them.

use crate::domain::GuestSpec;
use crate::guest::{self, Output};
use crate::iperf::Throughput;
use crate::kernel::Kernel;
use crate::namespace::Namespaces;
use crate::{image, stuck, unavailable};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The bridge that the guests' taps are ports of.
pub const BRIDGE: &str = "owbr0";
/// The host's address on the bridge.
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);

/// State inside the mount namespace.
const STATE: &str = "/run/offwatch-e2e";
const SOCKET: &str = "/run/libvirt/libvirt-sock";
const LIBVIRTD_LOG: &str = "/run/offwatch-e2e/libvirtd.log";

/// How long to wait for a guest to accept a connection. Short, because a first
/// attempt made too early is only repeated by TCP and ARP after a second.
const CONNECT: Duration = Duration::from_millis(500);
/// How long a server of iperf3 may take between two runs.
const IPERF_BACK: Duration = Duration::from_secs(20);
/// When a kernel says that a processor makes no progress: twice `watchdog_thresh`,
/// looked at every few seconds.
const STUCK_NOTICED: Duration = Duration::from_secs(40);

/// How to start a [`Host`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the unpacked guest kernel is kept between runs; by default
    /// `e2e-cache` in the cargo target directory.
    pub cache: Option<PathBuf>,
}

/// One end of a traffic run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// The host, by its address on the bridge.
    Host,
    /// The guest of this name.
    Guest(&'a str),
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It followed the ACPI power button.
    Gracefully,
    /// It did not, and was destroyed.
    Destroyed,
}

/// A running host. Dropping it ends and removes everything.
///
/// All methods take `&self` and may be called from several threads, so traffic
/// can run while another thread measures.
pub struct Host {
    // Fields drop in this order: ending the namespaces ends the processes of
    // the children, which can then be waited for.
    namespaces: Namespaces,
    children: Children,
    kernel: PathBuf,
    guests: Mutex<BTreeMap<String, Ipv4Addr>>,
}

impl Host {
    /// Creates the namespaces and starts libvirtd. Takes about two seconds, most
    /// of it libvirt asking QEMU for its capabilities.
    pub fn start(options: Options) -> Result<Self> {
        if let Some(reason) = unavailable() {
            bail!("{reason}");
        }
        let cache = options.cache.unwrap_or_else(default_cache);
        let kernel = Kernel::fetch(&cache)?;
        let initramfs = image::build(&kernel.modules).context("build the guest image")?;
        let namespaces = Namespaces::create(BRIDGE, &HOST_ADDRESS.to_string())?;
        fs::write(namespaces.path(initrd_path()), initramfs).context("write the guest image")?;
        let host = Self {
            namespaces,
            children: Children::default(),
            kernel: kernel.image,
            guests: Mutex::default(),
        };
        let server = host
            .command("iperf3")
            .args(["--server", "--bind", &HOST_ADDRESS.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start the host's iperf3 server")?;
        *lock(&host.children.iperf) = Some(server);
        host.start_libvirtd()?;
        Ok(host)
    }

    /// A command that will run on this host: in its namespaces, with the same
    /// working directory. Ending the child process ends the program, signals
    /// sent to it arrive there, and the exit status is the program's. All files
    /// of the real host are visible except `/run` and libvirt's directories;
    /// what the program writes to `/etc` and `/var` stays in here.
    pub fn command(&self, program: &str) -> Command {
        self.namespaces.command(program)
    }

    /// The path by which this process reaches a file of the host, for example
    /// `/run/libvirt/qemu/web.xml`.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.namespaces.path(inside)
    }

    /// Runs `work` on a thread in the host's network namespace: its sockets
    /// reach the guests, its netlink requests see the taps.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.namespaces.in_network(work)
    }

    /// Starts libvirtd, which finds guests again that are still running.
    pub fn start_libvirtd(&self) -> Result<()> {
        let mut slot = lock(&self.children.libvirtd);
        ensure!(slot.is_none(), "libvirtd is already running");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path(LIBVIRTD_LOG))
            .context("open libvirtd's log")?;
        // A socket left by the previous daemon would look like a running one.
        let _ = fs::remove_file(self.path(SOCKET));
        let mut child = self
            .command("libvirtd")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start libvirtd")?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("libvirtd ended with {status}: {}", self.libvirtd_log());
            }
            // The socket exists before the drivers are ready; a call does not
            // return before they are.
            if self.path(SOCKET).exists() && self.virsh(&["list"]).is_ok() {
                break;
            }
            if Instant::now() > deadline {
                // Nobody else knows this child yet.
                let _ = child.kill();
                let _ = child.wait();
                bail!("libvirtd does not answer: {}", self.libvirtd_log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        *slot = Some(child);
        Ok(())
    }

    /// Stops libvirtd. Guests keep running, as they do on any host.
    pub fn stop_libvirtd(&self) -> Result<()> {
        let mut child = lock(&self.children.libvirtd)
            .take()
            .context("libvirtd is not running")?;
        kill(pid_of(&child), Signal::SIGTERM).context("stop libvirtd")?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("libvirtd did not stop: {}", self.libvirtd_log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What libvirtd has logged so far: warnings and errors.
    pub fn libvirtd_log(&self) -> String {
        fs::read_to_string(self.path(LIBVIRTD_LOG)).unwrap_or_default()
    }

    /// What a guest has printed on its serial console so far.
    pub fn console(&self, guest: &str) -> String {
        let bytes = fs::read(self.path(console_path(guest))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether a guest's kernel has found that one of its processors makes no
    /// progress.
    fn is_stuck(&self, guest: &str) -> bool {
        stuck::is_stuck(&self.console(guest))
    }

    /// [`Host::is_stuck`], for a guest that may just have become so: one that does not
    /// answer is given the time that its kernel needs to notice.
    fn stands_still(&self, guest: &str) -> bool {
        let deadline = Instant::now() + STUCK_NOTICED;
        let answers = || self.exec_within(guest, "true", Duration::from_secs(2));
        while self.is_running(guest) && !self.is_stuck(guest) && answers().is_err() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.is_stuck(guest)
    }

    /// Runs virsh with read-write access and returns what it prints.
    pub fn virsh(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .command("virsh")
            .args(["--quiet", "--connect", "qemu:///system"])
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .context("run virsh")?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!(
                "virsh {}: {}: {}",
                arguments.join(" "),
                output.status,
                message.trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Defines a guest without starting it.
    pub fn define(&self, spec: &GuestSpec) -> Result<()> {
        let xml = spec.xml(
            &self.kernel,
            &initrd_path(),
            &console_path(&spec.name),
            BRIDGE,
        );
        let file = Path::new(STATE).join(format!("{}.xml", spec.name));
        fs::write(self.path(&file), xml).context("write the domain XML")?;
        self.virsh(&["define", &file.to_string_lossy()])?;
        lock(&self.guests).insert(spec.name.clone(), spec.ip);
        Ok(())
    }

    /// Starts a defined guest. Returns when QEMU runs, before the guest's kernel
    /// has found its network card.
    pub fn start_domain(&self, name: &str) -> Result<()> {
        self.virsh(&["start", name]).map(drop)
    }

    /// [`Host::define`], then [`Host::start_domain`].
    pub fn define_and_start(&self, spec: &GuestSpec) -> Result<()> {
        self.define(spec)?;
        self.start_domain(&spec.name)
    }

    /// Waits until a guest answers on its command port; returns how long that
    /// took. The error holds the end of the guest's console.
    pub fn wait_ready(&self, name: &str, timeout: Duration) -> Result<Duration> {
        let start = Instant::now();
        loop {
            match self.exec_within(name, "true", Duration::from_secs(2)) {
                Ok(_) => return Ok(start.elapsed()),
                Err(error) if start.elapsed() > timeout || self.is_stuck(name) => {
                    let console = self.console(name);
                    return Err(error.context(format!(
                        "guest {name} is not ready after {:.1?}; console: {}",
                        start.elapsed(),
                        tail(&console, 20)
                    )));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Runs a shell command in a guest and waits up to a minute for its end.
    pub fn exec(&self, guest: &str, command: &str) -> Result<Output> {
        self.exec_within(guest, command, Duration::from_secs(60))
    }

    /// [`Host::exec`] with another time limit.
    pub fn exec_within(&self, guest: &str, command: &str, timeout: Duration) -> Result<Output> {
        let address = self.address(Endpoint::Guest(guest))?;
        // The bridge is local: what takes longer is a guest that is not there.
        let connect = || guest::connect(address, timeout.min(CONNECT));
        let stream = self
            .in_network(connect)?
            .with_context(|| format!("connect to guest {guest}"))?;
        guest::run(stream, command, timeout).with_context(|| format!("in guest {guest}: {command}"))
    }

    /// Sends TCP as fast as it goes from one end to the other. An end serves one
    /// run at a time.
    pub fn iperf(&self, from: Endpoint, to: Endpoint, seconds: u32) -> Result<Throughput> {
        self.iperf_with(from, to, seconds, &[])
    }

    /// [`Host::iperf`] with more arguments for the client, such as `--parallel 2`
    /// or `--set-mss 500`. A server that has just ended another run and is not
    /// back yet is waited for; a run that does not end is begun once more.
    pub fn iperf_with(
        &self,
        from: Endpoint,
        to: Endpoint,
        seconds: u32,
        arguments: &[&str],
    ) -> Result<Throughput> {
        let deadline = Instant::now() + IPERF_BACK;
        let mut was_stuck = false;
        loop {
            let ran = self.iperf_once(from, to, seconds, arguments);
            match ran {
                Err(error) if crate::iperf::is_stuck(&error) && !was_stuck => {
                    eprintln!("iperf3 did not end: once more");
                    was_stuck = true;
                }
                Err(error) if crate::iperf::is_refused(&error) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                ran => return ran,
            }
        }
    }

    fn iperf_once(
        &self,
        from: Endpoint,
        to: Endpoint,
        seconds: u32,
        arguments: &[&str],
    ) -> Result<Throughput> {
        let to = self.address(to)?.to_string();
        let seconds_text = seconds.to_string();
        let mut all = vec!["--json", "--client", &to, "--time", &seconds_text];
        all.extend(["--connect-timeout", "5000"]);
        all.extend(arguments);
        // An emulated guest may take long to begin and to report.
        let timeout = Duration::from_secs(u64::from(seconds) + 30);
        let json = match from {
            Endpoint::Host => {
                let output = self
                    .command("timeout")
                    .arg(timeout.as_secs().to_string())
                    .arg("iperf3")
                    .args(all)
                    .stdin(Stdio::null())
                    .output()
                    .context("run iperf3")?;
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            Endpoint::Guest(name) => {
                self.exec_within(name, &format!("iperf3 {}", all.join(" ")), timeout)?
                    .text
            }
        };
        Throughput::parse(&json)
    }

    /// The address of one end.
    pub fn address(&self, end: Endpoint) -> Result<Ipv4Addr> {
        match end {
            Endpoint::Host => Ok(HOST_ADDRESS),
            Endpoint::Guest(name) => lock(&self.guests)
                .get(name)
                .copied()
                .with_context(|| format!("no guest {name}")),
        }
    }

    /// Host-side names of a running guest's interfaces, in the order of its XML;
    /// "-" for one that has none.
    pub fn taps(&self, name: &str) -> Result<Vec<String>> {
        let list = self.virsh(&["domiflist", name])?;
        Ok(list
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// Process id of a running guest's QEMU, as seen by programs on this host.
    pub fn qemu_pid(&self, name: &str) -> Result<i32> {
        let path = format!("/run/libvirt/qemu/{name}.pid");
        fs::read_to_string(self.path(&path))
            .with_context(|| format!("read {path}"))?
            .trim()
            .parse()
            .with_context(|| format!("parse {path}"))
    }

    /// Whether QEMU of this guest runs, known or unknown to libvirtd.
    pub fn is_running(&self, name: &str) -> bool {
        // libvirtd removes the file when the guest ends. If libvirtd was not
        // there to see that, the file is stale and the process decides.
        self.qemu_pid(name)
            .is_ok_and(|pid| self.path(format!("/proc/{pid}/fdinfo")).exists())
    }

    /// Presses the power button and waits; destroys the guest if it does not
    /// react in time.
    pub fn shutdown(&self, name: &str, timeout: Duration) -> Result<Stopped> {
        let deadline = Instant::now() + timeout;
        self.virsh(&["shutdown", name, "--mode", "acpi"])?;
        while Instant::now() < deadline {
            if self.virsh(&["domstate", name])?.trim() == "shut off" {
                return Ok(Stopped::Gracefully);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.destroy(name)?;
        Ok(Stopped::Destroyed)
    }

    /// Ends a guest at once, as pulling the plug does.
    pub fn destroy(&self, name: &str) -> Result<()> {
        self.virsh(&["destroy", name]).map(drop)
    }

    /// Restarts a guest from within and waits until it is ready again. QEMU and
    /// the tap stay the same; the guest's driver negotiates offloads anew.
    pub fn reboot(&self, name: &str, timeout: Duration) -> Result<Duration> {
        let start = Instant::now();
        let boot = "cat /proc/sys/kernel/random/boot_id";
        let before = self.exec(name, boot)?.success()?;
        self.exec(name, "(sleep 1; leave reboot) >/dev/null 2>&1 &")?;
        while start.elapsed() < timeout && !self.is_stuck(name) {
            match self.exec_within(name, boot, Duration::from_secs(2)) {
                Ok(output) if output.status == 0 && output.text != before => {
                    return Ok(start.elapsed());
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        bail!(
            "guest {name} is not back after {:.1?}; console: {}",
            start.elapsed(),
            tail(&self.console(name), 20)
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // All evidence goes with the namespaces, so show it while it is there.
        let names: Vec<_> = lock(&self.guests).keys().cloned().collect();
        for name in names.iter().filter(|name| self.stands_still(name)) {
            let registers = ["qemu-monitor-command", name, "--hmp", "info registers -a"];
            let registers = self.virsh(&registers);
            let registers = registers.unwrap_or_else(|error| error.to_string());
            stuck::seen(name, &self.console(name), &registers);
        }
        if std::thread::panicking() {
            eprintln!("--- libvirtd ---\n{}", tail(&self.libvirtd_log(), 20));
            for name in lock(&self.guests).keys() {
                eprintln!("--- {name} ---\n{}", tail(&self.console(name), 20));
            }
        }
    }
}

/// Processes that this process must wait for.
#[derive(Default)]
struct Children {
    libvirtd: Mutex<Option<Child>>,
    iperf: Mutex<Option<Child>>,
}

impl Drop for Children {
    fn drop(&mut self) {
        for slot in [&self.libvirtd, &self.iperf] {
            if let Some(child) = lock(slot).as_mut() {
                // The namespaces are gone, and with them what this stood for.
                let _ = child.wait();
            }
        }
    }
}

/// A panic of another thread leaves plain data in order.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pid_of(child: &Child) -> Pid {
    // A process id always fits: the kernel's maximum is 2^22.
    Pid::from_raw(child.id() as i32)
}

fn initrd_path() -> PathBuf {
    Path::new(STATE).join("initramfs")
}

fn console_path(guest: &str) -> PathBuf {
    Path::new(STATE).join(format!("{guest}.console"))
}

/// The last `count` lines.
fn tail(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// `e2e-cache` in the target directory, which cargo marks with CACHEDIR.TAG.
fn default_cache() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    executable
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .map_or_else(std::env::temp_dir, Path::to_owned)
        .join("e2e-cache")
}
