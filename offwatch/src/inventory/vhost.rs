//! CPU time of the threads by which vhost carries the frames of a VM.
//!
//! The VMM that opens a vhost device owns the thread. Since Linux 6.4 (commit
//! 6e890c5d5021) it is one of the VMM's own threads. Before, and from 6.17 on
//! where the VMM or the administrator chose so (commit 7d9896e9f6d0), it is a
//! thread of the kernel, a child of kthreadd. Both are named `vhost-N`, N
//! being the id of the VMM's thread that opened the device: QEMU's first one.
//!
//! All that is read is open to everyone, unless `/proc` is mounted with
//! `hidepid`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{SysconfVar, sysconf};

/// Process id of the parent of the kernel's threads.
const KTHREADD: u32 = 2;

/// Finds the vhost threads of VMMs.
#[derive(Debug)]
pub struct VhostThreads {
    root: PathBuf,
    /// Threads of each VMM, by its process id.
    vmms: HashMap<u32, Threads>,
    /// Processes, of which some are threads of the kernel.
    processes: Threads,
}

/// Threads, by id: reading the names of all of them each time takes most of
/// the time that all this takes.
type Threads = HashMap<u32, Thread>;

/// What is known of a thread.
#[derive(Clone, Copy, Debug)]
struct Thread {
    /// Its directory's inode, which no other thread gets with the id.
    inode: u64,
    /// By its name, the thread that opened the vhost device that it is of.
    opener: Option<u32>,
    /// It has had its name: a new thread is seen with that of its parent first.
    is_settled: bool,
}

/// How long the living vhost threads of a process have run, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostTime {
    /// Those that are threads of the process.
    pub own_ns: u64,
    /// Those that are threads of the kernel.
    pub kernel_ns: u64,
}

impl VhostThreads {
    /// For a proc file system (`/proc`).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            vmms: HashMap::new(),
            processes: HashMap::new(),
        }
    }

    /// Nanoseconds that the living vhost threads of each process have run, by
    /// the process id of the owner. A process without any has used none; one
    /// whose threads cannot be seen, if it has any, is left out.
    pub fn cpu_ns(&mut self, processes: impl IntoIterator<Item = u32>) -> BTreeMap<u32, u64> {
        let times = self.times(processes).into_iter();
        times
            .map(|(process, time)| (process, time.own_ns + time.kernel_ns))
            .collect()
    }

    /// The same, by whose threads they are.
    pub fn times(&mut self, processes: impl IntoIterator<Item = u32>) -> BTreeMap<u32, VhostTime> {
        let mut sums = BTreeMap::new();
        // Any thread of a process may have opened the device.
        let mut owners = HashMap::new();
        let mut without_own = Vec::new();
        let mut before = std::mem::take(&mut self.vmms);
        for process in processes {
            let tasks = self.root.join(process.to_string()).join("task");
            let threads = look(&tasks, &before.remove(&process).unwrap_or_default());
            if threads.is_empty() {
                continue;
            }
            let own = threads.iter().filter(|(_, thread)| thread.opener.is_some());
            let own: Vec<u64> = own
                .filter_map(|(id, _)| run_ns(&tasks.join(id.to_string())))
                .collect();
            if own.is_empty() {
                without_own.push(process);
            }
            let time = VhostTime {
                own_ns: own.iter().sum(),
                kernel_ns: 0,
            };
            sums.insert(process, time);
            owners.extend(threads.keys().map(|thread| (*thread, process)));
            self.vmms.insert(process, threads);
        }
        if owners.is_empty() {
            return sums;
        }
        if comm(&self.root.join(KTHREADD.to_string())) != "kthreadd" {
            // Threads of the kernel are out of sight, as in a container.
            let root = &self.root;
            sums.retain(|process, _| {
                !without_own.contains(process) || opens_no_vhost(root, *process)
            });
            return sums;
        }
        self.processes = look(&self.root, &self.processes);
        for (id, thread) in &self.processes {
            let owner = thread.opener.and_then(|opener| owners.get(&opener));
            let directory = self.root.join(id.to_string());
            if let Some(sum) = owner.and_then(|owner| sums.get_mut(owner))
                && stat(&directory).is_some_and(|stat| stat.parent == KTHREADD)
            {
                sum.kernel_ns += run_ns(&directory).unwrap_or(0);
            }
        }
        sums
    }
}

/// Whether a process surely has no vhost threads, also where those of the kernel are
/// out of sight, as in a container: it has none of the devices open.
fn opens_no_vhost(proc: &Path, pid: u32) -> bool {
    let Ok(mut open) = fs::read_dir(proc.join(pid.to_string()).join("fd")) else {
        return false;
    };
    open.all(|fd| match fd.and_then(|fd| fs::read_link(fd.path())) {
        Ok(link) => {
            let name = link.file_name().unwrap_or_default();
            !name.as_encoded_bytes().starts_with(b"vhost-")
        }
        // It was closed in between.
        Err(error) => error.kind() == ErrorKind::NotFound,
    })
}

/// The threads of a directory. Names are read of those that are not `known`.
fn look(directory: &Path, known: &Threads) -> Threads {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut threads = Threads::with_capacity(known.len());
    for entry in entries {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let inode = entry.ino();
        let known = known.get(&id).filter(|known| known.inode == inode);
        let thread = match known {
            Some(settled) if settled.is_settled => *settled,
            unsettled => Thread {
                inode,
                opener: opener(&comm(&entry.path())),
                is_settled: unsettled.is_some(),
            },
        };
        threads.insert(id, thread);
    }
    threads
}

/// The thread that opened a vhost device, by the name of the device's thread.
fn opener(name: &str) -> Option<u32> {
    let number = name.strip_prefix("vhost-")?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| number.parse().ok()).flatten()
}

/// How long a thread has run; none if it has ended.
pub(crate) fn run_ns(thread: &Path) -> Option<u64> {
    let schedstat = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    parse_schedstat(&schedstat).or_else(|| {
        let ticks_per_s = sysconf(SysconfVar::CLK_TCK).ok().flatten()?;
        let ns_per_tick = 1_000_000_000 / u64::try_from(ticks_per_s).ok()?;
        stat(thread)?.ticks.checked_mul(ns_per_tick)
    })
}

/// The first field of `schedstat`: nanoseconds. All fields are 0 where the
/// kernel does not account for them.
fn parse_schedstat(text: &str) -> Option<u64> {
    let mut fields = text.split_whitespace().map(str::parse);
    let (run_ns, _waited_ns, runs) = (fields.next()?, fields.next()?, fields.next()?);
    run_ns.ok().filter(|_| runs != Ok(0))
}

/// What of `stat` is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Clock ticks in user and kernel mode.
    ticks: u64,
}

fn stat(thread: &Path) -> Option<Stat> {
    parse_stat(&fs::read_to_string(thread.join("stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name, in parentheses, may hold blanks and parentheses itself.
    let (_, rest) = text.rsplit_once(')')?;
    // Fields from the third on, counted from 0; see proc(5).
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: number(1)?.try_into().ok()?,
        ticks: number(11)?.checked_add(number(12)?)?,
    })
}

fn comm(thread: &Path) -> String {
    let name = fs::read(thread.join("comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proc file system with QEMU 100 (threads 100 and 101), QEMU 200 and a
    /// shell that is named like a thread of the kernel.
    struct Proc(tempfile::TempDir);

    impl Proc {
        fn new() -> Self {
            let proc = Self(tempfile::tempdir().unwrap());
            proc.thread("2", "kthreadd", 0, 9);
            proc.thread("300", "vhost-100", 1, 7_000);
            for qemu in ["100", "200"] {
                proc.thread(qemu, "qemu-system-x86", 1, 5);
                proc.thread(&format!("{qemu}/task/{qemu}"), "qemu-system-x86", 1, 5);
            }
            proc.thread("100/task/101", "CPU 0/KVM", 1, 50);
            proc
        }

        fn thread(&self, path: &str, name: &str, parent: u32, run_ns: u64) {
            let directory = self.0.path().join(path);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("comm"), format!("{name}\n")).unwrap();
            let stat = format!("1 ({name}) S {parent} 0 0 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 0 0\n");
            fs::write(directory.join("stat"), stat).unwrap();
            fs::write(directory.join("schedstat"), format!("{run_ns} 8 2\n")).unwrap();
        }

        fn cpu_ns(&self) -> Vec<(u32, u64)> {
            self.seen_by(&mut VhostThreads::new(self.0.path()))
        }

        fn seen_by(&self, threads: &mut VhostThreads) -> Vec<(u32, u64)> {
            threads.cpu_ns([100, 200, 999]).into_iter().collect()
        }

        fn remove(&self, path: &str) {
            fs::remove_dir_all(self.0.path().join(path)).unwrap();
        }
    }

    #[test]
    fn threads_of_the_vmm_itself() {
        let proc = Proc::new();
        proc.thread("100/task/102", "vhost-100", 1, 1_000);
        proc.thread("100/task/103", "vhost-100", 1, 200);
        proc.thread("200/task/204", "vhost-worker", 1, 30);
        assert_eq!(proc.cpu_ns(), [(100, 1_200), (200, 0)]);
    }

    #[test]
    fn threads_of_the_kernel() {
        let proc = Proc::new();
        proc.thread("301", "vhost-100", KTHREADD, 1_000);
        // Opened by another thread of the same VMM.
        proc.thread("302", "vhost-101", KTHREADD, 200);
        proc.thread("303", "vhost-777", KTHREADD, 30);
        proc.thread("304", "vhost-200", KTHREADD, 4);
        assert_eq!(proc.cpu_ns(), [(100, 1_200), (200, 4)]);
    }

    #[test]
    fn both_kinds_at_once() {
        let proc = Proc::new();
        proc.thread("100/task/102", "vhost-100", 1, 1_000);
        proc.thread("301", "vhost-100", KTHREADD, 200);
        assert_eq!(proc.cpu_ns(), [(100, 1_200), (200, 0)]);
    }

    #[test]
    fn a_thread_is_known_once_it_has_had_its_name() {
        let proc = Proc::new();
        let mut threads = VhostThreads::new(proc.0.path());
        proc.thread("100/task/102", "qemu-system-x86", 1, 1_000);
        assert_eq!(proc.seen_by(&mut threads), [(100, 0), (200, 0)]);
        proc.thread("100/task/102", "vhost-100", 1, 1_000);
        assert_eq!(proc.seen_by(&mut threads), [(100, 1_000), (200, 0)]);
        // Its name is not read again, its time is.
        proc.thread("100/task/102", "another name", 1, 3_000);
        assert_eq!(proc.seen_by(&mut threads), [(100, 3_000), (200, 0)]);
    }

    #[test]
    fn threads_that_end_are_forgotten_and_their_ids_are_anothers() {
        let proc = Proc::new();
        let mut threads = VhostThreads::new(proc.0.path());
        proc.thread("100/task/102", "vhost-100", 1, 1_000);
        proc.thread("302", "vhost-101", KTHREADD, 200);
        for _ in 0..3 {
            assert_eq!(proc.seen_by(&mut threads), [(100, 1_200), (200, 0)]);
        }
        // Made before the other one is gone, so that it has an inode of its own.
        proc.thread("new", "CPU 1/KVM", 1, 70);
        proc.remove("100/task/102");
        let (new, id) = (proc.0.path().join("new"), "100/task/102");
        fs::rename(new, proc.0.path().join(id)).unwrap();
        assert_eq!(proc.seen_by(&mut threads), [(100, 200), (200, 0)]);
        proc.remove("302");
        assert_eq!(proc.seen_by(&mut threads), [(100, 0), (200, 0)]);
    }

    #[test]
    fn without_a_view_of_the_kernels_threads_nothing_is_zero() {
        let proc = Proc::new();
        fs::remove_dir_all(proc.0.path().join("2")).unwrap();
        assert_eq!(proc.cpu_ns(), []);
        proc.thread("100/task/102", "vhost-100", 1, 1_000);
        assert_eq!(proc.cpu_ns(), [(100, 1_000)]);
    }

    #[test]
    fn names_of_vhost_threads() {
        assert_eq!(opener("vhost-4194304"), Some(4_194_304));
        for other in ["vhost-", "vhost", "vhost-1a2b", "vhost-+1", "xvhost-1", ""] {
            assert_eq!(opener(other), None, "{other}");
        }
    }

    #[test]
    fn time_by_the_scheduler_else_by_ticks() {
        assert_eq!(parse_schedstat("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(parse_schedstat("0 0 0\n"), None);
        assert_eq!(parse_schedstat(""), None);
        let proc = Proc::new();
        let thread = proc.0.path().join("2");
        fs::write(thread.join("schedstat"), "0 0 0\n").unwrap();
        let ns_per_tick = 10_000_000;
        assert_eq!(run_ns(&thread), Some(7 * ns_per_tick));
        fs::remove_file(thread.join("schedstat")).unwrap();
        assert_eq!(run_ns(&thread), Some(7 * ns_per_tick));
        fs::remove_dir_all(&thread).unwrap();
        assert_eq!(run_ns(&thread), None);
    }

    #[test]
    fn who_opens_no_vhost_has_no_threads_of_it() {
        let proc = tempfile::tempdir().expect("a directory");
        let fds = proc.path().join("7/fd");
        assert!(!opens_no_vhost(proc.path(), 7), "it cannot be seen");
        fs::create_dir_all(&fds).expect("a directory");
        for (fd, to) in [("0", "/dev/null"), ("1", "socket:[1]"), ("2", "/")] {
            std::os::unix::fs::symlink(to, fds.join(fd)).expect("a link");
        }
        assert!(opens_no_vhost(proc.path(), 7));
        std::os::unix::fs::symlink("/dev/vhost-net", fds.join("3")).expect("a link");
        assert!(!opens_no_vhost(proc.path(), 7));
    }

    #[test]
    fn stat_with_a_name_that_looks_like_more() {
        let text = "7 (a) S 9 (b) S 2 0 0 0 -1 2129984 0 0 0 0 15 16 0 0 20 0 1 0 42";
        let stat = Stat {
            parent: 2,
            ticks: 31,
        };
        assert_eq!(parse_stat(text), Some(stat));
        assert_eq!(parse_stat("7 (a S 2"), None);
        assert_eq!(parse_stat("7 (a) S 2 0"), None);
    }
}
