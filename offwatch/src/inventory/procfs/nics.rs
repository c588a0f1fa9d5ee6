//! The network cards of a process: its command line joined with the taps that
//! it has open.

use std::collections::{BTreeMap, BTreeSet};

use super::Host;
use super::taps::{Tap, Taps};
use crate::inventory::nic::{backend, nic};
use crate::inventory::qemu_args::QemuArgs;
use crate::sample::Nic;

/// Joins the command line's back ends with the taps that are open.
pub(super) fn nics(args: &QemuArgs, taps: &Taps, is_here: bool, host: Host<'_>) -> Vec<Nic> {
    let (taps, is_unreadable) = match taps {
        Taps::Known(taps) => (taps.clone(), false),
        Taps::Unreadable => (BTreeMap::new(), true),
    };
    let mut unclaimed: BTreeSet<Tap> = taps.values().cloned().collect();
    let mut nics = Vec::new();
    let mut unresolved = Vec::new();
    for net in &args.nets {
        if net.backend != backend::TAP {
            nics.push(nic(&net.backend, None, net.mac.clone()));
            continue;
        }
        let by_fd = net.fds.iter().find_map(|fd| taps.get(fd)).cloned();
        let by_name = net.ifname.clone().map(Tap::Name);
        match by_fd.or(by_name) {
            Some(tap) => {
                unclaimed.remove(&tap);
                nics.push(tap_nic(&tap, net.mac.clone(), is_here, host));
            }
            None => unresolved.push((nics.len(), net)),
        }
    }
    // A tap that QEMU opened itself, or a helper did, has no descriptor on the
    // command line. One of each belong together; with more, the MAC addresses
    // could be swapped, so the taps are listed without.
    if let ([(position, net)], 1) = (unresolved.as_slice(), unclaimed.len())
        && let Some(tap) = unclaimed.pop_first()
    {
        nics.insert(*position, tap_nic(&tap, net.mac.clone(), is_here, host));
        unresolved.clear();
    }
    for (_, net) in unresolved.iter().skip(unclaimed.len()) {
        let mut nic = nic(backend::TAP, None, net.mac.clone());
        nic.unobservable = Some(if is_unreadable {
            "tap: reading its interface needs CAP_SYS_PTRACE".to_owned()
        } else {
            "tap: the process holds no interface for it".to_owned()
        });
        nics.push(nic);
    }
    // Hot-plugged ones, and all of a VMM whose command line is not read.
    nics.extend(
        unclaimed
            .iter()
            .map(|tap| tap_nic(tap, None, is_here, host)),
    );
    nics
}

/// The card in front of a tap.
fn tap_nic(tap: &Tap, mac: Option<String>, is_here: bool, host: Host<'_>) -> Nic {
    match tap {
        Tap::Name(dev) if is_here => nic(backend::TAP, Some(dev.clone()), mac),
        Tap::Name(dev) => {
            let mut nic = nic(backend::TAP, None, mac);
            nic.unobservable = Some(format!(
                "tap: {dev} is held by a process of another network namespace"
            ));
            nic
        }
        Tap::Macvtap(ifindex) => {
            let dev = (host.macvtap)(*ifindex).filter(|_| is_here);
            nic(backend::MACVTAP, dev, mac)
        }
    }
}
