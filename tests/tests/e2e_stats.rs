//! What VMs use, against libvirt's own statistics of real QEMU guests.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use offwatch_e2e::{Endpoint, GuestSpec, Host, Options, skip_unless_vms, unless_stuck};
use offwatch_tests::{
    observer::{self, Observer},
    quiet::wait_until,
};
use serde_json::Value;

const BOOT: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(60);
const NAMES: [&str; 2] = ["alpha", "beta"];
/// Files of the guests and of the runs, inside the host.
const FILES: &str = "/run/offwatch-e2e";

#[test]
#[ignore = "real VMs: run by cargo xtask e2e"]
fn statistics_are_libvirts() -> Result<()> {
    skip_unless_vms!();
    unless_stuck(|| {
        let host = Host::start(Options::default())?;
        // The bridge's own IPv6 frames would be counted now and then.
        for links in ["all", "default"] {
            let setting = format!("net.ipv6.conf.{links}.disable_ipv6=1");
            let done = host.command("sysctl").args(["-qw", &setting]).status()?;
            ensure!(done.success(), "sysctl {setting}: {done}");
        }
        for (number, name) in (11..).zip(NAMES) {
            let image = format!("{FILES}/{name}.img");
            std::fs::write(host.path(&image), vec![7; 8 << 20]).context("a disk image")?;
            host.define_and_start(&GuestSpec {
                devices_xml: format!(
                    "<disk type='file' device='disk'><driver name='qemu' type='raw'/>\
                     <source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
                ),
                ..GuestSpec::new(name, number)
            })?;
        }
        for name in NAMES {
            host.wait_ready(name, BOOT)?;
        }
        let binary = observer::binary()?;
        let link = tempfile::tempdir().context("a directory for the link")?;
        let virt_top = link.path().join("virt-top");
        std::os::unix::fs::symlink(&binary, &virt_top).context("a link named virt-top")?;

        sums_of_intervals(&host, &binary, &virt_top)?;
        let mut command = host.command(binary.to_str().context("a path of plain text")?);
        command
            .args(["top", "--stream", "--json", "-d", "0.2"])
            .stdin(Stdio::null());
        let offwatch = Observer::spawn(command)?;
        totals(&host, &offwatch)?;
        libvirtd_restarts(&host, &offwatch)
    })
}

/// libvirt's statistics of a guest, by name.
type Stats = BTreeMap<String, String>;

fn stats(host: &Host, name: &str) -> Result<Stats> {
    let text = host.virsh(&["domstats", name])?;
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

fn both(host: &Host) -> Result<[Stats; 2]> {
    Ok([stats(host, NAMES[0])?, stats(host, NAMES[1])?])
}

fn number(stats: &Stats, name: &str) -> Result<u64> {
    let value = stats.get(name).with_context(|| format!("no {name}"))?;
    value.parse().with_context(|| format!("{name}={value}"))
}

/// What cards and disks have carried.
fn devices(stats: &[Stats; 2]) -> Vec<(usize, String, String)> {
    let of_devices = |name: &str| name.starts_with("net.0.") || name.starts_with("block.0.");
    let counters = stats.iter().enumerate().flat_map(|(guest, stats)| {
        let counters = stats.iter().filter(|(name, _)| of_devices(name));
        counters.map(move |(name, value)| (guest, name.clone(), value.clone()))
    });
    // Not a count of what was carried.
    counters
        .filter(|(_, name, _)| !name.contains("allocation") && !name.contains("physical"))
        .collect()
}

/// Holds both guests still and waits until nothing moves.
fn suspend(host: &Host) -> Result<[Stats; 2]> {
    for name in NAMES {
        // It may be already.
        if host.virsh(&["domstate", name])?.trim() == "running" {
            host.virsh(&["suspend", name])?;
        }
    }
    let mut at_rest = None;
    wait_until("guests at rest", PATIENCE, || {
        let before = both(host)?;
        std::thread::sleep(Duration::from_millis(500));
        let after = both(host)?;
        if devices(&before) == devices(&after) {
            at_rest = Some(after);
        }
        Ok(at_rest.is_some())
    })?;
    at_rest.context("wait_until returns only then")
}

/// A run that writes a CSV until it is dropped.
struct Run {
    child: Child,
    csv: PathBuf,
}

impl Run {
    fn start(host: &Host, program: &Path, args: &[&str], file: &str) -> Result<Self> {
        let inside = format!("{FILES}/{file}");
        let child = host
            .command(program.to_str().context("a path of plain text")?)
            .args(args)
            .args(["--script", "-d", "0.3", "--csv", &inside])
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let csv = host.path(&inside);
        Ok(Self { child, csv })
    }

    /// Rows that tell of an interval, and the first. A row that libvirt did not
    /// answer in time for tells nothing, and the next one tells of both intervals.
    fn rows(&self) -> Result<Vec<[HashMap<String, String>; 2]>> {
        const NAMED: [&str; 2] = ["Domain ID", "Domain name"];
        let mut rows = self.all_rows()?;
        let is_empty = |group: &HashMap<String, String>| {
            let mut columns = group.iter();
            columns.all(|(name, value)| NAMED.contains(&name.as_str()) || value.is_empty())
        };
        rows.retain(|row| !row.iter().all(is_empty));
        Ok(rows)
    }

    /// Rows without the header, by name of the column within each guest's group.
    fn all_rows(&self) -> Result<Vec<[HashMap<String, String>; 2]>> {
        const SUMMARY: usize = 18;
        let Ok(text) = std::fs::read_to_string(&self.csv) else {
            return Ok(Vec::new());
        };
        let mut lines = text.lines();
        let Some(header) = lines.next() else {
            return Ok(Vec::new());
        };
        let header: Vec<&str> = header.split(',').skip(SUMMARY).collect();
        lines
            .map(|line| {
                let fields: Vec<&str> = line.split(',').skip(SUMMARY).collect();
                let mut groups = fields.chunks(header.len()).map(|group| {
                    let pairs = header.iter().zip(group);
                    pairs
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect::<HashMap<_, _>>()
                });
                let groups = [groups.next(), groups.next()].map(Option::unwrap_or_default);
                ensure!(
                    groups.iter().zip(NAMES).all(|(group, name)| {
                        group.get("Domain name").is_some_and(|shown| shown == name)
                    }),
                    "not the two guests: {line}"
                );
                Ok(groups)
            })
            .collect()
    }

    fn wait_for_rows(&mut self, more: usize) -> Result<()> {
        let count = self.rows()?.len() + more;
        wait_until("rows", PATIENCE, || {
            ensure!(self.child.try_wait()?.is_none(), "the run has ended");
            Ok(self.rows()?.len() >= count)
        })
    }

    /// The sum of a column over all rows.
    fn sum(&self, guest: usize, column: &str) -> Result<u64> {
        let rows = self.rows()?;
        let first = &rows.first().context("a first row")?[guest];
        let first = first.get(column).with_context(|| format!("no {column}"))?;
        ensure!(
            first.is_empty() || first == "0.",
            "the first row tells of no interval, not {column} {first}"
        );
        let values = rows.iter().zip(1..).skip(1).map(|(row, number)| {
            let value = row[guest].get(column);
            let value = value.with_context(|| format!("no {column} in row {number}"))?;
            let parsed = value.trim_end_matches('.').parse::<u64>();
            parsed.with_context(|| {
                let all = rows.len();
                format!("{column} in row {number} of {all}: {:?}", row[guest])
            })
        });
        values.sum()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both runs, begun while nothing moved; libvirt's statistics before their
/// first rows, and after.
fn begin(host: &Host, offwatch: &Path, virt_top: &Path) -> Result<([Run; 2], [[Stats; 2]; 2])> {
    let mut begun = None;
    wait_until("a start at rest", PATIENCE, || {
        let before = suspend(host)?;
        let mut runs = [
            Run::start(host, offwatch, &["top", "--block-in-bytes"], "offwatch.csv")?,
            Run::start(host, virt_top, &[], "virt-top.csv")?,
        ];
        for run in &mut runs {
            run.wait_for_rows(2)?;
        }
        let after = both(host)?;
        if devices(&before) == devices(&after) {
            begun = Some((runs, [before, after]));
        }
        Ok(begun.is_some())
    })?;
    begun.context("wait_until returns only then")
}

/// libvirt's statistics before the last rows of the runs, and after, with
/// nothing in between.
fn end(host: &Host, runs: &mut [Run; 2]) -> Result<[[Stats; 2]; 2]> {
    let mut ended = None;
    wait_until("an end at rest", PATIENCE, || {
        let before = suspend(host)?;
        for run in &mut *runs {
            run.wait_for_rows(3)?;
        }
        let after = both(host)?;
        if devices(&before) == devices(&after) {
            ended = Some([before, after]);
        }
        Ok(ended.is_some())
    })?;
    ended.context("wait_until returns only then")
}

/// From one moment of rest to another, the intervals that a CSV tells of add up
/// to what libvirt itself counted.
fn sums_of_intervals(host: &Host, offwatch: &Path, virt_top: &Path) -> Result<()> {
    let (mut runs, [before, started]) = begin(host, offwatch, virt_top)?;
    for name in NAMES {
        host.virsh(&["resume", name])?;
    }
    for name in NAMES {
        let disk = "dd if=/dev/vda of=/dev/null bs=64k && \
                    dd if=/dev/zero of=/dev/vda bs=64k count=20 && sync";
        host.exec(name, disk)?.success()?;
    }
    for (from, to) in [
        (Endpoint::Host, Endpoint::Guest("alpha")),
        (Endpoint::Guest("alpha"), Endpoint::Guest("beta")),
    ] {
        host.iperf(from, to, 2)?;
    }
    let [after, ended] = end(host, &mut runs)?;

    for guest in [0, 1] {
        let grown = |name: &str| -> Result<u64> {
            Ok(number(&after[guest], name)? - number(&before[guest], name)?)
        };
        let [in_bytes, in_requests] = &runs;
        for (run, column, name) in [
            (in_bytes, "Net RXBY", "net.0.rx.bytes"),
            (in_bytes, "Net TXBY", "net.0.tx.bytes"),
            (in_bytes, "Block RDBY", "block.0.rd.bytes"),
            (in_bytes, "Block WRBY", "block.0.wr.bytes"),
            (in_requests, "Net RXBY", "net.0.rx.bytes"),
            (in_requests, "Net TXBY", "net.0.tx.bytes"),
            (in_requests, "Block RDRQ", "block.0.rd.reqs"),
            (in_requests, "Block WRRQ", "block.0.wr.reqs"),
        ] {
            let expected = grown(name)?;
            assert_ne!(expected, 0, "{name} of {}", NAMES[guest]);
            assert_eq!(
                run.sum(guest, column)?,
                expected,
                "{column} of {}",
                NAMES[guest]
            );
        }
        for run in &runs {
            // QEMU never rests entirely.
            let cpu = |stats: &[Stats; 2]| number(&stats[guest], "cpu.time");
            let least = cpu(&after)?.saturating_sub(cpu(&started)?);
            let most = cpu(&ended)? - cpu(&before)?;
            let sum = run.sum(guest, "CPU (ns)")?;
            assert!(
                (least..=most).contains(&sum),
                "CPU of {}: {sum} is not from {least} to {most}",
                NAMES[guest]
            );
            let rows = run.rows()?;
            let last = &rows.last().context("a last row")?[guest];
            assert_eq!(last["Mem (bytes)"], ended[guest]["balloon.current"]);
            let id = host.virsh(&["domid", NAMES[guest]])?;
            assert_eq!(last["Domain ID"], id.trim());
        }
    }
    Ok(())
}

fn vm<'model>(model: &'model Value, name: &str) -> Result<&'model Value> {
    let mut vms = model["vms"].as_array().into_iter().flatten();
    vms.find(|vm| vm["name"] == name)
        .with_context(|| format!("{name} is not shown: {}", model["vms"]))
}

/// Totals of a moment of rest equal libvirt's; those of CPU lie between what it
/// says before and after.
fn totals(host: &Host, offwatch: &Observer) -> Result<()> {
    let before = both(host)?;
    let model = offwatch.now()?;
    let after = both(host)?;
    assert_eq!(
        devices(&before),
        devices(&after),
        "the guests are suspended"
    );
    for (guest, name) in NAMES.into_iter().enumerate() {
        let usage = &vm(&model, name)?["usage"];
        assert_eq!(usage["source"], "libvirt", "{usage}");
        let libvirt = |name: &str| number(&after[guest], name);
        for (field, name) in [
            ("rx_bytes", "rx.bytes"),
            ("rx_packets", "rx.pkts"),
            ("rx_errors", "rx.errs"),
            ("rx_drops", "rx.drop"),
            ("tx_bytes", "tx.bytes"),
            ("tx_packets", "tx.pkts"),
            ("tx_errors", "tx.errs"),
            ("tx_drops", "tx.drop"),
        ] {
            let shown = &usage["nics"][0][format!("{field}_total")];
            assert_eq!(*shown, libvirt(&format!("net.0.{name}"))?, "{field}");
        }
        for (field, name) in [
            ("read_requests", "rd.reqs"),
            ("read_bytes", "rd.bytes"),
            ("write_requests", "wr.reqs"),
            ("write_bytes", "wr.bytes"),
        ] {
            let shown = &usage["disks"][0][format!("{field}_total")];
            assert_eq!(*shown, libvirt(&format!("block.0.{name}"))?, "{field}");
        }
        assert_eq!(usage["disks"][0]["name"], "vda");
        assert_eq!(usage["memory_kib"], libvirt("balloon.current")?);
        assert_eq!(usage["memory_max_kib"], libvirt("balloon.maximum")?);
        assert_eq!(usage["vcpus"].as_array().map(Vec::len), Some(1));
        for (shown, name) in [
            (&usage["cpu_time_ns_total"], "cpu.time"),
            (&usage["vcpus"][0]["time_ns_total"], "vcpu.0.time"),
        ] {
            let range = number(&before[guest], name)?..=number(&after[guest], name)?;
            let shown = shown.as_u64().with_context(|| format!("{name}: {usage}"))?;
            assert!(
                range.contains(&shown),
                "{name}: {shown} is not in {range:?}"
            );
        }
    }
    Ok(())
}

/// While libvirtd is away, names, CPU, memory and network stay; disks are
/// missing with their reason. All is back when it is.
fn libvirtd_restarts(host: &Host, offwatch: &Observer) -> Result<()> {
    for name in NAMES {
        host.virsh(&["resume", name])?;
    }
    host.stop_libvirtd()?;
    wait_until("figures without libvirtd", PATIENCE, || {
        let model = offwatch.now()?;
        let mut all = true;
        for name in NAMES {
            let usage = &vm(&model, name)?["usage"];
            all &= usage["source"] == "proc"
                && usage["cpu_percent"].is_number()
                && usage["memory_kib"] == 192 << 10
                && usage["nics"][0]["rx_bytes_per_s"].is_number();
            ensure!(
                usage["source"] != "proc"
                    || usage["disks"].is_null() && usage["unavailable"]["disks"].is_string(),
                "disks are known only to libvirt: {usage}"
            );
        }
        Ok(all)
    })?;
    host.start_libvirtd()?;
    wait_until("libvirt's figures again", PATIENCE, || {
        let model = offwatch.now()?;
        let mut all = true;
        for name in NAMES {
            let usage = &vm(&model, name)?["usage"];
            all &= usage["source"] == "libvirt"
                && usage["cpu_percent"].is_number()
                && usage["disks"][0]["read_bytes_per_s"].is_number()
                && usage["nics"][0]["rx_bytes_per_s"].is_number();
        }
        Ok(all)
    })
}
