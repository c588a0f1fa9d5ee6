//! Hooks see the whole kernel; offwatch counts one network namespace.

use anyhow::Result;
use offwatch_tests::{
    Lab,
    guest::Family,
    link,
    observer::{Observer, Seen, interface, number},
    skip_unless_lab,
    udp::{UdpOptions, udp_blast, udp_stream},
};

#[test]
fn taps_with_the_same_name_and_ifindex_do_not_mix() -> Result<()> {
    skip_unless_lab!();
    for hook in ["tp", "raw", "tc"] {
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
    let other = offwatch_tests::Netns::new()?;
    let path = other.path();
    offwatch_tests::command::ip_batch(
        lab.host(),
        &[
            format!("link add ow0 index {HIGH} type veth peer name eth0"),
            format!("link set eth0 netns {}", path.display()),
            "link set ow0 master br0".into(),
            "link set ow0 up".into(),
        ],
    )?;
    offwatch_tests::command::ip_batch(
        &other,
        &[
            "addr add 198.18.7.7/16 dev eth0".into(),
            "link set eth0 up".into(),
        ],
    )?;
    assert_eq!(link::ifindex(lab.host(), "ow0")?, HIGH);
    let observer = Observer::start(lab.host(), &[])?;
    let (seen_before, kernel_before) = (observer.now()?, link::stats(lab.host(), "ow0")?);
    let from = offwatch_tests::Endpoint {
        ns: other,
        ip4: [198, 18, 7, 7].into(),
        ip6: std::net::Ipv6Addr::LOCALHOST,
    };
    let _sink = udp_blast(&from, &lab.host_endpoint()?, Family::V4, 500, 200)?;
    let packets = || Ok::<_, anyhow::Error>(link::stats(lab.host(), "ow0")?.rx_packets);
    offwatch_tests::quiet::wait_still(
        std::time::Duration::from_millis(200),
        std::time::Duration::from_secs(10),
        || packets().unwrap_or(0),
    )?;
    let (seen, kernel) = (observer.now()?, link::stats(lab.host(), "ow0")?);
    let received =
        |model| -> Result<u64> { number(&interface(model, "ow0")?["rx"], "packets_total") };
    let grown = received(&seen)? - received(&seen_before)?;
    assert!(grown >= 500, "only {grown}");
    assert_eq!(grown, kernel.since(&kernel_before).rx_packets);
    Ok(())
}
