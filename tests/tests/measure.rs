//! A window is what the kernel, and the guest's TCP, counted in it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use offwatch::{
    collector::{Options, Packets},
    measure::{Figures, Meter, Reading, Window},
    probe::ExactChoice,
    sample::Hook,
};
use offwatch_tests::{
    GuestConfig, Lab,
    command::run,
    guest::Family,
    skip_unless_lab,
    traffic::{TcpOptions, tcp_stream},
};
use tokio::runtime::{Builder, Runtime};

const HOOKS: &[Hook] = &[Hook::Tp, Hook::Raw, Hook::Tc];
/// Longer than the kernel keeps captured frames to itself.
const PAUSE: Duration = Duration::from_millis(300);

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

async fn start() -> Result<Meter> {
    let options = Options {
        hooks: HOOKS,
        packets: Packets::Wanted,
        exact: ExactChoice::Off,
        connect: None,
        bpf_log: false,
    };
    Ok(Meter::start(&options).await?)
}

fn figures(window: &Window, ifindex: u32) -> Result<&Figures> {
    let found = window.interfaces.get(&ifindex).context("it exists")?;
    let reason = || anyhow!("not measured: {:?}", found.reason());
    found.known().ok_or_else(reason)
}

#[test]
fn a_window_holds_what_was_counted_in_it() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web"])?;
    lab.add_guest(GuestConfig {
        ring_frames: 8,
        ..GuestConfig::new("db", 2)
    })?;
    let [web, db] = [0, 1].map(|guest| lab.guest(guest));
    // A super-frame, even one of TCP's first window, is more segments than the ring has
    // places.
    run(lab.host(), &["ethtool", "-K", db.tap(), "tso", "off"])?;
    lab.host().try_run(|| {
        runtime()?.block_on(async {
            let mut meter = start().await?;
            meter.capture(&[web.ifindex(), db.ifindex()])?;
            let first = meter.read(Duration::ZERO).await?;
            let before = [web.kernel_stats()?, db.kernel_stats()?];
            // Not scaled: TCP takes its time until it sends more than the ring holds.
            let options = TcpOptions::new(Family::V4, 5_000_000);
            tcp_stream(&web.endpoint(), &db.endpoint(), &options)?;
            lab.wait_quiet()?;
            let last = meter.read(PAUSE).await?;
            let after = [web.kernel_stats()?, db.kernel_stats()?];
            let window = Window::between(&first, &last);
            for (guest, (before, after)) in [web, db].iter().zip(before.iter().zip(&after)) {
                let counted = after.since(before);
                let told = figures(&window, guest.ifindex())?;
                assert_eq!(told.ingress.packets, counted.rx_packets, "{}", guest.tap());
                assert_eq!(told.ingress.bytes, counted.rx_bytes, "{}", guest.tap());
                assert_eq!(told.egress.packets, counted.tx_packets, "{}", guest.tap());
                assert_eq!(told.egress.bytes, counted.tx_bytes, "{}", guest.tap());
                let drops = told.egress.drops.known().copied();
                assert_eq!(drops, Some(counted.tx_dropped), "{}", guest.tap());
                assert_eq!(told.features_changed.known(), Some(&0));
            }
            let drops = figures(&window, db.ifindex())?
                .egress
                .drops
                .known()
                .copied();
            ensure!(drops > Some(0), "nothing was lost in a ring of 8 frames");
            // On a machine that is loaded frames may be lost to the capture.
            if let Some(tcp) = figures(&window, db.ifindex())?.egress.tcp.known() {
                assert_eq!(tcp.goodput_bytes(), options.bytes);
                // The end of the stream may be lost twice, and be sent again as one segment.
                ensure!(tcp.again_segments > 0);
                ensure!(tcp.again_segments + 2 >= drops.unwrap_or_default());
                assert_eq!(window.flows[&db.ifindex()].len(), 1);
            }
            let cpu = window.cpu.known().context("/proc/stat")?;
            ensure!(cpu.busy_ns() > 0);

            // Nothing happens but a change of features, of one of them.
            run(lab.host(), &["ethtool", "-K", db.tap(), "gro", "off"])?;
            let next = meter.read(Duration::ZERO).await?;
            let quiet = Window::between(&last, &next);
            let changes = |ifindex| -> Result<Option<u64>> {
                Ok(figures(&quiet, ifindex)?.features_changed.known().copied())
            };
            assert_eq!(changes(web.ifindex())?, Some(0));
            assert_eq!(changes(db.ifindex())?, Some(1));
            assert_eq!(figures(&quiet, db.ifindex())?.packets(), 0);
            Ok(())
        })
    })
}

/// A tap that is made anew, even with its ifindex, has no window.
#[test]
fn an_interface_that_is_made_anew_is_not_measured() -> Result<()> {
    skip_unless_lab!();
    let lab = Lab::new()?;
    let index = 4_000;
    let make = || {
        run(
            lab.host(),
            &[
                "ip", "link", "add", "anew", "index", "4000", "type", "bridge",
            ],
        )
    };
    make()?;
    lab.host().try_run(|| {
        runtime()?.block_on(async {
            let mut meter = start().await?;
            let first: Reading = meter.read(Duration::ZERO).await?;
            let mut before = meter.read(Duration::ZERO).await?;
            figures(&Window::between(&first, &before), index)?;
            // Each time anew, because what is read at once may be older.
            for _ in 0..20 {
                run(lab.host(), &["ip", "link", "del", "anew"])?;
                make()?;
                let now = meter.read(Duration::ZERO).await?;
                let window = Window::between(&before, &now);
                let reason = window.interfaces[&index].reason();
                assert_eq!(reason, Some("it was made within the window"));
                before = now;
            }
            Ok(())
        })
    })
}
