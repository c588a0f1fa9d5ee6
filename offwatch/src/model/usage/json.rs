//! The JSON form of [`Usage`].

use serde::{Serialize, Serializer};

use super::{Usage, grown, level};
use crate::sample::{DiskStats, NicStats, StatsSource, Unavailable, VcpuState};

#[derive(Serialize)]
struct Report<'a> {
    source: StatsSource,
    age_seconds: f64,
    interval_seconds: Option<f64>,
    cpu_time_ns_total: Option<u64>,
    cpu_percent: Option<f64>,
    vcpus: Option<Vec<Vcpu>>,
    memory_kib: Option<u64>,
    memory_max_kib: Option<u64>,
    memory_rss_kib: Option<u64>,
    memory_percent: Option<u64>,
    disks: Option<Vec<Disk<'a>>>,
    nics: Option<Vec<Nic<'a>>>,
    unavailable: Unavailable,
}

#[derive(Serialize)]
struct Vcpu {
    number: u32,
    state: VcpuState,
    time_ns_total: Option<u64>,
    percent_of_one_cpu: Option<f64>,
    pcpu: Option<u32>,
}

/// Declares a device's totals and rates.
macro_rules! device {
    ($name:ident of $stats:ident { $($field:ident: $total:ident / $rate:ident,)* }) => {
        #[derive(Serialize)]
        struct $name<'a> {
            name: &'a str,
            $($total: Option<u64>, $rate: Option<f64>,)*
        }

        impl<'a> $name<'a> {
            fn new(now: &'a $stats, before: Option<&$stats>, seconds: Option<f64>) -> Self {
                Self {
                    name: &now.name,
                    $(
                        $total: now.$field,
                        $rate: rate(now.$field, before.and_then(|before| before.$field), seconds),
                    )*
                }
            }
        }
    };
}

device!(Disk of DiskStats {
    read_requests: read_requests_total / read_requests_per_s,
    read_bytes: read_bytes_total / read_bytes_per_s,
    write_requests: write_requests_total / write_requests_per_s,
    write_bytes: write_bytes_total / write_bytes_per_s,
});

device!(Nic of NicStats {
    rx_bytes: rx_bytes_total / rx_bytes_per_s,
    rx_packets: rx_packets_total / rx_packets_per_s,
    rx_errors: rx_errors_total / rx_errors_per_s,
    rx_drops: rx_drops_total / rx_drops_per_s,
    tx_bytes: tx_bytes_total / tx_bytes_per_s,
    tx_packets: tx_packets_total / tx_packets_per_s,
    tx_errors: tx_errors_total / tx_errors_per_s,
    tx_drops: tx_drops_total / tx_drops_per_s,
});

fn rate(now: Option<u64>, before: Option<u64>, seconds: Option<f64>) -> Option<f64> {
    Some(grown(now, before)? as f64 / seconds?)
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report().serialize(serializer)
    }
}

impl Usage {
    fn report(&self) -> Report<'_> {
        let now = &self.now;
        let before = self.before.as_deref();
        let interval = self.interval_ns().map(seconds);
        let vcpus = now.vcpus.as_ref().map(|vcpus| {
            let vcpus = vcpus.iter().map(|vcpu| {
                let earlier = before.and_then(|stats| {
                    let mut vcpus = stats.vcpus.as_ref()?.iter();
                    vcpus.find(|other| other.number == vcpu.number)?.time_ns
                });
                Vcpu {
                    number: vcpu.number,
                    state: vcpu.state,
                    time_ns_total: vcpu.time_ns,
                    percent_of_one_cpu: rate(vcpu.time_ns, earlier, interval)
                        .map(|ns_per_s| ns_per_s / 1e7),
                    pcpu: vcpu.pcpu,
                }
            });
            vcpus.collect()
        });
        let disks = now.disks.as_ref().map(|disks| {
            let earlier = before.and_then(|stats| stats.disks.as_ref());
            let disks = disks.iter().map(|disk| {
                let mut earlier = earlier.into_iter().flatten();
                Disk::new(
                    disk,
                    earlier.find(|other| other.name == disk.name),
                    interval,
                )
            });
            disks.collect()
        });
        let nics = now.nics.as_ref().map(|nics| {
            let earlier = before.and_then(|stats| stats.nics.as_ref());
            let nics = nics.iter().map(|nic| {
                let mut earlier = earlier.into_iter().flatten();
                let same = |other: &&NicStats| {
                    (&other.name, other.generation) == (&nic.name, nic.generation)
                };
                let earlier = earlier.find(same).map(|earlier| level(earlier, nic));
                Nic::new(nic, earlier.as_deref(), interval)
            });
            nics.collect()
        });
        Report {
            source: now.source,
            age_seconds: seconds(self.age_ns),
            interval_seconds: interval,
            cpu_time_ns_total: now.cpu_time_ns,
            cpu_percent: self.cpu_percent(),
            vcpus,
            memory_kib: now.memory_kib,
            memory_max_kib: now.memory_max_kib,
            memory_rss_kib: now.memory_rss_kib,
            memory_percent: self.memory_percent(),
            disks,
            nics,
            unavailable: self.unavailable(),
        }
    }

    /// For each figure that is missing, why.
    pub fn unavailable(&self) -> Unavailable {
        let now = &self.now;
        let not_told = match now.source {
            StatsSource::Libvirt => "libvirt does not tell it of this domain",
            StatsSource::Proc => "needs libvirt",
        };
        let mut reasons = Unavailable::new();
        let mut missing = |field: &str, is_missing: bool, reason: &str| {
            if is_missing {
                reasons.insert(field.to_owned(), reason.to_owned());
            }
        };
        missing("interval_seconds", self.interval_ns().is_none(), FIRST);
        missing("cpu_time_ns_total", now.cpu_time_ns.is_none(), not_told);
        let no_percent = match (now.cpu_time_ns, self.interval_ns()) {
            (None, _) => not_told,
            (_, None) => FIRST,
            _ => "the counter went backwards",
        };
        missing("cpu_percent", self.cpu_percent().is_none(), no_percent);
        missing("vcpus", now.vcpus.is_none(), not_told);
        let no_memory = match now.source {
            StatsSource::Libvirt => not_told,
            StatsSource::Proc => "the command line of the process does not tell it",
        };
        missing("memory_kib", now.memory_kib.is_none(), no_memory);
        missing("memory_max_kib", now.memory_max_kib.is_none(), no_memory);
        missing("memory_rss_kib", now.memory_rss_kib.is_none(), not_told);
        missing(
            "memory_percent",
            self.memory_percent().is_none(),
            match now.memory_kib {
                None => no_memory,
                Some(_) => "the host's memory is not known",
            },
        );
        missing("disks", now.disks.is_none(), not_told);
        let no_nics = "neither libvirt nor offwatch counts its cards";
        missing("nics", now.nics.is_none(), no_nics);
        reasons
    }
}

/// Why there is no rate yet.
const FIRST: &str = "first sample of this start of the VM";
