//! The libvirt that is asked for VMs, if one is.

use std::sync::Arc;
#[cfg(feature = "libvirt")]
use std::time::Duration;
use std::time::Instant;

#[cfg(feature = "libvirt")]
use super::combine::is_active;
#[cfg(feature = "libvirt")]
use crate::inventory::libvirt::{Libvirt, State, Versions};
use crate::inventory::listing::Listing;
use crate::{
    facts::host::HostFacts,
    sample::{Node, offloads::Fact},
};

/// How long the first answer of a libvirt that the user named may take.
#[cfg(feature = "libvirt")]
const NAMED_PATIENCE: Duration = Duration::from_secs(10);
/// The same where the user named none: the VMs of `/proc` do until it answers.
#[cfg(feature = "libvirt")]
const PATIENCE: Duration = Duration::from_secs(2);

/// What libvirt says at this moment.
#[cfg_attr(
    not(feature = "libvirt"),
    allow(dead_code, reason = "nobody answers then")
)]
pub(super) enum Answer {
    /// It is not to be asked.
    Nothing,
    /// Its listing.
    Domains {
        /// All of it.
        domains: Arc<Vec<Listing>>,
        /// It was so then or later.
        all_read: Option<Instant>,
    },
    /// Not yet.
    Connecting,
    /// There is none.
    Failed {
        /// Why, and what to do.
        reason: String,
        /// libvirt's words alone.
        message: String,
    },
}

/// A connection, or none.
#[derive(Debug, Default)]
pub(super) struct Daemon {
    #[cfg(feature = "libvirt")]
    libvirt: Option<Libvirt>,
}

#[cfg(feature = "libvirt")]
impl Daemon {
    pub(super) fn of(libvirt: Libvirt) -> Self {
        Self {
            libvirt: Some(libvirt),
        }
    }

    /// Connects; a libvirt that the user named must answer.
    pub(super) fn open(connect: Option<String>) -> Result<Self, String> {
        let must_answer = connect.is_some();
        let libvirt = Libvirt::spawn(connect);
        let first = libvirt.wait_first(if must_answer {
            NAMED_PATIENCE
        } else {
            PATIENCE
        });
        match first.state {
            State::Failed(failure) if must_answer => Err(failure.to_string()),
            _ => Ok(Self::of(libvirt)),
        }
    }

    pub(super) fn refresh_stats(&self) -> impl Future<Output = ()> + use<> {
        let answer = self.libvirt.as_ref().map(Libvirt::refresh_stats);
        async move {
            if let Some(answer) = answer {
                answer.await;
            }
        }
    }

    pub(super) fn changes(&self) -> u64 {
        self.libvirt.as_ref().map_or(0, Libvirt::changes)
    }

    pub(super) fn changed(&self, from: u64) -> impl Future<Output = ()> + use<> {
        let changed = self.libvirt.as_ref().map(|libvirt| libvirt.changed(from));
        async move {
            match changed {
                Some(changed) => changed.await,
                None => std::future::pending().await,
            }
        }
    }

    pub(super) fn refresh(&self) {
        if let Some(libvirt) = &self.libvirt {
            libvirt.refresh_xml();
        }
    }

    pub(super) fn want_pcpus(&self, wanted: bool) {
        if let Some(libvirt) = &self.libvirt {
            libvirt.want_pcpus(wanted);
        }
    }

    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.libvirt.as_ref()?.latest().node
    }

    /// Adds versions to what is known of the host.
    pub(super) fn tell_versions(&self, host: &mut HostFacts) {
        const UNTOLD: &str = "libvirt's driver does not tell it";
        let versions = match (self.state(), &self.libvirt) {
            (Ok(_), Some(libvirt)) => Ok(libvirt.latest().versions.unwrap_or_default()),
            (Err(reason), _) => Err(reason),
            (Ok(_), None) => return,
        };
        let fact = |of: fn(&Versions) -> &Option<String>| match &versions {
            Ok(versions) => match of(versions) {
                Some(version) => Fact::Known(version.clone()),
                None => Fact::unavailable(UNTOLD),
            },
            Err(reason) => Fact::unavailable(reason.clone()),
        };
        host.libvirt = fact(|versions| &versions.libvirt);
        host.qemu = fact(|versions| &versions.qemu);
    }

    /// What it lists, or why not.
    pub(super) fn state(&self) -> Result<String, String> {
        let Some(libvirt) = &self.libvirt else {
            return Err("libvirt is not asked".to_owned());
        };
        let snapshot = libvirt.latest();
        match snapshot.state {
            State::Connected => {
                let domains = snapshot.domains.iter();
                let running = domains.filter(|domain| is_active(&domain.vm)).count();
                let all = snapshot.domains.len();
                let uri = libvirt.uri();
                Ok(format!("{uri}: {all} domains, {running} of them active"))
            }
            State::Connecting => {
                Err("libvirt does not answer; restart libvirtd or virtqemud".to_owned())
            }
            State::Failed(failure) => Err(failure.to_string()),
        }
    }

    /// What it says now. After a change of the taps it reads all XML again.
    pub(super) fn ask(&self, taps_changed: bool) -> Answer {
        let Some(libvirt) = &self.libvirt else {
            return Answer::Nothing;
        };
        if taps_changed {
            libvirt.refresh_xml();
        }
        let snapshot = libvirt.latest();
        match snapshot.state {
            State::Connected => Answer::Domains {
                domains: snapshot.domains,
                all_read: snapshot.all_read,
            },
            State::Connecting => Answer::Connecting,
            State::Failed(failure) => Answer::Failed {
                reason: failure.to_string(),
                message: failure.message().to_owned(),
            },
        }
    }
}

#[cfg(not(feature = "libvirt"))]
impl Daemon {
    pub(super) fn open(connect: Option<String>) -> Result<Self, String> {
        match connect {
            Some(uri) => Err(format!("cannot connect to '{uri}': built without libvirt")),
            None => Ok(Self::default()),
        }
    }

    pub(super) fn refresh_stats(&self) -> impl Future<Output = ()> + use<> {
        std::future::ready(())
    }

    pub(super) fn changes(&self) -> u64 {
        0
    }

    pub(super) fn changed(&self, _from: u64) -> impl Future<Output = ()> + use<> {
        std::future::pending()
    }

    pub(super) fn refresh(&self) {}

    pub(super) fn want_pcpus(&self, _wanted: bool) {}

    pub(super) fn node(&self) -> Option<Arc<Node>> {
        None
    }

    pub(super) fn tell_versions(&self, host: &mut HostFacts) {
        let unavailable = || Fact::unavailable("built without libvirt");
        (host.libvirt, host.qemu) = (unavailable(), unavailable());
    }

    pub(super) fn state(&self) -> Result<String, String> {
        Err("built without libvirt".to_owned())
    }

    pub(super) fn ask(&self, _taps_changed: bool) -> Answer {
        Answer::Nothing
    }
}
