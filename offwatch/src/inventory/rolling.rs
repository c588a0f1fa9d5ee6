//! A listing that is read over and over, a bounded part at a time.

use std::io;

use netlink_packet_core::{NetlinkDeserializable, NetlinkSerializable};

use super::netlink::{Datagrams, Requests};
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

/// Lists all interfaces, then again, a part each time: with one system call, and
/// another one where a listing begins.
pub struct Rolling<M> {
    requests: Requests<M>,
    request: M,
    datagrams: Datagrams,
    /// When the part that comes next was made; `None` between listings.
    next_made_ns: Option<u64>,
}

impl<M: NetlinkSerializable + NetlinkDeserializable + Clone> Rolling<M> {
    /// Reads the answers to `request` on a socket that nobody else uses, so many
    /// datagrams, of about 32 KiB, at a time.
    pub fn new(requests: Requests<M>, request: M, datagrams: usize) -> Self {
        Self {
            requests,
            request,
            datagrams: Datagrams::new(datagrams),
            next_made_ns: None,
        }
    }

    /// Reads the next part. After an error the listing begins anew.
    pub fn advance(&mut self, mut each: impl FnMut(M, Made)) -> io::Result<()> {
        let next_made_ns = self.next_made_ns.take();
        let is_begun = next_made_ns.is_some();
        let first_ns = match next_made_ns {
            Some(made) => made,
            None => {
                let made = monotonic_ns();
                self.requests.start_listing(self.request.clone())?;
                made
            }
        };
        let others_ns = monotonic_ns();
        let ended = self
            .requests
            .receive_into(&mut self.datagrams, |place, message| {
                let made = match place {
                    0 => Made {
                        not_before_ns: first_ns,
                        now: !is_begun,
                    },
                    _ => Made {
                        not_before_ns: others_ns,
                        now: true,
                    },
                };
                each(message, made);
            })?;
        self.next_made_ns = (!ended).then_some(others_ns);
        Ok(())
    }
}
