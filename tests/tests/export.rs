//! `offwatch export` in the lab: values are the kernel's own and those of `top`, what
//! is gone has no series, and promtool accepts what it reads.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use offwatch_tests::{
    GuestConfig, Lab, Offloads,
    command::ip_batch,
    guest::Family,
    http::{Exporter, Series, value},
    idle::IdleVms,
    observer::{Observer, Seen, grown, offwatch},
    prometheus,
    quiet::wait_until,
    scaled,
    skip::skipped,
    skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
};

/// For an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A scrape whose values are all younger than this call.
fn scrape(exporter: &Exporter) -> Result<Series> {
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    loop {
        let series = exporter.scrape()?;
        let read = value(&series, "offwatch_sample_timestamp_seconds")?;
        if read - value(&series, "offwatch_sample_duration_seconds")? > begun.as_secs_f64() {
            return Ok(series);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A guest's tap has no owner that is known here: it is an interface of no VM, from
/// the host's side.
fn of(series: &Series, metric: &str, dev: &str) -> Result<u64> {
    let name = format!("offwatch_interface_{metric}_total{{dev=\"{dev}\"}}");
    Ok(value(series, &name)? as u64)
}

#[test]
fn values_are_those_of_the_kernel_and_of_top() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    // The host segments for it.
    lab.add_guest(GuestConfig {
        offloads: Offloads::CSUM_ONLY,
        ..GuestConfig::new("legacy", 3)
    })?;
    let observer = Observer::start(lab.host(), &[])?;
    let exporter = Exporter::start(lab.host(), &[])?;
    lab.wait_quiet()?;
    let model = observer.now()?;
    let seen = |model| -> Result<Vec<_>> {
        let guests = lab.guests().iter();
        guests
            .map(|guest| Ok((guest.counts()?, Seen::of(model, guest)?)))
            .collect()
    };
    let before = (scrape(&exporter)?, seen(&model)?);
    let endpoint = |at: usize| lab.guest(at).endpoint();
    for (from, to) in [(0, 1), (1, 0), (0, 2)] {
        let options = TcpOptions::new(Family::V4, scaled(30_000_000));
        tcp_stream(&endpoint(from), &endpoint(to), &options)?;
    }
    lab.wait_quiet()?;
    let model = observer.now()?;
    let after = (scrape(&exporter)?, seen(&model)?);

    let mut sums = [0; 2];
    let mut segments = 0;
    for (at, guest) in lab.guests().iter().enumerate() {
        let (dev, name) = (guest.tap(), guest.name());
        let counted = |metric: &str| -> Result<u64> {
            Ok(of(&after.0, metric, dev)? - of(&before.0, metric, dev)?)
        };
        let kernel = after.1[at].0.since(&before.1[at].0).kernel;
        for (metric, kernel) in [
            ("receive_packets", kernel.rx_packets),
            ("receive_bytes", kernel.rx_bytes),
            ("transmit_packets", kernel.tx_packets),
            ("transmit_bytes", kernel.tx_bytes),
        ] {
            assert_eq!(counted(metric)?, kernel, "{name}: {metric}");
        }
        let of_top = (&after.1[at].1, &before.1[at].1);
        for (metric, now, before, field) in [
            (
                "receive_gso_packets",
                &of_top.0.from_vm,
                &of_top.1.from_vm,
                "gso_packets_total",
            ),
            (
                "receive_gso_segments",
                &of_top.0.from_vm,
                &of_top.1.from_vm,
                "gso_segments_total",
            ),
            (
                "transmit_gso_bytes",
                &of_top.0.to_vm,
                &of_top.1.to_vm,
                "gso_bytes_total",
            ),
            (
                "transmit_drops",
                &of_top.0.to_vm,
                &of_top.1.to_vm,
                "drops_total",
            ),
            (
                "software_segments",
                &of_top.0.to_vm,
                &of_top.1.to_vm,
                "software_segments_total",
            ),
        ] {
            assert_eq!(
                counted(metric)?,
                grown(now, before, field)?,
                "{name}: {metric}"
            );
        }
        sums[0] += counted("receive_bytes")?;
        sums[1] += counted("transmit_bytes")?;
        segments += counted("software_segments")?;
    }
    assert!(segments > 0, "the host has cut for legacy");
    // The bridge's own device carries nothing here.
    for (direction, sum) in [("receive", sums[0]), ("transmit", sums[1])] {
        let name = format!("offwatch_host_interface_{direction}_bytes_total");
        let counted = value(&after.0, &name)? - value(&before.0, &name)?;
        assert!(counted as u64 >= sum, "{name}: {counted}, {sum}");
    }
    let name = "offwatch_host_software_segments_total";
    let counted = value(&after.0, name)? - value(&before.0, name)?;
    assert_eq!(counted as u64, segments);
    Ok(())
}

#[test]
fn a_thousand_vms_leave_no_series() -> Result<()> {
    skip_unless_lab!();
    const ROUNDS: usize = 5;
    const VMS: usize = 200;
    let lab = Lab::new()?;
    let exporter = Exporter::start(lab.host(), &[])?;
    let names_of = |series: &Series| -> Vec<String> { series.keys().cloned().collect() };
    // VMs of others come and go on the same machine, and `/proc` shows them.
    let own_of = |series: &Series| -> Vec<String> {
        let of_vms = ["vm=\"", "offwatch_vm_statistics_", "what=\"vhost_cpu\""];
        let is_own = |name: &String| !of_vms.iter().any(|part| name.contains(part));
        names_of(series).into_iter().filter(is_own).collect()
    };
    let at_rest = own_of(&scrape(&exporter)?);
    for round in 0..ROUNDS {
        let names: Vec<(String, String)> = (0..VMS)
            .map(|vm| (format!("churn-{round}-{vm}"), format!("chtap{round}x{vm}")))
            .collect();
        let vms = names.iter().map(|(vm, tap)| (&**vm, &**tap));
        let vms = IdleVms::start(lab.host(), vms)?;
        let up: Vec<String> = names
            .iter()
            .map(|(_, tap)| format!("link set {tap} up"))
            .collect();
        ip_batch(lab.host(), &up)?;
        wait_until("all VMs are exported", PATIENCE, || {
            let series = scrape(&exporter)?;
            Ok(names.iter().all(|(vm, tap)| {
                let labels = format!("{{vm=\"{vm}\",dev=\"{tap}\"}}");
                let counted = format!("offwatch_vm_receive_packets_total{labels}");
                series.contains_key(&counted)
            }))
        })?;
        drop(vms);
        wait_until("the kernel has removed the taps", PATIENCE, || {
            let shown = lab.host().command("ip").args(["-br", "link"]).output()?;
            Ok(!String::from_utf8_lossy(&shown.stdout).contains("chtap"))
        })?;
        // Processes that are gone are looked for again soon, their taps at once.
        scrape(&exporter)?;
        let names = names_of(&scrape(&exporter)?);
        let is_of = |name: &&String| name.contains("\"churn-") || name.contains("dev=\"chtap");
        let stale: Vec<_> = names.iter().filter(is_of).collect();
        assert!(stale.is_empty(), "round {round}: {stale:?}");
    }
    assert_eq!(own_of(&scrape(&exporter)?), at_rest);
    Ok(())
}

#[test]
fn promtool_accepts_it() -> Result<()> {
    skip_unless_lab!();
    if let Some(reason) = prometheus::lacking() {
        skipped(&reason);
        return Ok(());
    }
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    let vms = [("a\"b\\c", "owidle0")];
    let _vms = IdleVms::start(lab.host(), vms)?;
    let options = TcpOptions::new(Family::V4, scaled(1_000_000));
    let mut command = offwatch(lab.host(), &["export", "--once", "-d", "2", "--bpf-stats"])?;
    let observed = command.stdout(Stdio::piped()).spawn()?;
    let sent = tcp_stream(&lab.guest(0).endpoint(), &lab.guest(1).endpoint(), &options);
    let output = observed.wait_with_output()?;
    sent?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{text}");
    assert!(text.contains("vm=\"a\\\"b\\\\c\""), "{text}");
    let mut promtool = Command::new("promtool");
    let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = promtool
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = promtool.stdin.take().context("a pipe")?;
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    let output = promtool.wait_with_output()?;
    let says = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && says.is_empty(), "{says}");
    Ok(())
}

#[test]
fn a_textfile_follows_what_happens() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("offwatch.prom");
    let name = path.to_str().context("a path of plain text")?;
    let mut command = offwatch(lab.host(), &["export", "-d", "0.2", "--textfile", name])?;
    let mut child = command.spawn()?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    let shows = |what: &str| fs::read_to_string(&path).is_ok_and(|text| text.contains(what));
    let followed = (|| {
        // VMs of other tests are seen, too, without their interfaces.
        wait_until("the file", PATIENCE, || Ok(shows("\noffwatch_vms ")))?;
        ensure!(fs::metadata(&path)?.mode() & 0o7777 == 0o644, "its mode");
        // There is nothing to read again.
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP)?;
        let vms = IdleVms::start(lab.host(), [("web", "owidle0")])?;
        let row = "{vm=\"web\",dev=\"owidle0\"}";
        wait_until("a VM", PATIENCE, || Ok(shows(row)))?;
        drop(vms);
        wait_until("its end", PATIENCE, || Ok(!shows(row)))
    })();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    let status = child.wait()?;
    followed?;
    assert!(status.success(), "{status}");
    let left: Vec<_> = fs::read_dir(&directory)?.collect();
    assert!(
        left.is_empty(),
        "figures that nobody writes any more: {left:?}"
    );
    Ok(())
}
