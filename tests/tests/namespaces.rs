//! Hooks see the whole kernel; offwatch counts one network namespace.

use std::time::Duration;

use anyhow::Result;
use offwatch_tests::{
    Lab,
    command::ip_batch,
    frames::FrameSpec,
    guest::Family,
    link,
    observer::{Observer, Seen, hooks, interface, number},
    quiet::wait_until,
    skip_unless_lab,
    tap::Tap,
    udp::{UdpOptions, udp_stream},
};

#[test]
fn taps_with_the_same_name_and_ifindex_do_not_mix() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&["tp", "raw", "tc"]) {
        let (mut busy, mut idle) = (Lab::new()?, Lab::new()?);
        busy.add_guests(&["web", "db"])?;
        idle.add_guests(&["web", "db"])?;
        let (there, here) = (busy.guest(0), idle.guest(0));
        assert_eq!((there.tap(), there.ifindex()), (here.tap(), here.ifindex()));
        let observers = [
            Observer::start(busy.host(), &["--hook", hook])?,
            Observer::start(idle.host(), &["--hook", hook])?,
        ];
        busy.wait_quiet()?;
        idle.wait_quiet()?;
        let before = Seen::of(&observers[1].now()?, here)?;

        let (from, to) = (there.endpoint(), busy.guest(1).endpoint());
        udp_stream(&from, &to, &UdpOptions::new(Family::V4, 5_000, 100))?;
        busy.wait_quiet()?;

        let seen = Seen::of(&observers[0].now()?, there)?;
        assert!(number(&seen.from_vm, "packets_total")? >= 5_000, "{hook}");
        let after = Seen::of(&observers[1].now()?, here)?;
        for field in ["packets_total", "bytes_total"] {
            assert_eq!(
                after.from_vm[field], before.from_vm[field],
                "{hook}: {field} from the VM"
            );
            assert_eq!(
                after.to_vm[field], before.to_vm[field],
                "{hook}: {field} to the VM"
            );
        }
    }
    Ok(())
}

/// An ifindex beyond the array is found by hash.
#[test]
fn high_ifindexes_are_counted() -> Result<()> {
    skip_unless_lab!();
    const HIGH: u32 = 70_000;
    let lab = Lab::new()?;
    let observer = Observer::start(lab.host(), &[])?;
    let tap = Tap::create_at(lab.host(), "high0", HIGH)?;
    assert_eq!(link::ifindex(lab.host(), tap.name())?, HIGH);
    ip_batch(lab.host(), &["link set high0 up".into()])?;
    wait_until("the tap to be shown", Duration::from_secs(10), || {
        Ok(interface(&observer.now()?, tap.name()).is_ok())
    })?;
    let nobody = ([0x52, 0x54, 0, 0, 0, 1], [198, 18, 9, 9].into());
    let (frame, header) = FrameSpec::udp4(nobody, ([0xff; 6], nobody.1), 100).build()?;
    tap.write(&frame, header, 500)?;
    let shown = observer.now()?;
    let received = number(&interface(&shown, tap.name())?["rx"], "packets_total")?;
    assert_eq!(received, 500);
    Ok(())
}
