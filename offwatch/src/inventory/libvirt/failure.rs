//! Why libvirt does not answer, sorted by what to do about it.

use thiserror::Error;
use virt::error::{Error as VirtError, ErrorDomain, ErrorNumber};

use crate::inventory::nic::printable;

/// Why there is no listing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// There is no daemon.
    #[error("libvirt: no daemon at '{uri}'; start libvirtd or virtqemud ({message})")]
    NoDaemon {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
    /// The URI is not one that libvirt understands.
    #[error("libvirt: bad URI '{uri}': {message}; a local host's is qemu:///system")]
    BadUri {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
    /// libvirt is there but does not let this user in, or something else.
    #[error("libvirt: cannot connect to '{uri}': {message}; see https://libvirt.org/auth.html")]
    Refused {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
    /// The connection was lost.
    #[error("libvirt: '{uri}' does not answer: {message}")]
    Lost {
        /// What was connected to.
        uri: String,
        /// libvirt's words.
        message: String,
    },
}

impl Failure {
    /// libvirt's words alone.
    pub fn message(&self) -> &str {
        match self {
            Self::NoDaemon { message, .. }
            | Self::BadUri { message, .. }
            | Self::Refused { message, .. }
            | Self::Lost { message, .. } => message,
        }
    }
}

/// Sorts the reasons why a connection could not be opened.
pub(super) fn failure(uri: &str, error: &VirtError) -> Failure {
    let (uri, message) = (printable(uri), one_line(error.message()));
    match (error.code(), error.domain()) {
        // The number of the system's error does not come with it.
        (ErrorNumber::SystemError, ErrorDomain::Rpc) if !message.contains("denied") => {
            Failure::NoDaemon { uri, message }
        }
        (ErrorNumber::InvalidArg | ErrorNumber::NoConnect, _) | (_, ErrorDomain::Uri) => {
            Failure::BadUri { uri, message }
        }
        (ErrorNumber::InternalError, _) if message.contains("URI") => {
            Failure::BadUri { uri, message }
        }
        _ => Failure::Refused { uri, message },
    }
}

/// Error messages may have several lines, as a hypervisor's own output.
pub(crate) fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    printable(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_fits_on_a_narrow_screen() {
        let failure = Failure::NoDaemon {
            uri: "qemu:///system".into(),
            message: "Failed to connect socket".into(),
        };
        let text = failure.to_string();
        assert!(text[..80].contains("start libvirtd or virtqemud"), "{text}");
    }
}
