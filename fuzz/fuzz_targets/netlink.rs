//! What the kernel answers and notifies over ethtool netlink: any bytes are read, or
//! refused with an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use netlink_packet_generic::GenlMessage;
use offwatch::{
    inventory::{
        features::message::Message,
        netlink::{Said, read_datagram},
    },
    sample::offloads::FeatureSet,
};

fuzz_target!(|datagram: &[u8]| {
    let mut said = Said::default();
    // The number of the first message's request, so that it is not passed over.
    let sequence = datagram
        .get(8..12)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_ne_bytes);
    let _ = read_datagram(datagram, sequence, &mut said, |message: GenlMessage<Message>| {
        let message = message.payload;
        let _ = (message.ifindex(), message.features());
        let _ = (message.is_features_changed(), message.is_set_reply());
        if let Ok(reply) = message.set_reply() {
            assert!(reply.changed.iter().all(|bit| bit < FeatureSet::BITS));
        }
        if let Ok(names) = message.feature_names() {
            assert!(names.0.len() <= FeatureSet::BITS);
            for (bit, name) in names.0.iter().enumerate() {
                assert!(names.bit(name).is_some_and(|first| first <= bit));
            }
        }
    });
});
