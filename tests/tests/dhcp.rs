//! DHCP, as far as it tells of checksums: clients that ask, and answers that
//! reach the tap with a checksum that is still to be computed.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};
use offwatch_tests::{
    Lab, Netns,
    host::BRIDGE,
    link::set_features,
    observer::{Observer, Seen, grown, hooks},
    skip_unless_lab,
};

const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const FIELD: &str = "dhcp_packets_total";

/// Sends UDP from a port to each of some places.
fn send(ns: &Netns, from: u16, to: &[(Ipv4Addr, u16)]) -> Result<()> {
    ns.try_run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, from)).context("bind")?;
        socket.set_broadcast(true)?;
        // Without a route to everybody, it needs to be told the interface.
        let device = if from == CLIENT { "eth0" } else { BRIDGE };
        setsockopt(&socket, sockopt::BindToDevice, &device.into()).context("SO_BINDTODEVICE")?;
        for (address, port) in to {
            // BOOTP frames have 300 bytes at least.
            let sent = socket.send_to(&[1; 300], SocketAddrV4::new(*address, *port));
            sent.with_context(|| format!("send to {address}:{port}"))?;
        }
        Ok(())
    })
}

#[test]
fn clients_and_answers_without_checksum_are_counted() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&["tp", "raw", "tc"]) {
        counted(hook)?;
    }
    Ok(())
}

fn counted(hook: &str) -> Result<()> {
    let mut lab = Lab::new()?;
    lab.add_guests(&["db"])?;
    lab.host_endpoint()?;
    let guest = lab.guest(0);
    let (everybody, server) = (Ipv4Addr::BROADCAST, Ipv4Addr::new(198, 18, 255, 254));
    let observer = Observer::start(lab.host(), &["--hook", hook])?;
    lab.wait_quiet()?;
    let before = Seen::of(&observer.now()?, guest)?;

    // A client that does not know its server asks everybody, and only that counts.
    let asked = [(everybody, SERVER), (everybody, 69), (server, SERVER)];
    send(guest.ns(), CLIENT, &asked.repeat(3))?;
    // Nothing else than an answer to a client counts.
    let client = guest.config().ip4;
    let answered = [(client, CLIENT), (everybody, CLIENT), (client, 69)];
    send(lab.host(), SERVER, &answered.repeat(2))?;
    // The host computes checksums itself.
    set_features(lab.host(), BRIDGE, &["tx", "off"])?;
    send(lab.host(), SERVER, &[(client, CLIENT)])?;

    lab.wait_quiet()?;
    let after = Seen::of(&observer.now()?, guest)?;
    assert_eq!(grown(&after.from_vm, &before.from_vm, FIELD)?, 3, "{hook}");
    assert_eq!(grown(&after.to_vm, &before.to_vm, FIELD)?, 4, "{hook}");
    Ok(())
}
