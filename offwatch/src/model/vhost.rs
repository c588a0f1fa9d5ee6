//! CPU time of the threads by which vhost carries a VM's frames.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use serde::{Serialize, Serializer};

use super::Joined;
use crate::sample::{Vm, VmState};

const TOTAL: &str = "vhost_cpu_ns_total";
const RATE: &str = "vhost_cpu_ns_per_s";

/// CPU time of the VM's vhost threads: those of vhost-net carry its frames,
/// a vsock or SCSI device of the kernel's has one, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VhostCpu {
    /// Nanoseconds that the living threads have run since they were started.
    pub vhost_cpu_ns_total: Option<u64>,
    /// Nanoseconds a second over the interval; 1,000,000,000 is one CPU.
    pub vhost_cpu_ns_per_s: Option<f64>,
}

/// Why figures of [`VhostCpu`] are null.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NoVhostCpu(Option<Lack>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lack {
    /// The threads of a process cannot be seen.
    Threads(u32),
    /// The VM has no process, or none that is known.
    Process(&'static str),
    Rate(&'static str),
}

impl NoVhostCpu {
    /// The reason for a field.
    pub fn get(&self, field: &str) -> Option<Cow<'static, str>> {
        Some(match self.0? {
            Lack::Rate(_) if field != RATE => return None,
            Lack::Rate(reason) => Cow::Borrowed(reason),
            _ if field != TOTAL && field != RATE => return None,
            Lack::Process(reason) => Cow::Borrowed(reason),
            Lack::Threads(pid) => {
                format!("the vhost threads of process {pid} cannot be seen").into()
            }
        })
    }
}

impl Serialize for NoVhostCpu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reasons = [RATE, TOTAL].into_iter();
        serializer.collect_map(reasons.filter_map(|field| Some((field, self.get(field)?))))
    }
}

/// Totals of an earlier sample. A thread belongs to a process, so they are
/// joined by process id.
pub(super) struct Before<'sample> {
    by_pid: HashMap<u32, &'sample Vm>,
    interval: Option<Duration>,
    /// Why no rate can be given at all.
    no_interval: Option<&'static str>,
}

impl<'sample> Before<'sample> {
    pub(super) fn new(joined: &'sample Joined) -> Self {
        let vms = joined.earlier.iter().flat_map(|sample| &sample.vms);
        Self {
            by_pid: vms.filter_map(|vm| Some((vm.pid?, vm))).collect(),
            interval: joined.interval,
            no_interval: joined.no_interval,
        }
    }

    /// The CPU time of a VM, and why a value is missing.
    pub(super) fn measure(&self, vm: &Vm) -> (VhostCpu, NoVhostCpu) {
        let Some(total) = vm.vhost_cpu_ns else {
            return (VhostCpu::default(), NoVhostCpu(Some(unseen(vm))));
        };
        let before = vm.pid.and_then(|pid| self.by_pid.get(&pid)?.vhost_cpu_ns);
        let rate = match (self.interval, before) {
            (Some(interval), Some(before)) => total
                .checked_sub(before)
                .map(|grown| grown as f64 / interval.as_secs_f64())
                .ok_or("a vhost thread of the VM has ended"),
            (Some(_), None) => Err("first sample of this process"),
            (None, _) => Err(self.no_interval.unwrap_or_default()),
        };
        let measured = VhostCpu {
            vhost_cpu_ns_total: Some(total),
            vhost_cpu_ns_per_s: rate.ok(),
        };
        (measured, NoVhostCpu(rate.err().map(Lack::Rate)))
    }
}

fn unseen(vm: &Vm) -> Lack {
    match vm.pid {
        Some(pid) => Lack::Threads(pid),
        None if vm.state == VmState::Shutoff => Lack::Process("the VM does not run"),
        None => Lack::Process("the process of the VM is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Model, sample::Sample};

    const SECOND: Duration = Duration::from_secs(1);

    fn vm(pid: Option<u32>, vhost_cpu_ns: Option<u64>) -> Vm {
        Vm {
            name: "web".into(),
            pid,
            vhost_cpu_ns,
            ..Vm::default()
        }
    }

    fn sample(vm: Vm) -> Sample {
        Sample {
            vms: vec![vm],
            ..Sample::default()
        }
    }

    /// Total, rate, and why there is no rate.
    fn measured(now: Vm, before: Option<Vm>) -> (Option<u64>, Option<f64>, Option<String>) {
        let before = before.map(sample);
        let earlier = before.as_ref().map(|before| (before, SECOND * 2));
        let model = Model::new(&sample(now), earlier);
        let vm = &model.vms[0];
        (
            vm.vhost.vhost_cpu_ns_total,
            vm.vhost.vhost_cpu_ns_per_s,
            vm.unavailable.get(RATE).map(Into::into),
        )
    }

    #[test]
    fn totals_and_rates() {
        let now = vm(Some(7), Some(5_000));
        let before = vm(Some(7), Some(1_000));
        let expected = (Some(5_000), Some(2_000.0), None);
        assert_eq!(measured(now.clone(), Some(before)), expected);
        let idle = (Some(5_000), Some(0.0), None);
        assert_eq!(measured(now.clone(), Some(now)), idle);
    }

    #[test]
    fn no_rate_without_two_totals_of_one_process() {
        let now = vm(Some(7), Some(5_000));
        for (before, reason) in [
            (None, "first sample"),
            (Some(vm(Some(7), None)), "first sample of this process"),
            (Some(vm(Some(8), Some(1))), "first sample of this process"),
            (
                Some(vm(Some(7), Some(6_000))),
                "a vhost thread of the VM has ended",
            ),
        ] {
            let expected = (Some(5_000), None, Some(reason.to_owned()));
            assert_eq!(measured(now.clone(), before), expected);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_null_with_a_reason() {
        let off = Vm {
            state: VmState::Shutoff,
            ..vm(None, None)
        };
        for (vm, reason) in [
            (off, "the VM does not run"),
            (vm(None, None), "the process of the VM is not known"),
            (
                vm(Some(7), None),
                "the vhost threads of process 7 cannot be seen",
            ),
        ] {
            let json = serde_json::to_value(Model::new(&sample(vm), None)).unwrap();
            let shown = &json["vms"][0];
            for field in [TOTAL, RATE] {
                assert_eq!(shown[field], serde_json::Value::Null);
                assert_eq!(shown["unavailable"][field], reason);
            }
        }
    }
}
