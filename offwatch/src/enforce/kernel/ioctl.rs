//! By the older ethtool ioctl, for kernels without ethtool netlink.
//!
//! It takes an interface by name alone. The ifindex is compared before and after,
//! so that a request to another interface that has been given the name meanwhile
//! is told, though not prevented.

use std::{
    ffi::c_char,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    errno::Errno,
    net::if_::if_nameindex,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::{Kernel, Refusal, Reply, Request};
use crate::{
    enforce::target::Id,
    inventory::netlink::malformed,
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

const GET_STRINGS: u32 = 0x1b;
const GET_STRING_COUNTS: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
const SET_FEATURES: u32 = 0x3b;
/// `ETH_SS_FEATURES`.
const FEATURE_NAMES: u32 = 4;
const NAME_BYTES: usize = 32;
/// Every namespace has it, and all interfaces have the same names of features.
const LOOPBACK: &str = "lo";

/// A socket to ask by.
pub struct Ioctl {
    socket: OwnedFd,
    names: FeatureNames,
    /// Words of 32 features.
    words: usize,
}

impl Ioctl {
    /// In the network namespace of this thread. The error tells what is missing.
    pub fn open() -> io::Result<Self> {
        let datagram = SockType::Datagram;
        let socket = socket(AddressFamily::Inet, datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let mut ioctl = Self {
            socket,
            names: FeatureNames::default(),
            words: 0,
        };
        let count = ioctl.feature_count()?;
        ioctl.words = count.div_ceil(32);
        if ioctl.words * 32 > FeatureSet::BITS {
            return Err(malformed(format!("{count} features")));
        }
        ioctl.names = ioctl.feature_names(count)?;
        Ok(ioctl)
    }

    fn feature_count(&self) -> io::Result<usize> {
        // The command, a reserved word, a mask of string sets, and a count.
        let mut info = [GET_STRING_COUNTS, 0, 0, 0, 0];
        info[mask_word()] = 1 << FEATURE_NAMES;
        self.ethtool(LOOPBACK, &mut info)?;
        Ok(info[4] as usize)
    }

    fn feature_names(&self, count: usize) -> io::Result<FeatureNames> {
        const HEADER_WORDS: usize = 3;
        let mut strings = vec![0; HEADER_WORDS + count * NAME_BYTES / size_of::<u32>()];
        strings[..HEADER_WORDS].copy_from_slice(&[GET_STRINGS, FEATURE_NAMES, count as u32]);
        self.ethtool(LOOPBACK, &mut strings)?;
        let words = strings[HEADER_WORDS..].iter();
        let bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
        Ok(names(&bytes))
    }

    fn features(&self, dev: &str) -> io::Result<Features> {
        const HEADER_WORDS: usize = 2;
        let mut words = vec![0; HEADER_WORDS + 4 * self.words];
        words[..HEADER_WORDS].copy_from_slice(&[GET_FEATURES, self.words as u32]);
        self.ethtool(dev, &mut words)?;
        Ok(features(&words[HEADER_WORDS..]))
    }

    /// Whether `id` is an interface with both its ifindex and its name.
    fn check(&self, id: &Id) -> Result<(), Refusal> {
        let mut request = interface(&id.dev).map_err(|error| refusal(id, error))?;
        // SAFETY: the kernel reads the name and writes the ifindex; the request
        // lives across the call.
        let result = unsafe {
            libc::ioctl(
                self.socket.as_raw_fd(),
                libc::SIOCGIFINDEX,
                &raw mut request,
            )
        };
        if result < 0 {
            return Err(refusal(id, io::Error::last_os_error()));
        }
        // SAFETY: the kernel has written it.
        let ifindex = unsafe { request.ifr_ifru.ifru_ifindex };
        match u32::try_from(ifindex) {
            Ok(ifindex) if ifindex == id.ifindex => Ok(()),
            _ => Err(Refusal::Gone(id.clone())),
        }
    }

    /// One command of ethtool; `words` begin with it.
    fn ethtool(&self, dev: &str, words: &mut [u32]) -> io::Result<()> {
        let mut request = interface(dev)?;
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        // SAFETY: the kernel reads the name, and reads and writes as much of
        // `words` as their beginning says, which all callers give that length;
        // both live across the call.
        let result =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        match result {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Kernel for Ioctl {
    fn names(&mut self) -> io::Result<FeatureNames> {
        Ok(self.names.clone())
    }

    fn of(&mut self, id: &Id) -> Result<Features, Refusal> {
        let features = self.features(&id.dev);
        let features = features.map_err(|error| refusal(id, error))?;
        self.check(id)?;
        Ok(features)
    }

    fn list(&mut self) -> io::Result<Vec<(u32, Features)>> {
        let mut all = Vec::new();
        for interface in if_nameindex()?.iter() {
            match self.features(&interface.name().to_string_lossy()) {
                Ok(features) => all.push((interface.index(), features)),
                // It has gone since.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn set(&mut self, id: &Id, request: &Request) -> Result<Reply, Refusal> {
        let before = self.of(id)?;
        let mut words = vec![SET_FEATURES, self.words as u32];
        let asked = request.mask.words().into_iter().zip(request.on.words());
        words.extend(asked.take(self.words).flat_map(|(mask, on)| [mask, on]));
        let result = self.ethtool(&id.dev, &mut words);
        result.map_err(|error| refusal(id, error))?;
        let after = self.of(id)?;
        Ok(Reply {
            unmet: (after.active ^ request.on) & request.mask,
            changed: before.active ^ after.active,
        })
    }
}

/// Where the low half of the mask of string sets is.
const fn mask_word() -> usize {
    if cfg!(target_endian = "little") { 2 } else { 3 }
}

fn names(bytes: &[u8]) -> FeatureNames {
    let name = |field: &[u8; NAME_BYTES]| {
        let end = field.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&field[..end.unwrap_or(NAME_BYTES)]).into_owned()
    };
    FeatureNames(bytes.as_chunks().0.iter().map(name).collect())
}

/// `struct ethtool_get_features_block`s: available, requested, active and never
/// changed, of 32 features each.
fn features(blocks: &[u32]) -> Features {
    let blocks = blocks.as_chunks::<4>().0;
    let set = |word: usize| {
        let words: Vec<u32> = blocks.iter().map(|block| block[word]).collect();
        FeatureSet::from_words(&words).unwrap_or_default()
    };
    Features {
        changeable: set(0),
        wanted: set(1),
        active: set(2),
        never_changed: set(3),
    }
}

fn interface(dev: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all fields are numbers, and a union of them.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One less: the name ends with a zero.
    let name_bytes = request.ifr_name.len() - 1;
    if dev.len() > name_bytes {
        return Err(Errno::ENODEV.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(dev.bytes()) {
        *to = from as c_char;
    }
    Ok(request)
}

fn refusal(id: &Id, source: io::Error) -> Refusal {
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENODEV) => Refusal::Gone(id.clone()),
        Some(Errno::EPERM) => Refusal::NotPermitted,
        _ => Refusal::Other { source, told: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let read = features(&[1, 2, 4, 8, 16, 32, 64, 128]);
        let bits = |set: FeatureSet| set.iter().collect::<Vec<_>>();
        assert_eq!(bits(read.changeable), [0, 36]);
        assert_eq!(bits(read.wanted), [1, 37]);
        assert_eq!(bits(read.active), [2, 38]);
        assert_eq!(bits(read.never_changed), [3, 39]);
        let mut bytes = vec![0; 2 * NAME_BYTES];
        bytes[..6].copy_from_slice(b"rx-gro");
        assert_eq!(names(&bytes).0, ["rx-gro", ""]);
    }

    #[test]
    fn no_name_is_cut() {
        assert!(interface("a-name-of-15-by").is_ok());
        assert!(interface("a-name-of-16-byt").is_err());
    }
}
