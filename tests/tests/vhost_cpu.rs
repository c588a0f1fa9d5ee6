//! The CPU time of vhost's threads is charged to the VM whose frames they carry,
//! to the nanosecond, whether they are threads of the VMM or of the kernel.
//!
//! Not with the usual `main`: this program plays QEMU, too.

use std::fs;

use anyhow::{Context, Result, ensure};
use offwatch_tests::{
    Backend, GuestConfig, Lab,
    guest::Family,
    observer::{Observer, number},
    scaled, skip_unless_vhost,
    traffic::{TcpFlow, TcpOptions, tcp_stream},
    vhost,
    vmm::Vmm,
    vmm_main,
};
use serde_json::Value;

const TOTAL: &str = "vhost_cpu_ns_total";

vmm_main!(vhost_threads_are_charged_to_their_vm);

fn vhost_threads_are_charged_to_their_vm() -> Result<()> {
    skip_unless_vhost!();
    charged(Backend::Vhost)?;
    if vhost::can_choose_thread()? {
        charged(Backend::VhostKthread)?;
    }
    Ok(())
}

fn charged(backend: Backend) -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host_endpoint()?;
    let start = |name, index, backend| {
        let config = GuestConfig {
            backend,
            ..GuestConfig::new(name, index)
        };
        Vmm::start(&lab, config)
    };
    let busy = start("busy", 1, backend)?;
    let idle = start("idle", 2, backend)?;
    // Nothing but its own threads carry its frames.
    let plain = start("plain", 3, Backend::Relay)?;
    let observer = Observer::start(lab.host(), &[])?;
    let before = shown(&observer, &busy, "busy")?;

    // While the thread runs, what is shown lies between two looks at it.
    let flow = TcpFlow::start(&host, &busy.endpoint(), TcpOptions::new(Family::V4, 0))?;
    for _ in 0..5 {
        shown(&observer, &busy, "busy")?;
    }
    flow.stop()?;
    let bytes = scaled(50_000_000);
    tcp_stream(&busy.endpoint(), &host, &TcpOptions::new(Family::V6, bytes))?;

    let after = shown(&observer, &busy, "busy")?;
    let used = after
        .checked_sub(before)
        .context("CPU time does not fall")?;
    let of_idle = shown(&observer, &idle, "idle")?;
    ensure!(
        used > of_idle,
        "{backend:?}: {used} ns of busy, {of_idle} ns of idle"
    );
    ensure!(shown(&observer, &plain, "plain")? == 0, "{backend:?}");
    Ok(())
}

/// The CPU time that offwatch shows of a VM. It is right: the kernel's own,
/// which does not fall, has that very value at some moment.
fn shown(observer: &Observer, vmm: &Vmm, name: &str) -> Result<u64> {
    let low = kernels_own(vmm.pid())?;
    let model = observer.now()?;
    let high = kernels_own(vmm.pid())?;
    let vm = vm(&model, name)?;
    let total = number(vm, TOTAL)?;
    ensure!(
        (low..=high).contains(&total),
        "{name}: {TOTAL} is {total}, the kernel's is {low} to {high}"
    );
    ensure!(vm["vhost_cpu_ns_per_s"].is_number(), "{name}: {vm}");
    Ok(total)
}

fn vm<'model>(model: &'model Value, name: &str) -> Result<&'model Value> {
    let mut vms = model["vms"].as_array().into_iter().flatten();
    let vm = vms.find(|vm| vm["name"] == name);
    vm.with_context(|| format!("{name} is not shown: {}", model["vms"]))
}

/// Nanoseconds that all threads of this system named after `pid` have run.
fn kernels_own(pid: u32) -> Result<u64> {
    let name = format!("vhost-{pid}\n");
    let mut sum = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        let tasks = fs::read_dir(process.path().join("task"));
        for task in tasks.into_iter().flatten().flatten() {
            if fs::read_to_string(task.path().join("comm")).ok().as_ref() != Some(&name) {
                continue;
            }
            let times = fs::read_to_string(task.path().join("schedstat"))?;
            let run = times.split(' ').next().context("schedstat")?;
            sum += run.parse::<u64>()?;
        }
    }
    Ok(sum)
}
