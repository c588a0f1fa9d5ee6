//! Requests to the kernel over netlink.
//!
//! The kernel serves a request inside `send`, and makes each part of a listing
//! inside the `recv` before, so every answer is there at once: nothing here
//! waits, and nothing is gained by a task that does: an answer that is not there
//! is an error at once.

use std::{
    io::{self, IoSliceMut},
    marker::PhantomData,
    os::fd::AsRawFd as _,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NlasIterator, parse_string,
};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg};

/// The largest part of a listing that the kernel makes, with room.
const BUFFER_BYTES: usize = 64 << 10;
const ALIGNMENT: usize = 4;
const REQUEST_HEADER_BYTES: usize = 16;

/// A socket for requests with messages of type `M`.
pub struct Requests<M> {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
    said: Said,
    messages: PhantomData<fn(M) -> M>,
}

/// What the kernel said beside the answers to a request.
#[derive(Debug, Default)]
pub struct Said {
    /// Of a refusal, in its own words.
    pub refusal: Option<String>,
    /// What is listed changed between two parts of the listing (`NLM_F_DUMP_INTR`):
    /// before about Linux 6.9 one that is there all the time may be missing.
    pub interrupted: bool,
}

impl<M: NetlinkSerializable + NetlinkDeserializable> Requests<M> {
    /// Opens a socket for one of [`netlink_sys::protocols`].
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Both are older than any kernel that has BTF. Without the request in it
        // a refusal is read the same however long the request was.
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            said: Said::default(),
            messages: PhantomData,
        })
    }

    /// What the kernel said about the last refusal, in its own words.
    pub fn told(&self) -> Option<&str> {
        self.said.refusal.as_deref()
    }

    /// The last listing was interrupted, see [`Said`].
    pub fn was_interrupted(&self) -> bool {
        self.said.interrupted
    }

    /// Asks for one thing. The kernel's refusal is the error.
    pub fn request(&mut self, message: M) -> io::Result<Vec<M>> {
        self.send(message, NLM_F_ACK)?;
        self.rest()
    }

    /// Asks for all of a kind.
    pub fn list(&mut self, message: M) -> io::Result<Vec<M>> {
        self.start_listing(message)?;
        self.rest()
    }

    /// Shows all of a kind, one after the other. As messages, ten thousand interfaces
    /// take 150 MB.
    pub fn each(&mut self, message: M, mut each: impl FnMut(M)) -> io::Result<()> {
        self.start_listing(message)?;
        while !self.receive(&mut each)? {}
        Ok(())
    }

    /// Begins a listing, to be read by [`Self::receive`]. Another request
    /// before its end abandons it.
    pub fn start_listing(&mut self, message: M) -> io::Result<()> {
        self.send(message, NLM_F_DUMP)
    }

    /// Reads one datagram of the answer; `true` if it was the last one.
    pub fn receive(&mut self, each: impl FnMut(M)) -> io::Result<bool> {
        self.buffer.clear();
        loop {
            match self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    result?;
                    break;
                }
            }
        }
        read_datagram(&self.buffer, self.sequence, &mut self.said, each)
    }

    /// Reads, with one system call, as many datagrams of the answer as are there and
    /// `into` has room for; `true` if the last one was among them. Each message comes
    /// with the place of its datagram.
    pub fn receive_into(
        &mut self,
        into: &mut Datagrams,
        mut each: impl FnMut(usize, M),
    ) -> io::Result<bool> {
        let lengths = into.receive(&self.socket)?;
        let mut ended = false;
        for (place, length) in lengths.into_iter().enumerate() {
            let each = |message| each(place, message);
            ended |= read_datagram(into.get(place, length), self.sequence, &mut self.said, each)?;
        }
        Ok(ended)
    }

    fn rest(&mut self) -> io::Result<Vec<M>> {
        let mut answers = Vec::new();
        while !self.receive(|answer| answers.push(answer))? {}
        Ok(answers)
    }

    fn send(&mut self, message: M, flags: u16) -> io::Result<()> {
        self.said = Said::default();
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }
}

/// Room for some datagrams. Only what was once written to takes memory.
pub struct Datagrams(Vec<u8>);

impl Datagrams {
    /// Room for so many.
    pub fn new(count: usize) -> Self {
        Self(vec![0; count * BUFFER_BYTES])
    }

    /// Receives those that are there; returns how long each is.
    fn receive(&mut self, socket: &Socket) -> io::Result<Vec<usize>> {
        let rooms = self.0.chunks_mut(BUFFER_BYTES);
        let mut rooms: Vec<_> = rooms.map(|room| [IoSliceMut::new(room)]).collect();
        let mut headers = MultiHeaders::<()>::preallocate(rooms.len(), None);
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = recvmmsg(socket.as_raw_fd(), &mut headers, &mut rooms, flags, None)?;
        let lengths = received.map(
            |received| match received.flags.contains(MsgFlags::MSG_TRUNC) {
                true => Err(malformed("a datagram is longer than the kernel makes them")),
                false => Ok(received.bytes),
            },
        );
        lengths.collect()
    }

    fn get(&self, place: usize, length: usize) -> &[u8] {
        &self.0[place * BUFFER_BYTES..][..length]
    }
}

/// Reads those messages of a datagram that answer request number `sequence`; `true`
/// if they were the last. What the kernel says beside them goes to `said`.
pub fn read_datagram<M: NetlinkDeserializable>(
    datagram: &[u8],
    sequence: u32,
    said: &mut Said,
    mut each: impl FnMut(M),
) -> io::Result<bool> {
    let mut ended = false;
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = NetlinkBuffer::new_checked(rest)
            .map_err(malformed)?
            .length() as usize;
        let message = NetlinkMessage::<M>::deserialize(&rest[..length]).map_err(malformed)?;
        rest = rest
            .get(length.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        // What is left of an abandoned listing.
        if message.header.sequence_number != sequence {
            continue;
        }
        said.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        match message.payload {
            NetlinkPayload::InnerMessage(message) => each(message),
            NetlinkPayload::Error(error) if error.code.is_some() => {
                if message.header.flags & NLM_F_ACK_TLVS != 0 {
                    said.refusal = words(&error.header);
                }
                return Err(error.to_io());
            }
            NetlinkPayload::Done(done) if done.code < 0 => {
                return Err(io::Error::from_raw_os_error(-done.code));
            }
            NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => ended = true,
            _ => {}
        }
    }
    Ok(ended)
}

/// `NLMSGERR_ATTR_MSG` behind the header of the refused request.
fn words(refusal: &[u8]) -> Option<String> {
    const MESSAGE: u16 = 1;
    let mut attributes = NlasIterator::new(refusal.get(REQUEST_HEADER_BYTES..)?);
    let message =
        attributes.find_map(|found| found.ok().filter(|found| found.kind() == MESSAGE))?;
    parse_string(message.value()).ok()
}

/// For `map_err`: the kernel said something that is no netlink message.
pub(crate) fn malformed(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{DoneMessage, NLM_F_DUMP_INTR, NLM_F_MULTIPART};
    use netlink_packet_route::RouteNetlinkMessage;

    use super::*;

    #[test]
    fn an_interrupted_listing_is_told() {
        for (flag, interrupted) in [(NLM_F_DUMP_INTR, true), (0, false)] {
            let mut header = NetlinkHeader::default();
            header.sequence_number = 7;
            header.flags = NLM_F_MULTIPART | flag;
            let done = NetlinkPayload::<RouteNetlinkMessage>::Done(DoneMessage::default());
            let mut message = NetlinkMessage::new(header, done);
            message.finalize();
            let mut bytes = vec![0; message.buffer_len()];
            message.serialize(&mut bytes);
            let mut said = Said::default();
            let ended = read_datagram::<RouteNetlinkMessage>(&bytes, 7, &mut said, |_| ());
            assert!(ended.unwrap());
            assert_eq!(said.interrupted, interrupted);
            let mut other = Said::default();
            read_datagram::<RouteNetlinkMessage>(&bytes, 8, &mut other, |_| ()).unwrap();
            assert!(!other.interrupted, "it is another request's");
        }
    }
}
