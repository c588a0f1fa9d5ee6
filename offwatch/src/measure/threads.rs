//! CPU time of one VM's process and of its threads, by the scheduler's own clock.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::{
    inventory::vhost::{VhostThreads, run_ns},
    sample::offloads::Fact,
};

/// Reads the CPU time of one VM.
#[derive(Debug)]
pub struct VmThreads {
    proc: PathBuf,
    pid: u32,
    vhost: VhostThreads,
}

/// CPU time of a VM at one moment, nanoseconds since it was started; or in a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VmCpu {
    /// Its process, threads that have ended included, and its vhost threads.
    pub vm_ns: Fact<u64>,
    /// Each of its virtual CPUs, by thread.
    pub vcpus_ns: Fact<BTreeMap<u32, u64>>,
    /// Its living vhost threads.
    pub vhost_ns: Fact<u64>,
}

impl VmThreads {
    /// Of the VM with this process, by a proc file system (`/proc`).
    pub fn new(proc: &Path, pid: u32) -> Self {
        Self {
            proc: proc.to_owned(),
            pid,
            vhost: VhostThreads::new(proc),
        }
    }

    /// Now.
    pub fn read(&mut self) -> VmCpu {
        let vhost = self.vhost.times([self.pid]).remove(&self.pid);
        let process = process_ns(self.pid);
        VmCpu {
            vm_ns: match (process, vhost) {
                (Ok(own), Some(vhost)) => Fact::Known(own + vhost.kernel_ns),
                (Ok(_), None) => unseen(),
                (Err(error), _) => Fact::unavailable(format!(
                    "the CPU time of process {} cannot be read: {error}",
                    self.pid
                )),
            },
            vcpus_ns: self.vcpus(),
            vhost_ns: match vhost {
                Some(vhost) => Fact::Known(vhost.own_ns + vhost.kernel_ns),
                None => unseen(),
            },
        }
    }

    fn vcpus(&self) -> Fact<BTreeMap<u32, u64>> {
        let tasks = self.proc.join(self.pid.to_string()).join("task");
        let all = fs::read_dir(&tasks).into_iter().flatten().flatten();
        let vcpus = all.filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let id = task.file_name().to_str()?.parse().ok()?;
            is_vcpu(name.trim_end()).then(|| Some((id, run_ns(&task.path())?)))?
        });
        let vcpus: BTreeMap<u32, u64> = vcpus.collect();
        match vcpus.is_empty() {
            true => Fact::unavailable("no thread of the VM is named as a virtual CPU"),
            false => Fact::Known(vcpus),
        }
    }
}

impl VmCpu {
    /// What was used since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            vm_ns: grown(&self.vm_ns, &earlier.vm_ns),
            vcpus_ns: match (&self.vcpus_ns, &earlier.vcpus_ns) {
                (Fact::Known(now), Fact::Known(before)) => match now.keys().eq(before.keys()) {
                    true => Fact::Known(
                        now.iter()
                            .map(|(id, ns)| (*id, ns.saturating_sub(before[id])))
                            .collect(),
                    ),
                    false => Fact::unavailable("virtual CPUs were plugged meanwhile"),
                },
                (Fact::Unavailable(reason), _) | (_, Fact::Unavailable(reason)) => {
                    Fact::Unavailable(reason.clone())
                }
            },
            vhost_ns: grown(&self.vhost_ns, &earlier.vhost_ns),
        }
    }

    /// Its virtual CPUs together.
    pub fn vcpu_ns(&self) -> Fact<u64> {
        match &self.vcpus_ns {
            Fact::Known(each) => Fact::Known(each.values().sum()),
            Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
        }
    }
}

fn unseen() -> Fact<u64> {
    Fact::unavailable("its vhost threads, if it has some, cannot be seen in /proc")
}

fn grown(now: &Fact<u64>, before: &Fact<u64>) -> Fact<u64> {
    match (now, before) {
        (Fact::Known(now), Fact::Known(before)) => match now.checked_sub(*before) {
            Some(grown) => Fact::Known(grown),
            None => Fact::unavailable("threads have ended meanwhile"),
        },
        (Fact::Unavailable(reason), _) | (_, Fact::Unavailable(reason)) => {
            Fact::Unavailable(reason.clone())
        }
    }
}

/// How QEMU names them: `CPU 0/KVM`, `CPU 1/TCG`, and `ALL CPUs/TCG` where one thread
/// emulates all.
fn is_vcpu(name: &str) -> bool {
    let number = name
        .strip_prefix("CPU ")
        .and_then(|rest| rest.split_once('/'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    number.is_some_and(|(number, _)| is_number(number)) || name.starts_with("ALL CPUs/")
}

/// All its threads, those that have ended included.
fn process_ns(pid: u32) -> nix::Result<u64> {
    let pid = i32::try_from(pid).map_err(|_| nix::Error::ESRCH)?;
    let clock = clock_getcpuclockid(Pid::from_raw(pid))?;
    let time = Duration::from(clock_gettime(clock)?);
    Ok(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn names_of_virtual_cpus() {
        for vcpu in ["CPU 0/KVM", "CPU 17/TCG", "ALL CPUs/TCG"] {
            assert!(is_vcpu(vcpu), "{vcpu}");
        }
        for other in [
            "CPU /KVM",
            "CPU x/KVM",
            "CPU 0",
            "vhost-1",
            "IO mon_iothread",
        ] {
            assert!(!is_vcpu(other), "{other}");
        }
    }

    #[test]
    fn a_process_is_read_with_threads_that_have_ended() {
        let mut threads = VmThreads::new(Path::new("/proc"), std::process::id());
        let before = threads.read();
        let used = || clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
        let of_thread = thread::spawn(move || {
            // Some ticks of work.
            let until = Duration::from_millis(30);
            loop {
                let used = Duration::from(used().expect("a clock"));
                if used >= until {
                    return used;
                }
            }
        });
        let of_thread = of_thread.join().expect("no panic");
        let grown = threads.read().since(&before);
        let ns = grown.vm_ns.known().copied().expect("it is ours");
        assert!(u128::from(ns) >= of_thread.as_nanos(), "{ns}");
        assert_eq!(grown.vhost_ns, Fact::Known(0));
        assert!(grown.vcpus_ns.known().is_none());
        let mut none = VmThreads::new(Path::new("/proc"), u32::MAX);
        assert!(none.read().vm_ns.known().is_none());
    }

    #[test]
    fn virtual_cpus_that_come_or_go_make_no_figure() {
        let at = |each: &[(u32, u64)]| VmCpu {
            vcpus_ns: Fact::Known(each.iter().copied().collect()),
            ..VmCpu::default()
        };
        let before = at(&[(1, 10), (2, 20)]);
        let now = at(&[(1, 15), (2, 40)]).since(&before);
        assert_eq!(now.vcpu_ns(), Fact::Known(25));
        let more = at(&[(1, 15), (2, 40), (3, 1)]).since(&before);
        assert!(more.vcpu_ns().known().is_none());
    }
}
