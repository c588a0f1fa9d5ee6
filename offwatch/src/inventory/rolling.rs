//! A listing that is read over and over, a bounded part at a time.

use std::io;

use netlink_packet_core::{NetlinkDeserializable, NetlinkSerializable};

use super::netlink::Requests;
use crate::clock::monotonic_ns;

/// When the kernel made an entry of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Not before this, on the monotonic clock.
    pub not_before_ns: u64,
    /// During the present call of [`Rolling::advance`]. The kernel makes each
    /// part when the one before is read, so the first part may be older.
    pub now: bool,
}

/// Lists all interfaces, then again, for a bounded number of system calls each time.
pub struct Rolling<M> {
    requests: Requests<M>,
    request: M,
    /// When the part that comes next was made; `None` between listings.
    next_made_ns: Option<u64>,
}

impl<M: NetlinkSerializable + NetlinkDeserializable + Clone> Rolling<M> {
    /// Reads the answers to `request` on a socket that nobody else uses.
    pub fn new(requests: Requests<M>, request: M) -> Self {
        Self {
            requests,
            request,
            next_made_ns: None,
        }
    }

    /// Reads at most so many datagrams, of about 32 KiB, and no listing that
    /// begins here more than once. After an error the listing begins anew.
    pub fn advance(&mut self, datagrams: usize, mut each: impl FnMut(M, Made)) -> io::Result<()> {
        let result = self.read(datagrams, &mut each);
        if result.is_err() {
            self.next_made_ns = None;
        }
        result
    }

    fn read(&mut self, datagrams: usize, each: &mut impl FnMut(M, Made)) -> io::Result<()> {
        let mut begun = false;
        let mut now = false;
        for _ in 0..datagrams {
            let not_before_ns = match self.next_made_ns {
                Some(made) => made,
                None if begun => break,
                None => {
                    (begun, now) = (true, true);
                    let made = monotonic_ns();
                    self.requests.start_listing(self.request.clone())?;
                    made
                }
            };
            let next_made = monotonic_ns();
            let made = Made { not_before_ns, now };
            let ended = self.requests.receive(|message| each(message, made))?;
            now = true;
            self.next_made_ns = (!ended).then_some(next_made);
        }
        Ok(())
    }
}
