//! What devices carried in an interval.

use super::grown;
use crate::sample::{DiskStats, NicStats};

/// Declares the differences between two totals, and their sum over devices.
macro_rules! deltas {
    ($(#[$doc:meta])* $name:ident of $stats:ident {
        $($(#[$field_doc:meta])* $field:ident,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Option<u64>,)*
        }

        impl $name {
            /// The differences; none where a counter fell or is not known.
            pub(super) fn between(now: &$stats, before: &$stats) -> Self {
                Self {
                    $($field: grown(now.$field, before.$field),)*
                }
            }

            /// The sum, of what is known.
            pub(super) fn plus(self, other: Self) -> Self {
                Self {
                    $($field: match (self.$field, other.$field) {
                        (Some(one), Some(two)) => Some(one.saturating_add(two)),
                        (one, two) => one.or(two),
                    },)*
                }
            }
        }
    };
}

deltas! {
    /// Requests and bytes of disks in an interval.
    DiskDelta of DiskStats {
        /// Requests to read.
        read_requests,
        /// Bytes read.
        read_bytes,
        /// Requests to write.
        write_requests,
        /// Bytes written.
        write_bytes,
    }
}

deltas! {
    /// Frames and bytes of network cards in an interval, from the guest's side.
    NicDelta of NicStats {
        /// Bytes received.
        rx_bytes,
        /// Frames received.
        rx_packets,
        /// Errors while receiving.
        rx_errors,
        /// Frames dropped before they were received.
        rx_drops,
        /// Bytes sent.
        tx_bytes,
        /// Frames sent.
        tx_packets,
        /// Errors while sending.
        tx_errors,
        /// Frames dropped while sending.
        tx_drops,
    }
}
