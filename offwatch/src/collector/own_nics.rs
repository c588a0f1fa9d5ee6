//! A VM's network cards by offwatch's own counters, for want of libvirt's.

use offwatch_common::{Slot, Traffic};

use crate::sample::{Nic, NicStats};

/// What offwatch counts of a VM's cards; none if it sees none of them.
pub(super) fn own_nics(
    cards: &[Nic],
    read: impl Fn(&str) -> Option<(u64, Slot)>,
) -> Option<Vec<NicStats>> {
    let mut nics = Vec::with_capacity(cards.len());
    for card in cards.iter().filter(|card| card.unobservable.is_none()) {
        let Some(dev) = &card.dev else { continue };
        if let Some((generation, slot)) = read(dev) {
            nics.push(own_nic(dev, generation, &slot));
        }
    }
    (!nics.is_empty() || cards.is_empty()).then_some(nics)
}

/// What the host sends to a tap is what the guest receives.
fn own_nic(dev: &str, generation: u64, slot: &Slot) -> NicStats {
    let sum = |traffic: &Traffic| {
        let kinds = traffic.kinds.iter();
        kinds.fold((0, 0), |(packets, bytes), kind| {
            (packets + kind.packets, bytes + kind.bytes)
        })
    };
    let (rx_packets, rx_bytes) = sum(&slot.egress);
    let (tx_packets, tx_bytes) = sum(&slot.ingress);
    NicStats {
        name: dev.to_owned(),
        generation: Some(generation),
        rx_bytes: Some(rx_bytes),
        rx_packets: Some(rx_packets),
        tx_bytes: Some(tx_bytes),
        tx_packets: Some(tx_packets),
        ..NicStats::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(dev: &str) -> Nic {
        Nic {
            dev: Some(dev.into()),
            ..Nic::default()
        }
    }

    #[test]
    fn received_is_what_the_host_sent_to_the_tap() {
        let mut slot = Slot::default();
        for (at, kind) in slot.egress.kinds.iter_mut().enumerate() {
            (kind.packets, kind.bytes) = (1 << at, 100 << at);
        }
        (slot.ingress.kinds[3].packets, slot.ingress.kinds[3].bytes) = (7, 70);
        let read = |dev: &str| (dev == "tap0").then_some((5, slot));
        let hidden = Nic {
            unobservable: Some("vfio".into()),
            ..card("tap0")
        };
        let nics = own_nics(&[card("tap0"), card("gone0"), hidden], read);
        let expected = NicStats {
            name: "tap0".into(),
            generation: Some(5),
            rx_bytes: Some(1500),
            rx_packets: Some(15),
            tx_bytes: Some(70),
            tx_packets: Some(7),
            ..NicStats::default()
        };
        assert_eq!(nics, Some(vec![expected]));
    }

    #[test]
    fn no_card_is_known_and_an_unseen_card_is_not() {
        let unseen = |_: &str| None;
        assert_eq!(own_nics(&[], unseen), Some(Vec::new()));
        assert_eq!(own_nics(&[card("tap0")], unseen), None);
        assert_eq!(own_nics(&[Nic::default()], unseen), None);
    }
}
