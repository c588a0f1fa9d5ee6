//! Metrics of interfaces: of VMs' cards from the guest's side, of others from the
//! host's.

use super::{FEATURES, Family, Kind, Values};
use crate::export::{
    exposition::Writer,
    snapshot::{Figure, GSO_SIZE_BOUNDS, GsoSizes, Row},
    value::Value,
};

/// The same metrics twice.
macro_rules! ports {
    (
        traffic { $($figure:ident $name:literal $unit:expr, $help:literal;)* }
        work { $($work:ident $work_name:literal $work_unit:expr, $work_help:literal;)* }
        seconds { $($ns:ident $ns_name:literal, $ns_help:literal;)* }
    ) => {
        /// Those of VMs' cards.
        pub(super) const CARDS: &[Family] = &[
            INFO_OF_CARDS,
            $(Family {
                name: concat!("offwatch_vm_", $name),
                kind: Kind::Counter,
                unit: $unit,
                help: concat!($help, " (from the guest's side)."),
                labels: &["vm", "dev"],
                values: Values::Cards(|row| count(row, Figure::$figure)),
            },)*
            $(Family {
                name: concat!("offwatch_vm_", $work_name),
                kind: Kind::Counter,
                unit: $work_unit,
                help: concat!($work_help, "."),
                labels: &["vm", "dev"],
                values: Values::Cards(|row| count(row, Figure::$work)),
            },)*
            $(Family {
                name: concat!("offwatch_vm_", $ns_name),
                kind: Kind::Counter,
                unit: Some("seconds"),
                help: concat!($ns_help, "; only where it is timed."),
                labels: &["vm", "dev"],
                values: Values::Cards(|row| ns(row, Figure::$ns)),
            },)*
            histogram("offwatch_vm_receive_gso_size_bytes", RECEIVED_BY_GUEST, &["vm", "dev", "le"],
                Values::OfCards(|row, to| sizes(row, row.receive_gso_sizes.as_deref(), to))),
            histogram("offwatch_vm_transmit_gso_size_bytes", SENT_BY_GUEST, &["vm", "dev", "le"],
                Values::OfCards(|row, to| sizes(row, row.transmit_gso_sizes.as_deref(), to))),
            Family {
                name: "offwatch_vm_software_work_approximate",
                kind: Kind::Gauge,
                unit: None,
                help: APPROXIMATE,
                labels: &["vm", "dev"],
                values: Values::Cards(|row| count(row, Figure::SoftwareWorkApproximate)),
            },
            Family {
                name: "offwatch_vm_caused_software_work_approximate",
                kind: Kind::Gauge,
                unit: None,
                help: CAUSED_APPROXIMATE,
                labels: &["vm", "dev"],
                values: Values::Cards(|row| count(row, Figure::CausedApproximate)),
            },
            Family {
                name: "offwatch_vm_drops_by_class",
                kind: Kind::Counter,
                unit: None,
                help: DROPS_BY_CLASS,
                labels: &["vm", "dev", "class"],
                values: Values::OfCards(drops),
            },
            Family {
                name: "offwatch_vm_feature_active",
                kind: Kind::Gauge,
                unit: None,
                help: FEATURE_ACTIVE,
                labels: &["vm", "dev", "feature"],
                values: Values::OfCards(features),
            },
            Family {
                name: "offwatch_vm_feature_changes",
                kind: Kind::Counter,
                unit: None,
                help: FEATURE_CHANGES,
                labels: &["vm", "dev"],
                values: Values::Cards(|row| count(row, Figure::FeatureChanges)),
            },
        ];
        /// Those of other interfaces.
        pub(super) const INTERFACES: &[Family] = &[
            INFO_OF_INTERFACES,
            $(Family {
                name: concat!("offwatch_interface_", $name),
                kind: Kind::Counter,
                unit: $unit,
                help: concat!($help, " (interface of no VM, from the host's side)."),
                labels: &["dev"],
                values: Values::Interfaces(|row| count(row, Figure::$figure)),
            },)*
            $(Family {
                name: concat!("offwatch_interface_", $work_name),
                kind: Kind::Counter,
                unit: $work_unit,
                help: concat!($work_help, "."),
                labels: &["dev"],
                values: Values::Interfaces(|row| count(row, Figure::$work)),
            },)*
            $(Family {
                name: concat!("offwatch_interface_", $ns_name),
                kind: Kind::Counter,
                unit: Some("seconds"),
                help: concat!($ns_help, "; only where it is timed."),
                labels: &["dev"],
                values: Values::Interfaces(|row| ns(row, Figure::$ns)),
            },)*
            histogram("offwatch_interface_receive_gso_size_bytes", RECEIVED_BY_HOST, &["dev", "le"],
                Values::OfInterfaces(|row, to| sizes(row, row.receive_gso_sizes.as_deref(), to))),
            histogram("offwatch_interface_transmit_gso_size_bytes", SENT_BY_HOST, &["dev", "le"],
                Values::OfInterfaces(|row, to| sizes(row, row.transmit_gso_sizes.as_deref(), to))),
            Family {
                name: "offwatch_interface_software_work_approximate",
                kind: Kind::Gauge,
                unit: None,
                help: APPROXIMATE,
                labels: &["dev"],
                values: Values::Interfaces(|row| count(row, Figure::SoftwareWorkApproximate)),
            },
            Family {
                name: "offwatch_interface_caused_software_work_approximate",
                kind: Kind::Gauge,
                unit: None,
                help: CAUSED_APPROXIMATE,
                labels: &["dev"],
                values: Values::Interfaces(|row| count(row, Figure::CausedApproximate)),
            },
            Family {
                name: "offwatch_interface_drops_by_class",
                kind: Kind::Counter,
                unit: None,
                help: DROPS_BY_CLASS,
                labels: &["dev", "class"],
                values: Values::OfInterfaces(drops),
            },
            Family {
                name: "offwatch_interface_feature_active",
                kind: Kind::Gauge,
                unit: None,
                help: FEATURE_ACTIVE,
                labels: &["dev", "feature"],
                values: Values::OfInterfaces(features),
            },
            Family {
                name: "offwatch_interface_feature_changes",
                kind: Kind::Counter,
                unit: None,
                help: FEATURE_CHANGES,
                labels: &["dev"],
                values: Values::Interfaces(|row| count(row, Figure::FeatureChanges)),
            },
        ];
    };
}

const BYTES: Option<&str> = Some("bytes");

ports! {
    traffic {
        ReceivePackets "receive_packets" None,
            "Frames received; a GSO frame is one";
        ReceiveBytes "receive_bytes" BYTES,
            "Bytes received, in whole frames with MAC header and VLAN tag";
        ReceiveGsoPackets "receive_gso_packets" None,
            "GSO frames received: those that stand for several segments";
        ReceiveGsoSegments "receive_gso_segments" None,
            "Segments that the GSO frames received stand for";
        ReceiveGsoBytes "receive_gso_bytes" BYTES,
            "Bytes of the GSO frames received";
        ReceivePartialPackets "receive_partial_packets" None,
            "Frames received whose checksum is still to be computed (CHECKSUM_PARTIAL)";
        ReceiveOversizePackets "receive_oversize_packets" None,
            "Frames received that are not GSO and exceed the MTU of the interface";
        ReceiveDrops "receive_drops" None,
            "Frames to be received that the kernel dropped while they belonged to the interface";
        TransmitPackets "transmit_packets" None,
            "Frames sent; a GSO frame is one";
        TransmitBytes "transmit_bytes" BYTES,
            "Bytes sent, in whole frames with MAC header and VLAN tag";
        TransmitGsoPackets "transmit_gso_packets" None,
            "GSO frames sent: those that stand for several segments";
        TransmitGsoSegments "transmit_gso_segments" None,
            "Segments that the GSO frames sent stand for";
        TransmitGsoBytes "transmit_gso_bytes" BYTES,
            "Bytes of the GSO frames sent";
        TransmitPartialPackets "transmit_partial_packets" None,
            "Frames sent whose checksum is still to be computed (CHECKSUM_PARTIAL)";
        TransmitOversizePackets "transmit_oversize_packets" None,
            "Frames sent that are not GSO and exceed the MTU of the interface";
        TransmitDrops "transmit_drops" None,
            "Frames sent that the kernel dropped while they belonged to the interface";
    }
    work {
        SoftwareSegments "software_segments" None,
            "Segments that the host's CPU cut on the way to the interface; the highest figure seen, where it is a lower bound";
        SoftwareChecksumBytes "software_checksum_bytes" BYTES,
            "Bytes that the host's CPU checksummed on the way to the interface; the highest figure seen, where it is a lower bound";
        CausedSegments "caused_software_segments" None,
            "Segments that the host's CPU cut, on the way to any interface, for frames that came from this one";
        CausedChecksumBytes "caused_software_checksum_bytes" BYTES,
            "Bytes that the host's CPU checksummed, on the way to any interface, for frames that came from this one";
    }
    seconds {
        SegmentationNs "segmentation_seconds",
            "Time that software segmentation took on the way to the interface, interrupts included";
        ChecksumNs "checksum_seconds",
            "Time that software checksums (skb_checksum_help, and CRC32c) took on the way to the interface, without those computed during segmentation";
    }
}

const RECEIVED_BY_GUEST: &str = "GSO frames received by segment size (from the guest's side).";
const SENT_BY_GUEST: &str = "GSO frames sent by segment size (from the guest's side).";
const RECEIVED_BY_HOST: &str =
    "GSO frames received by segment size (interface of no VM, from the host's side).";
const SENT_BY_HOST: &str =
    "GSO frames sent by segment size (interface of no VM, from the host's side).";
const APPROXIMATE: &str =
    "1 if the software work on the way to the interface is a lower bound, else 0.";
const CAUSED_APPROXIMATE: &str =
    "1 if the software work for frames that came from the interface is a lower bound, else 0.";
const DROPS_BY_CLASS: &str = "Frames dropped for what matters to offloads: the guest does not drain its queue \
     (full_ring), the frame could not be segmented or checksummed for the device (validate_xmit), \
     a checksum was wrong (checksum), a GSO frame could not be cut (gso).";
const FEATURE_ACTIVE: &str =
    "Whether an offload feature is on; of a tap, for what the host sends to the guest.";
const FEATURE_CHANGES: &str =
    "How often active features changed, by an administrator or as a guest's driver negotiated.";

const INFO_OF_CARDS: Family = Family {
    name: "offwatch_vm_interface",
    kind: Kind::Info,
    unit: None,
    help: "A network card of a VM: the host's interface behind it, its bridge, and the MAC address \
           that the guest sees.",
    labels: &["vm", "dev", "kind", "bridge", "mac"],
    values: Values::OfCards(|row, to| to.series(&row.info, None, Value::Count(1))),
};

const INFO_OF_INTERFACES: Family = Family {
    name: "offwatch_interface",
    kind: Kind::Info,
    unit: None,
    help: "An interface that belongs to no VM; unowned is true of a tap without a known owner.",
    labels: &["dev", "kind", "bridge", "unowned"],
    values: Values::OfInterfaces(|row, to| to.series(&row.info, None, Value::Count(1))),
};

const fn histogram(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    values: Values,
) -> Family {
    Family {
        name,
        kind: Kind::Histogram,
        unit: BYTES,
        help,
        labels,
        values,
    }
}

fn count(row: &Row, figure: Figure) -> Option<Value> {
    row.figures.get(figure).map(Value::Count)
}

fn ns(row: &Row, figure: Figure) -> Option<Value> {
    row.figures.get(figure).map(Value::Ns)
}

/// Bounds as OpenMetrics has them, in both formats: a label must not depend on it.
const BOUNDS: [&str; GSO_SIZE_BOUNDS.len() + 1] = [
    "511.0", "1023.0", "1279.0", "1535.0", "2047.0", "8191.0", "10239.0", "16383.0", "+Inf",
];

fn sizes(row: &Row, sizes: Option<&GsoSizes>, to: &mut Writer<'_>) {
    let Some(sizes) = sizes else { return };
    for (bound, frames) in BOUNDS.into_iter().zip(sizes) {
        to.series(&row.labels, Some(("le", bound)), Value::Count(*frames));
    }
    to.count(&row.labels, sizes[sizes.len() - 1]);
}

fn drops(row: &Row, to: &mut Writer<'_>) {
    for (class, frames) in offwatch_common::drop_class::NAMES
        .into_iter()
        .zip(row.drops)
    {
        if let Some(frames) = frames {
            to.series(&row.labels, Some(("class", class)), Value::Count(frames));
        }
    }
}

fn features(row: &Row, to: &mut Writer<'_>) {
    for (bit, name) in FEATURES.into_iter().enumerate() {
        if row.features >> bit & 1 == 1 {
            let is_active = row.active >> bit & 1 == 1;
            to.series(&row.labels, Some(("feature", name)), Value::of(is_active));
        }
    }
}
