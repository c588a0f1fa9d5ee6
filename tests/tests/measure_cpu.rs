//! The CPU time of a VM in a window is what the kernel counts of its process.
//!
//! Not with the usual `main`: this program plays QEMU, too.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::unistd::{SysconfVar, sysconf};
use offwatch::{
    collector::{Options, Packets},
    measure::{Meter, Window},
    probe::ExactChoice,
};
use offwatch_tests::{
    Backend, GuestConfig, Lab,
    guest::Family,
    skip_unless_lab,
    traffic::{TcpFlow, TcpOptions},
    vmm::Vmm,
    vmm_main,
};
use tokio::runtime::Builder;

vmm_main!(the_cpu_time_of_a_vm_is_that_of_its_process);

fn the_cpu_time_of_a_vm_is_that_of_its_process() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let host = lab.host_endpoint()?;
    let start = |name, index| {
        let config = GuestConfig {
            backend: Backend::Relay,
            ..GuestConfig::new(name, index)
        };
        Vmm::start(&lab, config)
    };
    let (busy, idle) = (start("busy", 1)?, start("idle", 2)?);
    let options = Options {
        hooks: &[],
        packets: Packets::Wanted,
        exact: ExactChoice::Off,
        connect: None,
        bpf_log: false,
    };
    lab.host().try_run(|| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut meter = Meter::start(&options).await?;
            let before_first = kernels_own(busy.pid())?;
            let first = meter.read(Duration::ZERO).await?;
            let after_first = kernels_own(busy.pid())?;
            let flow = TcpFlow::start(&host, &busy.endpoint(), TcpOptions::new(Family::V4, 0))?;
            while kernels_own(busy.pid())? < after_first + 200_000_000 {
                std::thread::sleep(Duration::from_millis(10));
            }
            let before_last = kernels_own(busy.pid())?;
            let last = meter.read(Duration::ZERO).await?;
            let after_last = kernels_own(busy.pid())?;
            flow.stop()?;
            let window = Window::between(&first, &last);
            let used = |name: &str| -> Result<u64> {
                let vm = window
                    .vms
                    .get(name)
                    .with_context(|| format!("no VM {name}"))?;
                let used = vm.cpu_ns.known().copied();
                used.with_context(|| format!("{name}: {:?}", vm.cpu_ns.reason()))
            };
            let bounds = before_last - after_first..=after_last - before_first;
            let told = used("busy")?;
            ensure!(
                bounds.contains(&told),
                "{told} ns, the kernel's is {bounds:?}"
            );
            ensure!(used("idle")? < told, "the other VM does nothing");
            let host = window.cpu.known().context("/proc/stat")?;
            ensure!(host.busy_ns() > 0);
            drop(idle);
            Ok(())
        })
    })
}

/// CPU time of all threads of a process, nanoseconds.
fn kernels_own(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("the name is in brackets")?;
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || -> Result<u64> { Ok(fields.next().context("a field")?.parse()?) };
    let ticks = ticks()? + ticks()?;
    let per_s = sysconf(SysconfVar::CLK_TCK)?.context("ticks")?;
    Ok(ticks * (1_000_000_000 / u64::try_from(per_s)?))
}
