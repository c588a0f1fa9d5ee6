//! The unit of `offwatch export`: how far it is confined, and that the program does all
//! it can do there.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use offwatch_tests::{
    GuestConfig, Lab, Netns, Offloads,
    confined::Confinement,
    domains::{Domain, TestDriver},
    guest::Family,
    observer::{binary, offwatch},
    quiet::wait_until,
    skip::left_out,
    skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
};
use tempfile::TempDir;

const SERVICE: &str = include_str!("../../contrib/systemd/offwatch-export.service");
const SOCKET: &str = include_str!("../../contrib/systemd/offwatch-export.socket");
/// A process that does not tell within this hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9953);

#[test]
fn the_unit_is_confined() -> Result<()> {
    let capabilities = "CAP_BPF CAP_PERFMON CAP_SYSLOG CAP_SYS_PTRACE CAP_DAC_READ_SEARCH";
    for key in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        let lines = SERVICE.lines().filter(|line| line.starts_with(key));
        let lines: Vec<_> = lines.collect();
        ensure!(lines == [format!("{key}={capabilities}")], "{lines:?}");
    }
    let directory = tempfile::tempdir()?;
    let units = [
        ("offwatch-export.service", SERVICE),
        ("offwatch-export.socket", SOCKET),
    ];
    for (name, text) in units {
        fs::write(directory.path().join(name), text)?;
    }
    let analyze = |args: &[&str]| -> Result<Option<(bool, String)>> {
        let mut command = Command::new("systemd-analyze");
        command.args(args).current_dir(directory.path());
        let Ok(output) = command.output() else {
            left_out("systemd-analyze is not installed");
            return Ok(None);
        };
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        Ok(Some((output.status.success(), told)))
    };
    // In tenths.
    let args = ["security", "--offline=true", "--threshold=29", "--no-pager"];
    let args = [&args[..], &["./offwatch-export.service"]].concat();
    let Some((is_confined, told)) = analyze(&args)? else {
        return Ok(());
    };
    ensure!(is_confined, "{told}");
    for (name, _) in units {
        let name = format!("./{name}");
        let args = ["verify", "--man=no", "--recursive-errors=no", &name];
        let Some((_, told)) = analyze(&args)? else {
            return Ok(());
        };
        // It is not installed where it is tested.
        let problems = told.lines().filter(|it| !it.contains("is not executable"));
        let problems: Vec<_> = problems.filter(|it| it.contains("offwatch-")).collect();
        ensure!(problems.is_empty(), "{problems:?}");
    }
    Ok(())
}

/// A lab with a host of libvirt's test driver, and a journal of root's.
struct Host {
    lab: Lab,
    driver: TestDriver,
    directory: TempDir,
}

impl Host {
    fn new() -> Result<Self> {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web"])?;
        let mut legacy = GuestConfig::new("legacy", 2);
        legacy.offloads = Offloads::CSUM_ONLY;
        lab.add_guest(legacy)?;
        let domains: Vec<_> = lab.guests().iter().map(Domain::of).collect();
        let host = Self {
            driver: TestDriver::new(&domains)?,
            lab,
            directory: tempfile::tempdir()?,
        };
        fs::set_permissions(host.directory.path(), Permissions::from_mode(0o700))?;
        let policy = host.path("policy.toml");
        fs::write(
            &policy,
            "version = 1\n[[rule]]\nmatch = { device = 'owtap1' }\nfeatures = { gro = false }\n",
        )?;
        let mut apply = offwatch(host.lab.host(), &["enforce", "--apply", "--policy"])?;
        apply.arg(&policy).arg("--state-dir").arg(host.state_dir());
        let output = apply.output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(host)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    fn export(&self, args: &[&str]) -> Result<Command> {
        let mut command = offwatch(self.lab.host(), &["export", "--state-dir"])?;
        command.arg(self.state_dir()).args(args);
        Ok(command)
    }

    /// The same as a service of the unit.
    fn serve(&self, unit: &str, args: &[&str]) -> Result<Service> {
        // Where anybody may write to it.
        let directory = tempfile::tempdir()?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let path = directory.path().join("notify");
        let notify = UnixDatagram::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o777))?;
        notify.set_read_timeout(Some(PATIENCE))?;
        let confinement = Confinement::of_unit(unit)?;
        if !confinement.refuses_exec_gain() {
            left_out("MemoryDenyWriteExecute: since Linux 6.3 without systemd");
        }
        let mut command = self.export(args)?;
        confinement.apply(&mut command);
        command.env("NOTIFY_SOCKET", &path);
        // Nobody's, unless the arguments name one.
        command.env("LIBVIRT_DEFAULT_URI", "test:///nonexistent");
        command.stderr(Stdio::piped());
        Ok(Service {
            child: command.spawn().context("cannot start offwatch export")?,
            confinement,
            notify,
            _directory: directory,
        })
    }
}

struct Service {
    child: Child,
    confinement: Confinement,
    notify: UnixDatagram,
    _directory: TempDir,
}

impl Service {
    /// Waits until it tells systemd this; or until it has ended, with what it said.
    fn tells(&mut self, state: &str) -> Result<()> {
        let mut told = [0; 512];
        self.notify
            .set_read_timeout(Some(Duration::from_millis(200)))?;
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            if let Ok(length) = self.notify.recv(&mut told) {
                let told = String::from_utf8_lossy(&told[..length]);
                if told.lines().any(|line| line == state) {
                    return Ok(());
                }
            } else if let Some(status) = self.child.try_wait()? {
                let mut said = String::new();
                let stderr = self.child.stderr.as_mut().context("a pipe")?;
                stderr.read_to_string(&mut said)?;
                bail!("offwatch ended, {status}: {said}");
            }
        }
        bail!("offwatch does not tell {state}")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).context("a signal")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scrape(ns: &Netns) -> Result<String> {
    ns.try_run(|| {
        let mut stream = TcpStream::connect(SocketAddr::from(ADDRESS))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.contains(" 200 "), "{answer}");
        Ok(answer)
    })
}

/// The series of a scrape, without their values; those alone that are there at any time.
fn series(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| line.starts_with("offwatch_"));
    let names = lines.filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series));
    let steady = names.filter(|name| !name.starts_with("offwatch_http_"));
    steady.map(ToOwned::to_owned).collect()
}

#[test]
fn as_a_service_it_sees_all_that_root_sees() -> Result<()> {
    skip_unless_lab!();
    let host = Host::new()?;
    let libvirt = ["-c", &host.driver.uri()];
    let mut service = host.serve(SERVICE, &libvirt)?;
    service.tells("READY=1")?;
    let status = fs::read_to_string(format!("/proc/{}/status", service.child.id()))?;
    let capabilities = format!("{:016x}", service.confinement.capabilities());
    for line in [
        "Uid:\t65534\t65534\t65534\t65534".to_owned(),
        format!("CapEff:\t{capabilities}"),
        format!("CapBnd:\t{capabilities}"),
        "NoNewPrivs:\t1".to_owned(),
        "Seccomp:\t2".to_owned(),
    ] {
        ensure!(status.contains(&line), "not {line}: {status}");
    }
    let (web, legacy) = (host.lab.guest(0), host.lab.guest(1));
    let options = TcpOptions::new(Family::V4, 4_000_000);
    tcp_stream(&web.endpoint(), &legacy.endpoint(), &options)?;
    let mark = "offwatch_vm_software_segments_total{vm=\"legacy\",dev=\"owtap2\"} ";
    let mut seen = String::new();
    // A sample may be a second old.
    wait_until("the segments are shown", PATIENCE, || {
        seen = scrape(host.lab.host())?;
        let cut = seen.lines().find_map(|line| line.strip_prefix(mark));
        Ok(cut.is_some_and(|cut| cut != "0"))
    })?;
    ensure!(seen.contains("\noffwatch_enforcement_as_set{"), "{seen}");

    // Another one, as root, while the same is going on.
    let output = host
        .export(&[&libvirt[..], &["--once"]].concat())?
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let (seen, all) = (series(&seen), series(&String::from_utf8(output.stdout)?));
    // Advice needs a window of samples first.
    let of_moment =
        |name: &&String| !name.contains("_gso_size_bytes") && !name.starts_with("offwatch_advice_");
    let missing: Vec<_> = all.difference(&seen).filter(of_moment).collect();
    ensure!(missing.is_empty(), "not seen: {missing:#?}");
    let reasons: Vec<_> = seen
        .difference(&all)
        .filter(|it| it.contains("unavailable"))
        .collect();
    ensure!(reasons.is_empty(), "{reasons:#?}");

    service.signal(Signal::SIGHUP)?;
    service.tells("READY=1")?;
    service.signal(Signal::SIGTERM)?;
    let status = service.child.wait()?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn what_the_unit_allows_is_needed() -> Result<()> {
    skip_unless_lab!();
    let host = Host::new()?;
    for (line, less) in [
        ("AmbientCapabilities=CAP_BPF ", "AmbientCapabilities="),
        ("SystemCallFilter=bpf perf_event_open", ""),
    ] {
        ensure!(SERVICE.contains(line), "no {line}");
        let mut service = host.serve(&SERVICE.replace(line, less), &[])?;
        let told = service.tells("READY=1");
        ensure!(told.is_err(), "it starts without {line}");
    }
    // Starts without the journal, and says so.
    let less = SERVICE.replace(" CAP_DAC_READ_SEARCH", "");
    let mut service = host.serve(&less, &[])?;
    service.tells("READY=1")?;
    let seen = scrape(host.lab.host())?;
    let mark = "offwatch_unavailable{what=\"enforcement\"";
    ensure!(seen.contains(mark), "{seen}");
    ensure!(!seen.contains("offwatch_enforcement_as_set"), "{seen}");
    Ok(())
}

#[test]
fn the_socket_is_where_export_listens() -> Result<()> {
    let listen = format!("{}:{}", ADDRESS.0, ADDRESS.1);
    let help = Command::new(binary()?)
        .args(["export", "--help"])
        .output()?;
    let help = String::from_utf8(help.stdout)?;
    ensure!(help.contains(&listen), "{help}");
    ensure!(
        SOCKET.contains(&format!("\nListenStream={listen}\n")),
        "{listen}"
    );
    Ok(())
}
