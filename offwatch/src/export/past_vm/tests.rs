//! Totals over restarts, changes of who tells, and disks that come and go.

use super::*;
use crate::sample::{DiskStats, StatsSource};

const LIBVIRT: StatsSource = StatsSource::Libvirt;
const PROC: StatsSource = StatsSource::Proc;
/// A start as `/proc` tells it, in ticks.
const TICKS: u64 = 4_711;

fn stats(source: StatsSource, start: u64, cpu: u64) -> VmStats {
    VmStats {
        source,
        start,
        cpu_time_ns: Some(cpu),
        ..VmStats::default()
    }
}

fn advance(past: &mut PastVm, now: VmStats, pid: u32) -> Used {
    past.advance(Some(&now), (Some(pid), None))
}

/// CPU time used since the sample before, and in all.
fn cpu(past: &mut PastVm, now: VmStats, pid: u32) -> (Option<u64>, Option<u64>) {
    (advance(past, now, pid).cpu_ns, past.used.cpu_ns)
}

fn disk(name: &str, bytes: impl Into<Option<u64>>) -> DiskStats {
    DiskStats {
        name: name.into(),
        read_bytes: bytes.into(),
        ..DiskStats::default()
    }
}

/// Bytes read since the sample before, and in all, by libvirt's domain `id`.
fn read(past: &mut PastVm, id: u64, disks: &[DiskStats]) -> (Option<u64>, Option<u64>) {
    let now = VmStats {
        disks: Some(disks.to_vec()),
        ..stats(LIBVIRT, id, 0)
    };
    (advance(past, now, 7).read_bytes, past.used.read_bytes)
}

#[test]
fn totals_fall_only_with_the_start_of_the_vm() {
    let mut past = PastVm::default();
    past.advance(Some(&stats(LIBVIRT, 1, 500)), (Some(7), Some(50)));
    let grown = past.advance(Some(&stats(LIBVIRT, 1, 400)), (Some(7), Some(30)));
    assert_eq!((grown.cpu_ns, grown.vhost_cpu_ns), (Some(0), Some(0)));
    let used = (past.used.cpu_ns, past.used.vhost_cpu_ns);
    assert_eq!(used, (Some(500), Some(50)));
    past.advance(Some(&stats(LIBVIRT, 2, 10)), (Some(8), Some(1)));
    let used = (past.used.cpu_ns, past.used.vhost_cpu_ns);
    assert_eq!(used, (Some(10), Some(1)));
    past.advance(None, (Some(8), None));
    assert_eq!(past.used, Used::default(), "nobody tells");
}

#[test]
fn each_source_is_compared_with_itself_alone() {
    let mut past = PastVm::default();
    cpu(&mut past, stats(LIBVIRT, 1, 1_000_790), 7);
    let told = cpu(&mut past, stats(PROC, TICKS, 1_000_000), 7);
    assert_eq!(told, (Some(0), Some(1_000_790)), "cut to ticks");
    let told = cpu(&mut past, stats(PROC, TICKS, 1_000_100), 7);
    assert_eq!(told, (Some(100), Some(1_000_890)));
    let told = cpu(&mut past, stats(LIBVIRT, 1, 1_000_895), 7);
    assert_eq!(told, (Some(5), Some(1_000_895)), "105 since it told last");
}

#[test]
fn sources_that_alternate_lose_nothing() {
    let mut past = PastVm::default();
    for round in 0..10 {
        cpu(&mut past, stats(LIBVIRT, 1, 5_000 + 20 * round), 7);
        cpu(&mut past, stats(PROC, TICKS, 100 + 20 * round), 7);
    }
    assert_eq!(past.used.cpu_ns, Some(5_000 + 180));
}

#[test]
fn another_process_by_another_source_is_another_start() {
    let mut past = PastVm::default();
    cpu(&mut past, stats(LIBVIRT, 1, 500), 7);
    cpu(&mut past, stats(PROC, TICKS, 20), 8);
    assert_eq!(past.used.cpu_ns, Some(20));
    let told = cpu(&mut past, stats(LIBVIRT, 2, 25), 8);
    assert_eq!(told, (Some(0), Some(20)), "the same start goes on");
}

#[test]
fn what_passes_while_nobody_tells_is_told_afterwards() {
    let mut past = PastVm::default();
    cpu(&mut past, stats(LIBVIRT, 1, 500), 7);
    past.advance(None, (Some(7), None));
    assert_eq!(past.used.cpu_ns, None);
    let silent = VmStats {
        cpu_time_ns: None,
        ..stats(LIBVIRT, 1, 0)
    };
    assert_eq!(cpu(&mut past, silent, 7), (None, None));
    assert_eq!(cpu(&mut past, stats(LIBVIRT, 1, 700), 7).1, Some(700));
}

#[test]
fn a_disk_that_goes_takes_nothing_away_and_one_that_comes_adds_all_it_has() {
    let mut past = PastVm::default();
    let told = read(&mut past, 1, &[disk("vda", 10), disk("vdb", 500)]);
    assert_eq!(told, (None, Some(510)));
    let told = read(&mut past, 1, &[disk("vda", 12)]);
    assert_eq!(told, (Some(2), Some(512)));
    let told = read(&mut past, 1, &[disk("vdb", 3), disk("vda", 13)]);
    assert_eq!(told, (Some(4), Some(516)));
    let told = read(&mut past, 1, &[disk("vdb", 1), disk("vda", 13)]);
    assert_eq!(told, (Some(1), Some(517)), "another vdb");
    assert_eq!(
        read(&mut past, 2, &[disk("vda", 5)]).1,
        Some(5),
        "a new start"
    );
}

#[test]
fn disks_are_told_again_where_libvirt_was_silent() {
    let mut past = PastVm::default();
    advance(&mut past, stats(PROC, TICKS, 0), 7);
    assert_eq!(past.used.read_bytes, None, "/proc knows no disks");
    let told = read(&mut past, 1, &[disk("vda", 10_000), disk("vdb", 5_000)]);
    assert_eq!(told, (None, Some(15_000)));
    advance(&mut past, stats(PROC, TICKS, 0), 7);
    assert_eq!(past.used.read_bytes, None);
    let told = read(&mut past, 1, &[disk("vda", 10_086), disk("vdb", 5_000)]);
    assert_eq!(told, (None, Some(15_086)));
}

#[test]
fn a_disk_that_is_silent_for_once_loses_nothing() {
    let mut past = PastVm::default();
    read(&mut past, 1, &[disk("vda", None), disk("vdb", 200)]);
    assert_eq!(past.used.read_bytes, None);
    assert_eq!(
        read(&mut past, 1, &[disk("vda", 100), disk("vdb", 200)]).1,
        Some(300)
    );
    assert_eq!(
        read(&mut past, 1, &[disk("vda", None), disk("vdb", 201)]).1,
        None
    );
    assert_eq!(
        read(&mut past, 1, &[disk("vda", 490), disk("vdb", 201)]).1,
        Some(691)
    );
}

#[test]
fn a_start_is_known_also_where_no_cpu_time_is_told() {
    let mut past = PastVm::default();
    let told = |past: &mut PastVm, id, bytes| {
        let now = VmStats {
            cpu_time_ns: None,
            disks: Some(vec![disk("vda", bytes)]),
            ..stats(LIBVIRT, id, 0)
        };
        advance(past, now, 7);
        (past.used.cpu_ns, past.used.read_bytes)
    };
    assert_eq!(told(&mut past, 1, 10), (None, Some(10)));
    assert_eq!(told(&mut past, 2, 1), (None, Some(1)));
    assert_eq!(cpu(&mut past, stats(LIBVIRT, 2, 40), 7).1, Some(40));
}
