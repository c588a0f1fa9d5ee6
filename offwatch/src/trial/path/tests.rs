//! What the kernel cannot be made to have in a test of a namespace.

use std::collections::BTreeMap;

use super::{Network, Passed};
use crate::{
    facts::{
        device::Device,
        topology::{Bridge, Lower, Peer, Topology},
    },
    inventory::neighbours::{Forwarding, Mac},
    sample::Kind,
};

const ROUTER: Mac = [2, 0, 0, 0, 0, 1];
const OTHER: Mac = [2, 0, 0, 0, 0, 2];

fn device(ifindex: u32, kind: &str) -> Device {
    Device {
        ifindex,
        dev: format!("dev{ifindex}"),
        kind: Kind::Other(kind.to_owned()),
        ..Device::default()
    }
}

fn port(ifindex: u32, master: u32) -> Device {
    Device {
        master: Some(master),
        ..device(ifindex, "dummy")
    }
}

fn on(ifindex: u32, kind: &str, lower: Lower) -> Device {
    Device {
        lower: Some(lower),
        ..device(ifindex, kind)
    }
}

fn bridge(ifindex: u32, ports: &[u32]) -> Device {
    Device {
        topology: Topology::Bridge(Bridge::default()),
        ports: ports.to_vec(),
        ..device(ifindex, "bridge")
    }
}

fn known(devices: Vec<Device>) -> BTreeMap<u32, Device> {
    let devices = devices.into_iter();
    devices.map(|device| (device.ifindex, device)).collect()
}

/// Interfaces that frames surely, and perhaps, pass that leave by number 1.
fn leaving(
    devices: Vec<Device>,
    forwarding: &[(u32, u32, Mac)],
    to: Option<Mac>,
) -> (Vec<u32>, Vec<u32>) {
    let forwarding = forwarding
        .iter()
        .map(|&(bridge, port, mac)| Forwarding { bridge, port, mac });
    let network = Network {
        devices: &known(devices),
        forwarding: &forwarding.collect::<Vec<_>>(),
    };
    let mut passed = Passed::default();
    passed.leaving(&network, 1, to);
    let perhaps = passed.perhaps.into_keys().collect();
    (passed.surely.into_iter().collect(), perhaps)
}

#[test]
fn a_bridge_tells_the_port_only_if_it_has_seen_the_neighbour() {
    let devices = || vec![bridge(1, &[2, 3]), port(2, 1), port(3, 1)];
    let seen = [(1, 2, ROUTER), (1, 3, OTHER), (9, 3, ROUTER)];
    assert_eq!(leaving(devices(), &seen, Some(ROUTER)).0, [1, 2]);
    let either = (vec![1], vec![2, 3]);
    assert_eq!(leaving(devices(), &seen, None), either);
    assert_eq!(leaving(devices(), &[], Some(ROUTER)), either);
}

#[test]
fn a_veth_leads_to_the_port_beyond_its_other_end() {
    let end = Device {
        topology: Topology::Veth(Peer::Here(2)),
        ..device(1, "veth")
    };
    let devices = vec![
        end,
        port(2, 5),
        bridge(5, &[2, 3, 4]),
        port(3, 5),
        port(4, 5),
    ];
    let passed = leaving(devices, &[(5, 3, ROUTER)], Some(ROUTER));
    assert_eq!(passed, (vec![1, 2, 3], vec![]));
}

#[test]
fn below_a_tunnel_the_neighbour_is_another_one() {
    let below = |kind| vec![on(1, kind, Lower::Link(2)), bridge(2, &[3]), port(3, 2)];
    let seen = [(2, 3, ROUTER)];
    let vlan = leaving(below("vlan"), &seen, Some(ROUTER));
    assert_eq!(vlan, (vec![1, 2, 3], vec![]));
    let vxlan = leaving(below("vxlan"), &seen, Some(ROUTER));
    assert_eq!(vxlan, (vec![1, 2], vec![3]));
    let somewhere = vec![on(1, "wireguard", Lower::Varies), device(2, "dummy")];
    assert_eq!(leaving(somewhere, &[], None), (vec![1], vec![1, 2]));
}

#[test]
fn open_vswitch_may_use_any_of_its_ports() {
    let devices = vec![
        device(1, "openvswitch"),
        device(2, "openvswitch"),
        port(3, 2),
        device(4, "dummy"),
    ];
    assert_eq!(leaving(devices, &[], Some(ROUTER)), (vec![1], vec![3]));
}

#[test]
fn a_vrf_does_not_lead_to_all_of_its_interfaces() {
    let vrf = Device {
        ports: vec![2],
        ..device(1, "vrf")
    };
    let passed = leaving(vec![vrf, port(2, 1)], &[], Some(ROUTER));
    assert_eq!(passed, (vec![1], vec![]));
}
