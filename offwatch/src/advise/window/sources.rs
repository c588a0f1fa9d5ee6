//! Where frames came from for which segments were cut, by bridge.

use std::collections::HashMap;

use offwatch_common::class;

use super::{flow::ratio, port::Port};

/// Frames that were cut, as their senders sent them: behind the cut they are
/// frames like any other.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Segments that were cut for them.
    pub segments: u64,
    /// GSO frames that they sent, cut or not, by protocol.
    pub classes: [u64; class::COUNT],
    /// Frames of 64 KB and more from those that merge to more than is usual.
    pub longest: u64,
    /// The senders, by place in [`super::Window::ports`], the largest first.
    pub ports: Vec<usize>,
    gso_packets: u64,
    gso_segments: u64,
}

/// Frames from this length on are longer than any device takes by default.
const LONGEST: u32 = 65_536;
/// What a super-frame holds where its sender is not known: a TCP frame of 64 KB
/// has 44 segments, one of a slow flow less.
const USUAL_SEGMENTS: f64 = 20.0;

impl Sources {
    /// Of all interfaces, by what they belong to.
    pub(super) fn by_master(ports: &[Port<'_>]) -> HashMap<Option<u32>, Self> {
        let mut sources: HashMap<Option<u32>, Self> = HashMap::new();
        for (index, port) in ports.iter().enumerate() {
            if port.caused_cut() == 0 {
                continue;
            }
            let source = sources.entry(port.found.master).or_default();
            source.segments += port.caused_cut();
            // With the usual limit a frame of 64 KB exceeds this by its header.
            if port.merges_beyond(LONGEST) {
                source.longest += port.from.frames_from(LONGEST);
            }
            source.gso_packets += port.from.gso_packets;
            source.gso_segments += port.from.gso_segments;
            for (sum, count) in source.classes.iter_mut().zip(port.from.classes) {
                *sum += count;
            }
            source.ports.push(index);
        }
        for source in sources.values_mut() {
            let ports_of = |index: &usize| std::cmp::Reverse(ports[*index].caused_cut());
            source.ports.sort_by_key(ports_of);
        }
        sources
    }

    /// They sent frames of a protocol.
    pub fn sent(&self, class: usize) -> bool {
        self.classes[class] != 0
    }

    /// Frames that cutting adds for each segment that comes out.
    pub fn added_frames_per_segment(&self) -> f64 {
        match ratio(self.gso_packets, self.gso_segments) {
            share if share > 0.0 => 1.0 - share,
            _ => 1.0 - 1.0 / USUAL_SEGMENTS,
        }
    }
}
