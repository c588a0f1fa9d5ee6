//! Checksums that are still to be computed, and who minds.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use offwatch::advise::{Verdict, advice::Scope};
use offwatch_tests::{
    guest::{Endpoint, GUEST_DEVICE},
    host::BRIDGE,
    link::set_features,
};

use super::bank::{Expect, Expected, Fix, Going, Scenario, Scene, all_whole, both_ways};

/// A capture on the host shows checksums of frames before anyone has computed
/// them.
fn capture_false_alarm() -> Scenario {
    Scenario {
        build: || Scene::of(&["web", "db"]),
        traffic: |scene, going| {
            let _capture = scene.capture()?;
            going.keep(both_ways(scene, "web", "db")?)
        },
        condition: |scene, seen| {
            let partial = seen.port(scene.tap("db")?, |port| port.to.partial_packets)?;
            ensure!(partial > 100, "{partial} frames with a partial checksum");
            all_whole(scene, seen)
        },
        expect: Expect::Keep(vec![Expected::keep("bad-cksum-in-captures", "host")]),
        fix: Fix::None,
    }
}

/// A DHCP server on the host answers with the checksum left to the receiver, and
/// the client, which takes that for wrong, asks again and again.
fn dhcp_client_that_retries() -> Scenario {
    Scenario {
        build: || Scene::of(&["old", "db"]),
        traffic: |scene, going| dhcp(scene, going, Client::Retries),
        condition: |scene, seen| {
            let asked = seen.port(scene.tap("old")?, |port| port.from.dhcp_packets)?;
            let answered = seen.port(scene.tap("old")?, |port| port.to.dhcp_packets)?;
            ensure!(
                asked > 3 && answered > 3,
                "asked {asked}, answered {answered}"
            );
            Ok(())
        },
        expect: Expect::Findings(vec![Expected::finding(
            "dhcp-partial",
            Verdict::Change,
            "old",
            Scope::Host,
            "--dport 68 -j CHECKSUM --checksum-fill",
        )]),
        // A server that sends whole checksums, as netfilter would make them.
        fix: Fix::Played(|scene| set_features(scene.lab.host(), BRIDGE, &["tx", "off"])),
    }
}

/// The same with a client that takes the answer: it asks twice, and no more.
fn dhcp_client_that_does_not_care() -> Scenario {
    Scenario {
        traffic: |scene, going| dhcp(scene, going, Client::Takes),
        condition: |scene, seen| {
            let answered = seen.port(scene.tap("old")?, |port| port.to.dhcp_packets)?;
            ensure!(answered > 0, "{answered} answers with a partial checksum");
            Ok(())
        },
        expect: Expect::Keep(vec![Expected::keep("bad-cksum-in-captures", "host")]),
        fix: Fix::None,
        ..dhcp_client_that_retries()
    }
}

/// What a client makes of an answer with a partial checksum.
#[derive(Clone, Copy, PartialEq)]
enum Client {
    /// It drops it, and asks again.
    Retries,
    /// It takes it.
    Takes,
}

/// Requests of a guest to everybody and the host's answers, beside the traffic
/// of the guests.
fn dhcp(scene: &Scene, going: &Going, client: Client) -> Result<()> {
    const REPLY: [u8; 300] = [2; 300];
    const REQUEST: [u8; 300] = [1; 300];
    let server = bound(&scene.lab.host_endpoint()?, 67, BRIDGE)?;
    let asking = bound(&scene.end("old")?, 68, GUEST_DEVICE)?;
    let flows = both_ways(scene, "old", "db")?;
    let to_client = SocketAddr::new(scene.end("old")?.ip4.into(), 68);
    let mut asked: u64 = 0;
    going.again(|| {
        // The one that takes an answer has its lease after two; the server's
        // answers to others go on.
        if client == Client::Retries || asked < 2 {
            let everybody = (Ipv4Addr::BROADCAST, 67);
            asking.send_to(&REQUEST, everybody).context("a request")?;
            asked += 1;
        }
        server.send_to(&REPLY, to_client).context("an answer")?;
        thread::sleep(Duration::from_millis(10));
        Ok(())
    })?;
    going.keep(flows)
}

/// A socket that sends to everybody, too: it has to be told by which interface.
fn bound(at: &Endpoint, port: u16, device: &str) -> Result<UdpSocket> {
    at.ns.try_run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).context("bind")?;
        socket.set_broadcast(true)?;
        setsockopt(&socket, sockopt::BindToDevice, &device.into()).context("SO_BINDTODEVICE")?;
        Ok(socket)
    })
}

scenarios!(
    capture_false_alarm,
    dhcp_client_that_retries,
    dhcp_client_that_does_not_care,
);
