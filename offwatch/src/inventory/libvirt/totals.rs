//! From libvirt's named parameters to [`VmStats`]. Pure.

use super::bulk::Value;
use crate::inventory::nic::printable;
use crate::sample::{DiskStats, NicStats, StatsSource, Vcpu, VcpuState, VmState, VmStats};

/// Devices beyond this number are left out: an index is libvirt's word, and
/// it decides how much memory is taken.
const MOST_DEVICES: usize = 4096;

/// What the parameters of one domain say. `id` is that of the active domain.
pub(super) fn read<'a>(
    parameters: impl Iterator<Item = (&'a [u8], Value<'a>)>,
    id: Option<u32>,
    monotonic_ns: u64,
) -> (VmState, VmStats) {
    let mut state = VmState::Unknown;
    let mut stats = VmStats {
        monotonic_ns,
        source: StatsSource::Libvirt,
        start: id.unwrap_or_default().into(),
        ..VmStats::default()
    };
    for (name, value) in parameters {
        let (group, field) = split(name);
        match (group, value) {
            (b"state", Value::Number(number)) if field == b"state" => state = vm_state(number),
            (b"cpu", Value::Number(ns)) if field == b"time" => stats.cpu_time_ns = Some(ns),
            (b"balloon", Value::Number(kib)) => match field {
                b"current" => stats.memory_kib = Some(kib),
                b"maximum" => stats.memory_max_kib = Some(kib),
                b"rss" => stats.memory_rss_kib = Some(kib),
                _ => {}
            },
            (b"vcpu", Value::Number(number)) => vcpu(&mut stats.vcpus, field, number),
            (b"net", value) => nic(&mut stats.nics, field, value),
            (b"block", value) => disk(&mut stats.disks, field, value),
            _ => {}
        }
    }
    (state, stats)
}

/// Splits at the first dot.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&name[..dot], &name[dot + 1..]),
        None => (name, b""),
    }
}

fn vcpu(vcpus: &mut Option<Vec<Vcpu>>, field: &[u8], value: u64) {
    let vcpus = vcpus.get_or_insert_default();
    let (Some(number), field) = index(field) else {
        return;
    };
    let at = vcpus.iter().position(|vcpu| vcpu.number == number);
    let at = at.unwrap_or_else(|| {
        vcpus.push(Vcpu {
            number,
            ..Vcpu::default()
        });
        vcpus.len() - 1
    });
    match field {
        b"state" => {
            vcpus[at].state = match value {
                0 => VcpuState::Offline,
                1 => VcpuState::Running,
                2 => VcpuState::Blocked,
                _ => VcpuState::Unknown,
            }
        }
        b"time" => vcpus[at].time_ns = Some(value),
        _ => {}
    }
}

fn nic(nics: &mut Option<Vec<NicStats>>, field: &[u8], value: Value<'_>) {
    let nics = nics.get_or_insert_default();
    let Some((nic, field)) = device(nics, field) else {
        return;
    };
    let number = match value {
        Value::Number(number) => Some(number),
        Value::Text(name) => {
            if field == b"name" {
                nic.name = printable(&name.to_string_lossy());
            }
            return;
        }
    };
    match field {
        b"rx.bytes" => nic.rx_bytes = number,
        b"rx.pkts" => nic.rx_packets = number,
        b"rx.errs" => nic.rx_errors = number,
        b"rx.drop" => nic.rx_drops = number,
        b"tx.bytes" => nic.tx_bytes = number,
        b"tx.pkts" => nic.tx_packets = number,
        b"tx.errs" => nic.tx_errors = number,
        b"tx.drop" => nic.tx_drops = number,
        _ => {}
    }
}

fn disk(disks: &mut Option<Vec<DiskStats>>, field: &[u8], value: Value<'_>) {
    let disks = disks.get_or_insert_default();
    let Some((disk, field)) = device(disks, field) else {
        return;
    };
    let number = match value {
        Value::Number(number) => Some(number),
        Value::Text(name) => {
            if field == b"name" {
                disk.name = printable(&name.to_string_lossy());
            }
            return;
        }
    };
    match field {
        b"rd.reqs" => disk.read_requests = number,
        b"rd.bytes" => disk.read_bytes = number,
        b"wr.reqs" => disk.write_requests = number,
        b"wr.bytes" => disk.write_bytes = number,
        _ => {}
    }
}

/// The device of a field `N.rest`, and the rest. `count` has none.
fn device<'list, 'name, Device: Default>(
    devices: &'list mut Vec<Device>,
    field: &'name [u8],
) -> Option<(&'list mut Device, &'name [u8])> {
    let (number, rest) = index(field);
    let at = usize::try_from(number?)
        .ok()
        .filter(|&at| at < MOST_DEVICES)?;
    if devices.len() <= at {
        devices.resize_with(at + 1, Device::default);
    }
    Some((&mut devices[at], rest))
}

/// The number in front of the first dot, and what follows.
fn index(field: &[u8]) -> (Option<u32>, &[u8]) {
    let (number, rest) = split(field);
    if number.is_empty() || rest.is_empty() {
        return (None, rest);
    }
    let number = number.iter().try_fold(0_u32, |number, &digit| {
        let digit = u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number.checked_mul(10)?.checked_add(digit)
    });
    (number, rest)
}

/// A state by libvirt's number.
fn vm_state(number: u64) -> VmState {
    u32::try_from(number).map_or(VmState::Unknown, super::domains::vm_state)
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn number(name: &str, value: u64) -> (&[u8], Value<'_>) {
        (name.as_bytes(), Value::Number(value))
    }

    fn text<'a>(name: &'a str, value: &'a CStr) -> (&'a [u8], Value<'a>) {
        (name.as_bytes(), Value::Text(value))
    }

    #[test]
    fn what_libvirt_says_of_a_running_guest() {
        let parameters = [
            number("state.state", 1),
            number("state.reason", 5),
            number("cpu.time", 8_590_000_000),
            number("cpu.user", 1),
            number("balloon.current", 262_144),
            number("balloon.maximum", 524_288),
            number("balloon.rss", 180_000),
            number("vcpu.current", 2),
            number("vcpu.maximum", 2),
            number("vcpu.0.state", 1),
            number("vcpu.0.time", 4_000_000_000),
            number("vcpu.0.wait", 0),
            number("vcpu.1.state", 2),
            number("vcpu.1.time", 5),
            number("net.count", 1),
            text("net.0.name", c"vnet0"),
            number("net.0.rx.bytes", 11),
            number("net.0.rx.pkts", 12),
            number("net.0.rx.errs", 13),
            number("net.0.rx.drop", 14),
            number("net.0.tx.bytes", 15),
            number("net.0.tx.pkts", 16),
            number("net.0.tx.errs", 17),
            number("net.0.tx.drop", 18),
            number("block.count", 2),
            text("block.0.name", c"vda"),
            text("block.0.path", c"/images/a.img"),
            number("block.0.rd.reqs", 21),
            number("block.0.rd.bytes", 22),
            number("block.0.rd.times", 23),
            number("block.0.wr.reqs", 24),
            number("block.0.wr.bytes", 25),
            text("block.1.name", c"sda"),
        ];
        let (state, stats) = read(parameters.into_iter(), Some(7), 99);
        assert_eq!(state, VmState::Running);
        let vcpu = |number, state, time_ns| Vcpu {
            number,
            state,
            time_ns: Some(time_ns),
            pcpu: None,
        };
        let expected = VmStats {
            monotonic_ns: 99,
            source: StatsSource::Libvirt,
            start: 7,
            cpu_time_ns: Some(8_590_000_000),
            vcpus: Some(vec![
                vcpu(0, VcpuState::Running, 4_000_000_000),
                vcpu(1, VcpuState::Blocked, 5),
            ]),
            pcpus: None,
            memory_kib: Some(262_144),
            memory_max_kib: Some(524_288),
            memory_rss_kib: Some(180_000),
            disks: Some(vec![
                DiskStats {
                    name: "vda".into(),
                    read_requests: Some(21),
                    read_bytes: Some(22),
                    write_requests: Some(24),
                    write_bytes: Some(25),
                },
                DiskStats {
                    name: "sda".into(),
                    ..DiskStats::default()
                },
            ]),
            nics: Some(vec![NicStats {
                name: "vnet0".into(),
                generation: None,
                rx_bytes: Some(11),
                rx_packets: Some(12),
                rx_errors: Some(13),
                rx_drops: Some(14),
                tx_bytes: Some(15),
                tx_packets: Some(16),
                tx_errors: Some(17),
                tx_drops: Some(18),
            }]),
        };
        assert_eq!(stats, expected);
    }

    #[test]
    fn what_is_not_told_is_missing_and_not_zero() {
        let (state, stats) = read([number("state.state", 3)].into_iter(), Some(1), 5);
        assert_eq!(state, VmState::Paused);
        let nothing = VmStats {
            monotonic_ns: 5,
            start: 1,
            ..VmStats::default()
        };
        assert_eq!(stats, nothing);
        // A guest without disks is not a guest whose disks are unknown.
        let (_, stats) = read([number("block.count", 0)].into_iter(), Some(1), 5);
        assert_eq!(stats.disks, Some(Vec::new()));
        assert_eq!(stats.nics, None);
    }

    #[test]
    fn names_that_make_no_sense() {
        let odd = [
            number("net.99999999999.rx.bytes", 1),
            number("net.5000.rx.bytes", 1),
            number("net.-1.rx.bytes", 1),
            number("net..rx.bytes", 1),
            number("net.0", 1),
            number("", 1),
            number("cpu", 1),
            text("cpu.time", c"soon"),
            text("net.0.rx.bytes", c"many"),
            text("block.0.name", c"a\x1b[2J"),
        ];
        let (_, stats) = read(odd.into_iter(), None, 0);
        assert_eq!(stats.cpu_time_ns, None);
        assert_eq!(stats.nics, Some(vec![NicStats::default()]));
        assert_eq!(stats.disks.unwrap()[0].name, "a?[2J");
    }
}
