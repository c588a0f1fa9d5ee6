//! Requests and bytes of a VM's disks, which come and go. Only libvirt tells them.

use crate::sample::DiskStats;

/// Requests read and written, bytes read and written.
type Values = [Option<u64>; 4];

/// All disks together since the start of the VM, also those that are gone.
#[derive(Debug, Default)]
pub(super) struct DiskTotals {
    totals: [u64; 4],
    /// The disks of the last time, with the last known values of each.
    disks: Vec<(String, Values)>,
}

impl DiskTotals {
    /// The totals with what is told now; none where a disk does not tell it.
    pub(super) fn advance(&mut self, now: &[DiskStats]) -> Values {
        let before = std::mem::take(&mut self.disks);
        let mut told = [true; 4];
        for disk in now {
            let known = before.iter().find(|(name, _)| *name == disk.name);
            let known = known.map_or([None; 4], |(_, values)| *values);
            let mut values = values(disk);
            for (at, value) in values.iter_mut().enumerate() {
                match (*value, known[at]) {
                    (Some(now), known) => self.totals[at] += grown(now, known),
                    // A guest that is busy tells nothing for a while.
                    (None, known) => {
                        told[at] = false;
                        *value = known;
                    }
                }
            }
            self.disks.push((disk.name.clone(), values));
        }
        let totals = self.totals;
        std::array::from_fn(|at| told[at].then_some(totals[at]))
    }
}

/// Disks count from the VM's start, or from when they were plugged in: one that counts
/// less than before is another one of that name.
fn grown(now: u64, known: Option<u64>) -> u64 {
    known
        .and_then(|known| now.checked_sub(known))
        .unwrap_or(now)
}

fn values(disk: &DiskStats) -> Values {
    [
        disk.read_requests,
        disk.write_requests,
        disk.read_bytes,
        disk.write_bytes,
    ]
}
