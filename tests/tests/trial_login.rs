//! What carries the session of the user is found, and nothing else.

use anyhow::{Context as _, Result, ensure};
use offwatch::trial::login::{self, LoginError};
use offwatch_tests::{
    Lab, Netns,
    command::{ip_batch, run},
    host::BRIDGE,
    link,
    login::{Login, in_session},
    observer,
    peer::{Peer, UPLINK},
    skip::left_out,
    skip_unless_lab,
    tap::Tap,
};

/// What is told of an interface.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Carries,
    Unknown,
    Free,
}

use Told::{Carries, Free, Unknown};

/// Checks what is told of interfaces to a session from `client` to `server`.
fn expect(ns: &Netns, client: &str, server: &str, expected: &[(&str, Told)]) -> Result<()> {
    let login = Login::start(ns, client, server)?;
    for (dev, expected) in expected {
        let ifindex = link::ifindex(ns, dev)?;
        let told = ns.run(|| login::check_of(login.pid(), &[ifindex]))?;
        let summary = match &told {
            Ok(()) => Free,
            Err(LoginError::Carries { dev: named, .. }) if named == dev => Carries,
            Err(LoginError::Unknown { dev: named, .. }) if named == dev => Unknown,
            Err(other) => return Err(other.clone().into()),
        };
        ensure!(
            summary == *expected,
            "{dev}, from {client}: {told:?}, not {expected:?}"
        );
    }
    Ok(())
}

fn ip(ns: &Netns, lines: &[&str]) -> Result<()> {
    ip_batch(
        ns,
        &lines.iter().map(ToString::to_string).collect::<Vec<_>>(),
    )
}

/// Whether this kernel has what an `ip` command needs.
fn can(ns: &Netns, line: &str) -> bool {
    let result = ip(ns, &[line]);
    if result.is_err() {
        left_out(&format!("`ip {line}` is not to be had"));
    }
    result.is_ok()
}

#[test]
fn the_interface_of_the_route_carries_it() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    ip(
        &ns,
        &[
            "link add up0 type veth peer far0",
            "link add other0 type veth peer far1",
            "addr add 192.0.2.1/24 dev up0",
            "addr add 2001:db8::1/64 dev up0 nodad",
            "addr add 198.51.100.1/24 dev other0",
            "link set up0 up",
            "link set far0 up",
            "link set other0 up",
            "link set far1 up",
            "route add 203.0.113.0/24 via 192.0.2.254",
            "route add 2001:db8:1::/64 via 2001:db8::fe",
        ],
    )?;
    for (client, server) in [
        ("192.0.2.7", "192.0.2.1"),
        ("203.0.113.7", "192.0.2.1"),
        ("::ffff:203.0.113.7", "::ffff:192.0.2.1"),
        ("2001:db8::7", "2001:db8::1"),
        ("2001:db8:1::7", "2001:db8::1"),
        ("fe80::7%up0", "fe80::1%up0"),
    ] {
        // The other end of the pair is here, too.
        let expected = [("up0", Carries), ("far0", Carries), ("other0", Free)];
        expect(&ns, client, server, &expected)?;
    }
    // It arrives where its address is, whatever way the answers take.
    let both = [("up0", Carries), ("other0", Carries)];
    expect(&ns, "203.0.113.7", "198.51.100.1", &both)?;
    // To this host itself, or from nowhere.
    let none = [("up0", Free), ("other0", Free)];
    expect(&ns, "192.0.2.1", "192.0.2.1", &none)?;
    expect(&ns, "233.252.0.1", "233.252.0.2", &none)
}

#[test]
fn a_rule_of_routing_by_source_is_followed() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    ip(
        &ns,
        &[
            "link add up0 type veth peer far0",
            "link add up1 type veth peer far1",
            "addr add 192.0.2.1/24 dev up0",
            "addr add 198.51.100.1/24 dev up1",
            "link set up0 up",
            "link set far0 up",
            "link set up1 up",
            "link set far1 up",
            "route add default via 192.0.2.254",
            "route add default via 198.51.100.254 table 7",
        ],
    )?;
    let default = [("up0", Carries), ("up1", Free)];
    expect(&ns, "203.0.113.7", "192.0.2.1", &default)?;
    if can(&ns, "rule add from 198.51.100.1 table 7") {
        let other = [("up0", Free), ("up1", Carries)];
        expect(&ns, "203.0.113.7", "198.51.100.1", &other)?;
    }
    Ok(())
}

#[test]
fn of_a_bridge_only_the_port_of_the_next_hop_carries_it() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["router", "other"])?;
    lab.host_endpoint()?;
    let peer = Peer::bridged(&lab)?;
    let (host, own) = (lab.host(), lab.host_endpoint()?);
    let router = lab.guest(0).endpoint();
    let [one, two] = [0, 1].map(|guest| lab.guest(guest).tap());
    let from_guest = [
        (BRIDGE, Carries),
        (one, Carries),
        (two, Free),
        (UPLINK, Free),
    ];
    let address = |ip: std::net::IpAddr| ip.to_string();
    let (own4, own6) = (address(own.ip4.into()), address(own.ip6.into()));
    expect(host, &address(router.ip4.into()), &own4, &from_guest)?;
    expect(host, &address(router.ip6.into()), &own6, &from_guest)?;
    // Behind it.
    let via = format!("route add 203.0.113.0/24 via {}", router.ip4);
    let via6 = format!("route add 2001:db8:1::/64 via {}", router.ip6);
    ip(host, &[&via, &via6])?;
    expect(host, "203.0.113.7", &own4, &from_guest)?;
    expect(host, "2001:db8:1::7", &own6, &from_guest)?;

    // Beyond the uplink, which the bridge itself has to learn; the address of the
    // neighbour is asked for.
    let peer = peer.endpoint();
    let listener = peer
        .ns
        .run(|| std::net::TcpListener::bind((peer.ip4, 0)))??;
    let to = listener.local_addr()?;
    host.run(|| std::net::TcpStream::connect(to))?
        .context("a connection to the peer")?;
    let beyond = [
        (BRIDGE, Carries),
        (UPLINK, Carries),
        (one, Free),
        (two, Free),
    ];
    expect(host, &address(peer.ip4.into()), &own4, &beyond)?;

    // Nobody has this address: the bridge sends it to all its ports.
    let nowhere = [
        (BRIDGE, Carries),
        (UPLINK, Unknown),
        (one, Unknown),
        (two, Unknown),
    ];
    expect(host, "198.18.200.1", &own4, &nowhere)
}

#[test]
fn what_is_below_carries_it_too() -> Result<()> {
    skip_unless_lab!();
    let ns = Netns::new()?;
    link::add_bridge(&ns, BRIDGE)?;
    let taps = [
        Tap::create(&ns, "tap0", 1)?,
        Tap::create(&ns, "tap1", 1)?,
        Tap::create(&ns, "tap2", 1)?,
    ];
    for tap in &taps {
        ip(&ns, &[&format!("link set {} up", tap.name())])?;
    }
    if can(&ns, "link add vlan7 link tap2 type vlan id 7") {
        ip(
            &ns,
            &["addr add 198.51.100.1/24 dev vlan7", "link set vlan7 up"],
        )?;
        let on_tap = [("vlan7", Carries), ("tap2", Carries), ("tap1", Free)];
        expect(&ns, "198.51.100.7", "198.51.100.1", &on_tap)?;

        // A VLAN on a bridge: what it has seen still tells.
        ip(
            &ns,
            &[
                "link set tap0 master br0",
                "link set tap1 master br0",
                "link add vlan8 link br0 type vlan id 8",
                "addr add 192.0.2.1/24 dev vlan8",
                "link set vlan8 up",
                "neigh replace 192.0.2.7 lladdr 02:00:00:00:00:07 nud permanent dev vlan8",
            ],
        )?;
        let fdb = "bridge fdb replace 02:00:00:00:00:07 dev tap1 master static";
        run(&ns, &fdb.split(' ').collect::<Vec<_>>())?;
        let on_bridge = [
            ("vlan8", Carries),
            (BRIDGE, Carries),
            ("tap1", Carries),
            ("tap0", Free),
            ("tap2", Free),
        ];
        expect(&ns, "192.0.2.7", "192.0.2.1", &on_bridge)?;
    }
    if can(&ns, "link add bond7 type bond mode active-backup") {
        ip(
            &ns,
            &[
                "link add slave0 type veth peer far0",
                "link add slave1 type veth peer far1",
                "link set slave0 master bond7",
                "link set slave1 master bond7",
                "addr add 203.0.113.1/24 dev bond7",
                "link set bond7 up",
            ],
        )?;
        let bonded = [
            ("bond7", Carries),
            ("slave0", Carries),
            ("slave1", Carries),
            ("tap0", Free),
        ];
        expect(&ns, "203.0.113.7", "203.0.113.1", &bonded)?;
    }
    Ok(())
}

#[test]
fn a_session_that_ends_in_another_namespace_is_not_cut_off() -> Result<()> {
    skip_unless_lab!();
    let (here, elsewhere) = (Netns::new()?, Netns::new()?);
    let up = [
        "link add up0 type veth peer far0",
        "addr add 192.0.2.1/24 dev up0",
        "link set up0 up",
        "link set far0 up",
    ];
    ip(&here, &up)?;
    expect(&here, "192.0.2.7", "192.0.2.1", &[("up0", Carries)])?;
    let login = Login::start(&elsewhere, "192.0.2.7", "192.0.2.1")?;
    let ifindex = link::ifindex(&here, "up0")?;
    here.run(|| login::check_of(login.pid(), &[ifindex]))??;
    Ok(())
}

#[test]
fn a_trial_is_refused_unless_the_user_insists() -> Result<()> {
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["router"])?;
    let [client, server] = [lab.guest(0).endpoint(), lab.host_endpoint()?];
    let [client, server] = [client, server].map(|end| end.ip4.to_string());
    let directory = tempfile::tempdir()?;
    let run = |more: &[&str]| -> Result<(Option<i32>, String)> {
        let tap = lab.guest(0).tap();
        let args = [
            "trial",
            "--dev",
            tap,
            "--set",
            "tso=off",
            "--seconds",
            "0.2",
        ];
        let mut command = in_session(observer::offwatch(lab.host(), &args)?, &client, &server);
        command.args(["--rounds", "4", "--settle", "0", "--state-dir"]);
        let output = command.arg(directory.path()).args(more).output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code(), told))
    };
    let (code, told) = run(&[])?;
    ensure!(code == Some(1), "{code:?}: {told}");
    ensure!(told.contains("carries your own session"), "{told}");
    ensure!(told.lines().count() == 1, "{told}");
    let (code, told) = run(&["--own-session"])?;
    ensure!(code == Some(0), "{code:?}: {told}");
    Ok(())
}
