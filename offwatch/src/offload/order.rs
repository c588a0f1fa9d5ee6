//! The order of rows.

use std::cmp::Ordering;

use super::Figures;

/// What rows are ordered by. Names come in ascending order, numbers in
/// descending order, rows without a number last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// Bits per second, both directions together.
    #[default]
    Rate,
    /// Received bits per second.
    NetRx,
    /// Sent bits per second.
    NetTx,
    /// Packets per second, both directions together.
    Pps,
    /// Share of bytes in GSO frames, both directions together.
    Gso,
    /// Segments cut in software.
    SwSeg,
    /// Bytes checksummed in software.
    Csum,
    /// Dropped frames.
    Drops,
    /// Name.
    Name,
}

impl Key {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 9] = [
        Self::Rate,
        Self::NetRx,
        Self::NetTx,
        Self::Pps,
        Self::Gso,
        Self::SwSeg,
        Self::Csum,
        Self::Drops,
        Self::Name,
    ];

    fn value(self, figures: &Figures) -> Option<f64> {
        let both = || figures.rx.plus(figures.tx);
        match self {
            Self::Rate => both().bytes_per_s,
            Self::NetRx => figures.rx.bytes_per_s,
            Self::NetTx => figures.tx.bytes_per_s,
            Self::Pps => both().packets_per_s,
            Self::Gso => both().gso_share(),
            Self::SwSeg => figures.software_segments_per_s,
            Self::Csum => figures.software_checksum_bytes_per_s,
            Self::Drops => figures.drops_per_s,
            Self::Name => None,
        }
    }
}

/// A key and a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What is compared.
    pub key: Key,
    /// The other way round; rows without a number stay last.
    pub reversed: bool,
}

impl Order {
    /// How two rows compare, each with its name. Equal numbers go by name.
    pub fn compare(self, one: (&Figures, &str), other: (&Figures, &str)) -> Ordering {
        let by_name = one.1.cmp(other.1);
        if self.key == Key::Name {
            return if self.reversed {
                by_name.reverse()
            } else {
                by_name
            };
        }
        let by_value = match (self.key.value(one.0), self.key.value(other.0)) {
            (Some(one), Some(other)) if self.reversed => one.total_cmp(&other),
            (Some(one), Some(other)) => other.total_cmp(&one),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_value.then(by_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload::Flow;

    fn figures(segments: Option<f64>) -> Figures {
        Figures {
            software_segments_per_s: segments,
            rx: Flow {
                bytes_per_s: Some(100.0),
                gso_bytes_per_s: Some(100.0),
                ..Flow::default()
            },
            tx: Flow {
                bytes_per_s: Some(300.0),
                gso_bytes_per_s: Some(0.0),
                ..Flow::default()
            },
            ..Figures::default()
        }
    }

    fn sorted(key: Key, reversed: bool) -> String {
        let mut rows = vec![
            (figures(Some(5.0)), "d"),
            (figures(None), "a"),
            (figures(Some(9.0)), "c"),
            (figures(Some(5.0)), "b"),
        ];
        let order = Order { key, reversed };
        rows.sort_by(|one, other| order.compare((&one.0, one.1), (&other.0, other.1)));
        rows.iter().map(|row| row.1).collect()
    }

    #[test]
    fn numbers_descend_and_unknown_ones_are_last() {
        assert_eq!(sorted(Key::SwSeg, false), "cbda");
        assert_eq!(sorted(Key::SwSeg, true), "bdca");
        assert_eq!(sorted(Key::Name, false), "abcd");
        assert_eq!(sorted(Key::Name, true), "dcba");
    }

    #[test]
    fn both_directions_count() {
        assert_eq!(Key::Rate.value(&figures(None)), Some(400.0));
        assert_eq!(Key::Gso.value(&figures(None)), Some(0.25));
    }
}
