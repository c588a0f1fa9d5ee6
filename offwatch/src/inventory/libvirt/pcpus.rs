//! Which physical CPUs a domain uses. Takes some calls for each domain, so it
//! is asked for only where it is shown.

use std::ptr;

use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt::sys;

use super::bulk::{Value, field, value};
use crate::sample::{PcpuTime, Vcpu, VcpuState};

/// libvirt's protocol carries no more physical CPUs in one call.
const CPUS_AT_ONCE: u32 = 128;

/// The virtual CPUs of an active domain, with the physical CPU each was last on.
pub(super) fn vcpus(domain: &Domain, count: usize) -> Result<Vec<Vcpu>, VirtError> {
    // SAFETY: the struct consists of numbers.
    let empty: sys::virVcpuInfo = unsafe { std::mem::zeroed() };
    let mut infos = vec![empty; count];
    let most = libc::c_int::try_from(count).unwrap_or(libc::c_int::MAX);
    // SAFETY: there is room for so many; the maps of allowed CPUs are not asked for.
    let found = unsafe {
        sys::virDomainGetVcpus(
            domain.as_ptr(),
            infos.as_mut_ptr(),
            most,
            ptr::null_mut(),
            0,
        )
    };
    let Ok(found) = usize::try_from(found) else {
        return Err(VirtError::last_error());
    };
    infos.truncate(found);
    let vcpus = infos.iter().map(|info| Vcpu {
        number: info.number,
        state: match info.state.cast_unsigned() {
            sys::VIR_VCPU_OFFLINE => VcpuState::Offline,
            sys::VIR_VCPU_RUNNING => VcpuState::Running,
            sys::VIR_VCPU_BLOCKED => VcpuState::Blocked,
            _ => VcpuState::Unknown,
        },
        time_ns: Some(info.cpuTime),
        pcpu: u32::try_from(info.cpu).ok(),
    });
    Ok(vcpus.collect())
}

/// CPU time of an active domain on each physical CPU. libvirt knows it from
/// the cpuacct controller of cgroup v1 alone.
pub(super) fn times(domain: &Domain) -> Result<Vec<PcpuTime>, VirtError> {
    // Without room it tells how many CPUs, and how many parameters, there are.
    let cpus = ask(domain, &mut [], 0, 0, 0)?;
    let each = ask(domain, &mut [], 0, 0, 1)?;
    let mut times = Vec::new();
    let mut first = 0;
    while first < cpus && each > 0 {
        let count = (cpus - first).min(CPUS_AT_ONCE);
        // SAFETY: zero is a parameter without a name, of no type.
        let empty: sys::virTypedParameter = unsafe { std::mem::zeroed() };
        let mut parameters = vec![empty; (each * count) as usize];
        ask(domain, &mut parameters, each, first, count)?;
        for (number, parameters) in (first..).zip(parameters.chunks(each as usize)) {
            times.push(time(number, parameters));
        }
        first += count;
    }
    Ok(times)
}

fn time(number: u32, parameters: &[sys::virTypedParameter]) -> PcpuTime {
    let of = |name: &[u8]| {
        let mut named = parameters
            .iter()
            .filter(|parameter| field(parameter) == name);
        // SAFETY: filled in by libvirt; the two that are asked for are numbers.
        match unsafe { value(named.next()?) } {
            Some(Value::Number(ns)) => Some(ns),
            _ => None,
        }
    };
    PcpuTime {
        number,
        time_ns: of(b"cpu_time"),
        vcpu_time_ns: of(b"vcpu_time"),
    }
}

fn ask(
    domain: &Domain,
    room: &mut [sys::virTypedParameter],
    each: u32,
    first: u32,
    count: u32,
) -> Result<u32, VirtError> {
    let parameters = match room.is_empty() {
        true => ptr::null_mut(),
        false => room.as_mut_ptr(),
    };
    let first = libc::c_int::try_from(first).unwrap_or(libc::c_int::MAX);
    // SAFETY: there is room for `each` parameters of `count` CPUs, or none.
    let result =
        unsafe { sys::virDomainGetCPUStats(domain.as_ptr(), parameters, each, first, count, 0) };
    u32::try_from(result).map_err(|_| VirtError::last_error())
}
