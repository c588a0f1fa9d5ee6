use std::sync::Arc;

use super::*;
use crate::{
    model::usage::UsageHistory,
    sample::{Host, Node, PcpuTime, Sample, Source, StatsSource, Vcpu, Vm, VmState, VmStats},
};

const SECOND: u64 = 1_000_000_000;

fn stats(seconds: u64, cpu_ms: u64) -> VmStats {
    VmStats {
        monotonic_ns: seconds * SECOND,
        start: 1,
        cpu_time_ns: Some(cpu_ms * 1_000_000),
        memory_kib: Some(250),
        ..VmStats::default()
    }
}

fn vm(name: &str, id: u32, stats: Option<VmStats>) -> Vm {
    Vm {
        name: name.into(),
        uuid: Some(format!("uuid of {name}").into()),
        id: Some(id),
        state: VmState::Running,
        stats: stats.map(Arc::new),
        ..Vm::default()
    }
}

fn sample(seconds: u64, vms: Vec<Vm>) -> Sample {
    Sample {
        time_unix_ms: seconds * 1000,
        monotonic_ns: seconds * SECOND,
        host: Host {
            node: Some(Arc::new(Node {
                host_name: "kvm1".into(),
                arch: "x86_64".into(),
                online_cpus: 2,
                cpus: 3,
                mhz: None,
                memory_kib: 1000,
            })),
            ..Host::default()
        },
        vms,
        ..Sample::default()
    }
}

fn options() -> ViewOptions {
    ViewOptions {
        order: Order::default(),
        block_in_bytes: false,
        zone: TimeZone::UTC,
    }
}

fn csv() -> CsvFormat {
    CsvFormat {
        columns: CsvColumns::default(),
        block_in_bytes: false,
        zone: TimeZone::UTC,
    }
}

/// Makes something of the last sample.
fn of_last<T>(samples: &[Sample], make: impl FnOnce(&Overview<'_>) -> T) -> T {
    let mut history = UsageHistory::default();
    samples.iter().for_each(|sample| history.advance(sample));
    let last = samples.last().unwrap();
    make(&Overview::of_sample(last, &history))
}

fn lines(view: View, samples: &[Sample]) -> Vec<String> {
    of_last(samples, |overview| {
        screen(view, overview, &CpuHistory::new(20), &options(), None)
    })
}

#[test]
fn what_is_not_known_is_blank_and_not_zero() {
    let untold = |seconds| VmStats {
        monotonic_ns: seconds * SECOND,
        start: 1,
        ..VmStats::default()
    };
    let samples = [
        sample(1, vec![vm("a", 1, Some(untold(1))), vm("b", 2, None)]),
        sample(2, vec![vm("a", 1, Some(untold(2))), vm("b", 2, None)]),
    ];
    let screen = lines(View::Domains, &samples);
    assert_eq!(screen[5], format!("    1 R{}a", " ".repeat(41)));
    assert_eq!(screen[6], format!("    2 R{}b", " ".repeat(41)));
    let row = of_last(&samples, |overview| csv().row(overview));
    assert!(row.ends_with(",1,a,,,,,,,,,2,b,,,,,,,,\n"), "{row}");
    let block = of_last(&samples, |overview| stream(overview, &options()));
    let unknown = "R    -    -    -    -    -    -         -";
    assert!(block.contains(&format!("    1 {unknown} a\n")), "{block}");
    assert!(block.contains(&format!("    2 {unknown} b\n")), "{block}");
}

#[test]
fn the_machine_as_far_as_it_is_known() {
    let known = lines(View::Domains, &[sample(1, Vec::new())]);
    assert_eq!(known[0], "virt-top 00:00:01 - x86_64 2/3CPU ?MHz 0MB");
    let mut old = sample(1, Vec::new());
    old.host.node = None;
    old.host.online_cpus = 4;
    let unknown = lines(View::Domains, &[old]);
    assert_eq!(unknown[0], "virt-top 00:00:01 - ? 4/4CPU ?MHz ?MB");
}

#[test]
fn states_have_virt_tops_letters_and_sums() {
    let states = [
        VmState::Unknown,
        VmState::Running,
        VmState::Blocked,
        VmState::Paused,
        VmState::Shutdown,
        VmState::Shutoff,
        VmState::Crashed,
        VmState::Suspended,
    ];
    let vms = (1..).zip(states).map(|(id, state)| Vm {
        state,
        ..vm(&format!("vm{id}"), id, None)
    });
    let screen = lines(View::Domains, &[sample(1, vms.collect())]);
    let letters: String = screen[5..].iter().map(|row| &row[6..7]).collect();
    assert_eq!(letters, "?RSPDOXM");
    assert_eq!(
        screen[1],
        "8 domains, 8 active, 1 running, 1 sleeping, 2 paused, 0 inactive D:1 O:1 X:1"
    );
}

#[test]
fn a_tick_without_an_answer_shows_the_last_figures_and_their_age() {
    let first = sample(10, vec![vm("a", 1, Some(stats(10, 0)))]);
    let second = sample(12, vec![vm("a", 1, Some(stats(12, 1000)))]);
    let silent = Sample {
        time_unix_ms: 15_500,
        monotonic_ns: 15 * SECOND + SECOND / 2,
        ..second.clone()
    };
    let samples = [first, second, silent];
    let screen = lines(View::Domains, &samples);
    assert_eq!(
        screen[3],
        "libvirt has not answered yet: figures are 3.5 s old"
    );
    assert!(screen[5].contains("25.0 25.0"), "{screen:?}");
    // A program that sums them must not see them twice.
    let row = of_last(&samples, |overview| {
        csv().row(&overview.clone().for_programs())
    });
    assert!(row.ends_with(",1,a,,,,,,,,\n"), "{row}");
    assert!(row.contains(",0,,1000,,,,1,a"), "no sums either: {row}");
}

#[test]
fn notes_have_a_line_of_their_own() {
    let mut noted = sample(1, vec![vm("a", 1, None)]);
    noted.host.notes = vec!["libvirt: no \x1bdaemon".into(), "more".into()];
    let screen = lines(View::Disks, &[noted]);
    assert_eq!(screen[3], "libvirt: no ?daemon");
}

#[test]
fn disks_without_libvirt_are_missing_with_a_reason() {
    let by_process = VmStats {
        source: StatsSource::Proc,
        ..stats(1, 0)
    };
    let with = sample(1, vec![vm("a", 1, Some(by_process))]);
    assert_eq!(
        lines(View::Disks, &[with])[3],
        "no figures of disks: they need libvirt"
    );
    assert_eq!(lines(View::Disks, &[sample(1, Vec::new())])[3], "");
}

#[test]
fn programs_get_what_virt_top_would_list() {
    let process = Vm {
        id: None,
        source: Source::Proc,
        pid: Some(9),
        ..vm("process", 0, Some(stats(1, 0)))
    };
    let names = |vms| {
        let sample = sample(1, vms);
        let history = UsageHistory::of(&sample, None);
        let overview = Overview::of_sample(&sample, &history).for_programs();
        let names = overview.domains.iter().map(|domain| domain.name.to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(vec![vm("a", 1, None), process.clone()]), ["a"]);
    assert_eq!(names(vec![process.clone()]), ["process"]);
    let screen = lines(View::Domains, &[sample(1, vec![vm("a", 1, None), process])]);
    assert!(screen[5].starts_with("    1 R"), "{screen:?}");
    assert!(screen[6].starts_with("    - R"), "{screen:?}");
}

#[test]
fn the_history_of_cpu_keeps_eleven_figures_newest_first() {
    let mut usage = UsageHistory::default();
    let mut history = CpuHistory::new(20);
    let mut shown = Vec::new();
    for tick in 0..30_u64 {
        // 1 % more of the host in each interval of 10 s.
        let cpu_ms = tick * (tick + 1) / 2 * 200;
        let sample = sample(tick * 10, vec![vm("a", 1, Some(stats(tick * 10, cpu_ms)))]);
        usage.advance(&sample);
        let overview = Overview::of_sample(&sample, &usage);
        history.advance(&overview);
        let header = header(&overview, &history, &TimeZone::UTC);
        let (_, percents) = header[0].rsplit_once("MB ").unwrap();
        shown.push(percents.to_owned());
    }
    assert_eq!(shown[1], "");
    assert_eq!(shown[2], "2.0%");
    assert_eq!(shown[5], "4.0% 2.0%");
    let last = "28.0% 26.0% 24.0% 22.0% 20.0% 18.0% 16.0% 14.0% 12.0% 10.0% 8.0%";
    assert_eq!(shown[29], last);
}

#[test]
fn lines_fit_the_screen() {
    let long = format!("vm-{}", "x".repeat(100));
    let sample = sample(1, vec![vm(&long, 1, Some(stats(1, 0)))]);
    let history = UsageHistory::of(&sample, None);
    let overview = Overview::of_sample(&sample, &history);
    let cpu = CpuHistory::new(20);
    for width in [80, 40, 1] {
        let lines = screen(View::Domains, &overview, &cpu, &options(), Some(width));
        assert!(lines.iter().all(|line| line.len() <= width), "{width}");
    }
}

#[test]
fn physical_cpus_by_libvirts_figures() {
    let with = |seconds: u64, times: [(u64, u64); 2]| VmStats {
        pcpus: Some(
            (0..)
                .zip(times)
                .map(|(number, (all, vcpus))| PcpuTime {
                    number,
                    time_ns: Some(all * SECOND / 10),
                    vcpu_time_ns: Some(vcpus * SECOND / 10),
                })
                .collect(),
        ),
        ..stats(seconds, 0)
    };
    let at = |seconds, one, two| {
        let long = "a-long-name-of-a-vm";
        let vms = vec![
            vm("a", 1, Some(with(seconds, one))),
            vm(long, 2, Some(with(seconds, two))),
        ];
        sample(seconds, vms)
    };
    let samples = [
        at(1, [(0, 0), (5, 5)], [(0, 0), (0, 0)]),
        at(3, [(10, 8), (5, 5)], [(2, 0), (20, 19)]),
    ];
    let screen = lines(View::Pcpus, &samples);
    assert_eq!(
        screen[4..],
        [
            "PHYCPU %CPU a           a-long-name-of-a-vm",
            "   0   60.0 50.0 40.0   10.0",
            "   1   100              100  95.0",
            "   2",
        ]
    );
    assert_eq!(screen[3], "");
}

#[test]
fn physical_cpus_by_where_virtual_cpus_stayed() {
    let with = |seconds: u64, pcpu, ms: u64| VmStats {
        vcpus: Some(vec![Vcpu {
            number: 0,
            pcpu: Some(pcpu),
            time_ns: Some(ms * 1_000_000),
            ..Vcpu::default()
        }]),
        ..stats(seconds, 0)
    };
    let samples = [
        sample(1, vec![vm("a", 1, Some(with(1, 1, 0)))]),
        sample(2, vec![vm("a", 1, Some(with(2, 1, 123)))]),
    ];
    let screen = lines(View::Pcpus, &samples);
    assert_eq!(screen[5..], ["   0", "   1   12.3      12.3~", "   2"]);
    assert!(screen[3].starts_with('~'), "{screen:?}");
}
