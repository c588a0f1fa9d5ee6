//! A tick of `top` on hosts of several sizes.

use super::{
    super::{
        goals::{self, Outcome},
        scale::{LARGE, Scale, Tick},
    },
    Table,
};

const SCREEN: &str = "top -4";
const STREAM: &str = "top --stream";
const VIRT_TOP: &str = "virt-top --stream";
pub(in crate::bench) fn table(scales: &[Scale]) -> Table {
    let heads = [
        "host",
        "program",
        "CPU, ms",
        "of it sample and model",
        "of it libvirt",
        "by the clock, ms",
        "system calls",
        "memory, MiB",
        "of it counters",
    ];
    let mut table = Table::new("", &heads);
    for scale in scales {
        for tick in &scale.ticks {
            let of_it = |ms: Option<f64>| ms.map_or_else(String::new, |ms| format!("{ms:.2}"));
            let calls = tick.syscalls();
            table.row([
                scale.host(),
                tick.program.clone(),
                format!("{:.2}", tick.all_ms),
                of_it(tick.samples_ms),
                of_it(tick.libvirt_ms),
                format!("{:.2}", tick.wall_ms),
                calls.map_or_else(String::new, |calls| calls.to_string()),
                format!("{:.1}", tick.memory_mib),
                format!("{:.1}", tick.counters_mib),
            ]);
        }
    }
    table
}

pub(in crate::bench) fn goals(scales: &[Scale]) -> Vec<Outcome> {
    let large = |program: &str| {
        let scale = scales.iter().find(|scale| scale.interfaces >= LARGE);
        let tick = scale.and_then(|scale| named(scale, program));
        tick.ok_or_else(|| "not with --quick".to_owned())
    };
    let screen = large(SCREEN);
    let few = scales.iter().min_by_key(|scale| scale.interfaces);
    let few = few.and_then(|scale| named(scale, SCREEN)?.syscalls());
    let more = screen.clone().and_then(|tick| {
        let more = tick
            .syscalls()
            .zip(few)
            .map(|(many, few)| many as f64 - few as f64);
        more.ok_or_else(|| "strace is not installed".to_owned())
    });
    let streaming = large(STREAM).map(|tick| tick.all_ms);
    let memory = screen.clone().map(|tick| tick.memory_mib);
    let mut outcomes = vec![
        goals::TICK.outcome(screen.map(|tick| tick.all_ms)),
        goals::STREAM_TICK.outcome(streaming),
        goals::SYSCALLS.outcome(more),
        goals::MEMORY.outcome(memory),
    ];
    let domains = scales.iter().find(|scale| scale.domains > 0);
    let both = domains.and_then(|scale| Some((named(scale, STREAM)?, named(scale, VIRT_TOP)?)));
    let both = both.ok_or_else(|| "virt-top is not installed".to_owned());
    let without = both.clone().and_then(|(own, other)| {
        let libvirt_ms = own.libvirt_ms.ok_or("libvirt has no thread of its own")?;
        Ok((own.all_ms - libvirt_ms) / other.all_ms)
    });
    outcomes.extend([
        goals::VIRT_TOP.outcome(both.map(|(own, other)| own.all_ms / other.all_ms)),
        goals::VIRT_TOP_WITHOUT.outcome(without),
    ]);
    outcomes
}

fn named<'a>(scale: &'a Scale, program: &str) -> Option<&'a Tick> {
    scale.ticks.iter().find(|tick| tick.program == program)
}
