//! A host of which virt-top once made the golden files, as samples.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use offwatch::{
    record::{SCHEMA, VERSION},
    sample::{DiskStats, Host, NicStats, Node, Sample, Vm, VmState, VmStats},
};

const MILLISECOND_NS: u64 = 1_000_000;
pub(crate) const SECOND_NS: u64 = 1000 * MILLISECOND_NS;
/// Midnight of the day, UTC, in milliseconds since the Unix epoch.
const MIDNIGHT_MS: u64 = 1_795_305_600_000;
const MEMORY_KIB: u64 = 262_144;

/// What a VM did in an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) cpu_ns: u64,
    pub(crate) read_requests: u64,
    pub(crate) write_requests: u64,
    pub(crate) read_bytes: u64,
    pub(crate) write_bytes: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
}

/// The host: vm-web01 and vm,db02 run, off-vm does not.
pub(crate) struct Recorded {
    memory_kib: u64,
    /// By the clock of the statistics.
    now_ns: u64,
    totals: [Used; 2],
    samples: Vec<Sample>,
}

impl Recorded {
    /// A first sample at a time of day, of VMs that had used so much CPU time.
    pub(crate) fn new(time: &str, memory_kib: u64, cpu_ns: [u64; 2]) -> Self {
        let mut host = Self {
            memory_kib,
            now_ns: 1_000 * SECOND_NS,
            totals: cpu_ns.map(|cpu_ns| Used {
                cpu_ns,
                // What was before the first sample must not show.
                read_requests: 77,
                write_requests: 7,
                read_bytes: 77_777,
                write_bytes: 7_777,
                rx_bytes: 555_555,
                tx_bytes: 55_555,
            }),
            samples: Vec::new(),
        };
        host.sample(time);
        host
    }

    /// A sample at a time of day, an interval later.
    pub(crate) fn tick(&mut self, time: &str, interval_ns: u64, used: [Used; 2]) {
        self.now_ns += interval_ns;
        for (total, used) in self.totals.iter_mut().zip(used) {
            total.cpu_ns += used.cpu_ns;
            total.read_requests += used.read_requests;
            total.write_requests += used.write_requests;
            total.read_bytes += used.read_bytes;
            total.write_bytes += used.write_bytes;
            total.rx_bytes += used.rx_bytes;
            total.tx_bytes += used.tx_bytes;
        }
        self.sample(time);
    }

    fn sample(&mut self, time: &str) {
        let time_ms = of_day_ms(time);
        // The order of libvirt is not that of the ids.
        let vms = [1, 0].map(|at| self.vm(at));
        let off = Vm {
            name: "off-vm".into(),
            uuid: Some("00000000-0000-4000-8000-000000000009".into()),
            state: VmState::Shutoff,
            ..Vm::default()
        };
        self.samples.push(Sample {
            time_unix_ms: MIDNIGHT_MS + time_ms,
            monotonic_ns: time_ms * MILLISECOND_NS,
            host: Host {
                name: "vm".into(),
                online_cpus: 2,
                node: Some(Arc::new(Node {
                    host_name: "vm".into(),
                    arch: "x86_64".into(),
                    online_cpus: 2,
                    cpus: 2,
                    mhz: Some(2596),
                    memory_kib: self.memory_kib,
                })),
                ..Host::default()
            },
            vms: vms.into_iter().chain([off]).collect(),
            ..Sample::default()
        });
    }

    fn vm(&self, at: usize) -> Vm {
        let used = self.totals[at];
        let id = at as u32 + 1;
        Vm {
            name: ["vm-web01", "vm,db02"][at].into(),
            uuid: Some(format!("00000000-0000-4000-8000-00000000000{id}").into()),
            id: Some(id),
            state: VmState::Running,
            stats: Some(Arc::new(VmStats {
                monotonic_ns: self.now_ns,
                start: id.into(),
                cpu_time_ns: Some(used.cpu_ns),
                memory_kib: Some(MEMORY_KIB),
                disks: Some(vec![DiskStats {
                    name: "hda".into(),
                    read_requests: Some(used.read_requests),
                    read_bytes: Some(used.read_bytes),
                    write_requests: Some(used.write_requests),
                    write_bytes: Some(used.write_bytes),
                }]),
                nics: Some(vec![NicStats {
                    name: format!("vnet{at}"),
                    rx_bytes: Some(used.rx_bytes),
                    tx_bytes: Some(used.tx_bytes),
                    rx_packets: Some(9),
                    tx_packets: Some(9),
                    ..NicStats::default()
                }]),
                ..VmStats::default()
            })),
            ..Vm::default()
        }
    }

    /// The samples as a recording.
    pub(crate) fn recording(&self) -> Vec<u8> {
        let mut lines = format!("{{\"schema\":\"{SCHEMA}\",\"version\":{VERSION}}}\n");
        for sample in &self.samples {
            let line = serde_json::to_string(sample).expect("a sample is plain data");
            writeln!(lines, "{line}").expect("a String takes it");
        }
        lines.into_bytes()
    }

    /// The host that did what a CSV of virt-top tells, and goes on for some
    /// samples more.
    pub(crate) fn of_csv(csv: &str) -> Self {
        let mut lines = csv.lines();
        let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
        let width = header.len() - SUMMARY;
        let mut host: Option<Self> = None;
        let mut last_time = String::new();
        for line in lines {
            // The one name with a comma.
            let line = line.replace("\"vm,db02\"", "vm-db02");
            let fields: Vec<&str> = line.split(',').collect();
            let column = |name: &str| {
                let at = header.iter().position(|column| *column == name);
                fields[at.expect("a column")]
                    .parse::<f64>()
                    .expect("a number")
            };
            last_time = fields[1].to_owned();
            let Some(host) = &mut host else {
                let memory_kib = column("Total hardware memory (KB)") as u64;
                host = Some(Self::new(fields[1], memory_kib, [SECOND_NS; 2]));
                continue;
            };
            let total_cpu_ns = column("Total CPU time (ns)");
            let groups: Vec<HashMap<&str, f64>> = fields[SUMMARY..]
                .chunks(width)
                .map(|group| {
                    let pairs = header[SUMMARY..].iter().copied().zip(group);
                    pairs
                        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
                        .collect()
                })
                .collect();
            let of = |at: usize, name: &str| groups[at].get(name).copied();
            // From the most exact share that the file tells.
            let interval_ns = match (of(0, "CPU (ns)"), of(0, "%CPU")) {
                (Some(ns), Some(percent)) => ns * 100.0 / percent / 2.0,
                _ => total_cpu_ns * 100.0 / column("%CPU") / 2.0,
            };
            let used = [0, 1].map(|at| {
                let number = |name: &str| of(at, name).unwrap_or_default() as u64;
                Used {
                    cpu_ns: of(at, "CPU (ns)").unwrap_or(total_cpu_ns / 2.0) as u64,
                    read_requests: number("Block RDRQ"),
                    write_requests: number("Block WRRQ"),
                    read_bytes: number("Block RDBY"),
                    write_bytes: number("Block WRBY"),
                    rx_bytes: number("Net RXBY"),
                    tx_bytes: number("Net TXBY"),
                }
            });
            host.tick(fields[1], interval_ns.round() as u64, used);
        }
        let mut host = host.expect("a row");
        for more in 1..=5 {
            let time = of_day_ms(&last_time) / 1000 + 3 * more;
            let time = format!("{}:{}:{}", time / 3600, time / 60 % 60, time % 60);
            host.tick(&time, 3 * SECOND_NS, [Used::default(); 2]);
        }
        host
    }
}

/// Columns of a CSV before the groups of VMs.
pub(crate) const SUMMARY: usize = 18;

fn of_day_ms(time: &str) -> u64 {
    let numbers = time.split(':').map(|number| number.parse::<u64>());
    let seconds = numbers.fold(0, |sum, number| sum * 60 + number.expect("a time of day"));
    seconds * 1000
}
