//! Checksums that are still to be computed, and who minds.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use offwatch::advise::{catalogue, rule::Check};
use offwatch_tests::guest::Endpoint;

use super::bank::{Expect, Expected, Fix, Going, Scenario, Scene, Seen, all_whole, both_ways};

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
/// the client, which takes that for wrong, asks again and again. Nobody counts
/// ports, so offwatch cannot tell; it must not blame offloads for anything.
fn dhcp_client_that_retries() -> Scenario {
    Scenario {
        build: || Scene::of(&["old", "db"]),
        traffic: |scene, going| dhcp(scene, going, Client::Retries),
        condition: replies_are_partial,
        expect: Expect::Keep(vec![Expected::keep("bad-cksum-in-captures", "host")]),
        fix: Fix::None,
    }
}

/// The same with a client that takes the reply.
fn dhcp_client_that_does_not_care() -> Scenario {
    Scenario {
        traffic: |scene, going| dhcp(scene, going, Client::Takes),
        ..dhcp_client_that_retries()
    }
}

/// What a client makes of a reply with a partial checksum.
#[derive(Clone, Copy, PartialEq)]
enum Client {
    /// It drops it.
    Retries,
    /// It takes it, and renews its lease now and then.
    Takes,
}

fn replies_are_partial(scene: &Scene, seen: &Seen) -> Result<()> {
    // If it can be told one day, these scenarios are to expect it.
    let rule = catalogue::find("dhcp-partial").context("no rule about it")?;
    ensure!(matches!(rule.check, Check::Unseen(_)), "DHCP is seen now");
    let partial = seen.port(scene.tap("old")?, |port| port.to.partial_packets)?;
    ensure!(partial > 100, "{partial} replies with a partial checksum");
    Ok(())
}

/// Requests of a guest and the host's replies, beside the traffic of the guests.
fn dhcp(scene: &Scene, going: &Going, client: Client) -> Result<()> {
    const REPLY: [u8; 300] = [2; 300];
    const REQUEST: [u8; 300] = [1; 300];
    let server = bound(&scene.lab.host_endpoint()?, 67)?;
    let asking = bound(&scene.end("old")?, 68)?;
    let flows = both_ways(scene, "old", "db")?;
    let (to_server, to_client) = (server.local_addr()?, asking.local_addr()?);
    let mut replies: u64 = 0;
    going.again(|| {
        asking.send_to(&REQUEST, to_server).context("a request")?;
        server.send_to(&REPLY, to_client).context("a reply")?;
        replies += 1;
        if client == Client::Takes {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    })?;
    ensure!(replies > 3, "{replies} replies");
    going.keep(flows)
}

fn bound(at: &Endpoint, port: u16) -> Result<UdpSocket> {
    let address = SocketAddr::new(at.ip4.into(), port);
    at.ns
        .run(|| UdpSocket::bind(address))?
        .with_context(|| format!("binding to {address}"))
}

scenarios!(
    capture_false_alarm,
    dhcp_client_that_retries,
    dhcp_client_that_does_not_care,
);
