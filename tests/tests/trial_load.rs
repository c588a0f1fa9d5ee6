//! The load of a trial: only in a lab, only by the interface, and bounded.

use std::{
    fs,
    io::{self, Read as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use offwatch::trial::{
    Trial,
    load::{Load, LoadError},
};
use offwatch_tests::{Lab, observer, quiet::wait_until, skip::left_out, skip_unless_lab};

const BITS_PER_S: u64 = 40_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn bed() -> Result<Lab> {
    let mut lab = Lab::new()?;
    lab.add_guests(&["sink", "other"])?;
    Ok(lab)
}

fn listen(lab: &Lab) -> Result<(TcpListener, SocketAddr)> {
    let sink = lab.guest(0).endpoint();
    let listener = sink.ns.run(|| TcpListener::bind((sink.ip4, 0)))??;
    let to = listener.local_addr()?;
    Ok((listener, to))
}

#[test]
fn it_is_bounded_and_ends_with_the_trial() -> Result<()> {
    skip_unless_lab!();
    let lab = bed()?;
    let (listener, to) = listen(&lab)?;
    let started = Instant::now();
    let start = || Load::start(to, BITS_PER_S, lab.guest(0).ifindex(), None);
    let load = lab.host().run(start)??;
    let (mut sink, _) = listener.accept()?;
    sink.set_read_timeout(Some(12 * PATIENCE))?;
    let mut buffer = vec![0; 1 << 20];
    let mut received = 0;
    while received < 3_000_000 {
        let read = sink.read(&mut buffer)?;
        ensure!(read > 0, "it has ended: {:?}", load.check());
        received += read;
        // A tenth of a second may be made up for, and what is written at once.
        let most = BITS_PER_S as f64 / 8.0 * (started.elapsed().as_secs_f64() + 0.1) + 65536.0;
        ensure!(received as f64 <= most, "{received} bytes, not {most}");
    }
    load.check()?;
    drop(load);
    while sink.read(&mut buffer)? > 0 {}
    Ok(())
}

#[test]
fn a_trial_measures_it() -> Result<()> {
    skip_unless_lab!();
    let lab = bed()?;
    let (listener, to) = listen(&lab)?;
    let sink = thread::spawn(move || -> Result<u64> {
        let (mut sink, _) = listener.accept()?;
        Ok(io::copy(&mut sink, &mut io::sink())?)
    });
    let directory = tempfile::tempdir()?;
    let (tap, to) = (lab.guest(0).tap(), to.to_string());
    let args = [
        "trial",
        "--json",
        "--dev",
        tap,
        "--no-change",
        "--load",
        &to,
    ];
    let mut command = observer::offwatch(lab.host(), &args)?;
    command.args(["--load-rate", "40M", "--rounds", "4", "--seconds", "0.2"]);
    let output = command.arg("--state-dir").arg(directory.path()).output()?;
    let says = String::from_utf8_lossy(&output.stderr);
    let trial: Trial = serde_json::from_slice(&output.stdout).with_context(|| says.to_string())?;
    ensure!(output.status.success(), "{}: {says}", output.status);
    let received = sink.join().map_err(|_| anyhow!("the sink panicked"))??;
    let measured: u64 = trial.periods.iter().map(|of| of.received.bytes).sum();
    ensure!(measured > 0, "nothing was measured, {received} came");
    // Headers, and what was sent again.
    ensure!(measured < 2 * received, "{measured} of {received}");
    Ok(())
}

#[test]
fn that_it_has_broken_is_told() -> Result<()> {
    skip_unless_lab!();
    let lab = bed()?;
    let (listener, to) = listen(&lab)?;
    let start = || Load::start(to, BITS_PER_S, lab.guest(0).ifindex(), None);
    let load = lab.host().run(start)??;
    let sink: TcpStream = listener.accept()?.0;
    drop((sink, listener));
    wait_until("the load to break", PATIENCE, || Ok(load.check().is_err()))?;
    // Nobody listens any more.
    let again = lab.host().run(start)?;
    ensure!(
        matches!(again, Err(LoadError::Connection { .. })),
        "{again:?}"
    );
    Ok(())
}

#[test]
fn it_goes_to_no_vm_and_by_no_other_interface() -> Result<()> {
    skip_unless_lab!();
    let lab = bed()?;
    let (_listener, to) = listen(&lab)?;
    let [sink, other] = [0, 1].map(|guest| lab.guest(guest).ifindex());
    let start = |ifindex, vm| lab.host().run(|| Load::start(to, BITS_PER_S, ifindex, vm));
    let of_vm = start(sink, Some("web"))?;
    ensure!(matches!(of_vm, Err(LoadError::OfVm { .. })), "{of_vm:?}");
    let elsewhere = start(other, None)?;
    ensure!(
        matches!(elsewhere, Err(LoadError::Elsewhere { .. })),
        "{elsewhere:?}"
    );
    let told = elsewhere.map(drop).unwrap_err().to_string();
    ensure!(told.contains(lab.guest(1).tap()), "{told}");
    if !fs::exists("/proc/sys/net/core/netdev_max_backlog")? {
        left_out("these tests are in a namespace of their own");
        return Ok(());
    }
    let here = Load::start(to, BITS_PER_S, 1, None);
    ensure!(matches!(here, Err(LoadError::NotALab)), "{here:?}");
    Ok(())
}
