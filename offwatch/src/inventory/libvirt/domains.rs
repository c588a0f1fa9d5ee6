//! All domains with their states and, if asked for, their statistics.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error as VirtError, ErrorNumber};
use virt::sys;

use super::bulk::{self, Record, Uuid};
use super::totals;
use crate::clock::monotonic_ns;
use crate::sample::{VmState, VmStats};

/// A domain in a listing.
pub(super) struct Listed<'a> {
    pub(super) handle: Handle<'a>,
    pub(super) uuid: Uuid,
    pub(super) id: Option<u32>,
    pub(super) state: VmState,
    pub(super) stats: Option<VmStats>,
}

/// What a domain can be asked by.
pub(super) enum Handle<'a> {
    Record(Record<'a>),
    Domain(&'a Domain),
}

impl Handle<'_> {
    /// Name of the domain as libvirt has it. Each such question to libvirt
    /// costs more than all else that is done for a domain in a listing.
    pub(super) fn name(&self) -> Vec<u8> {
        match self {
            Self::Record(record) => record.name().map(CStr::to_bytes).unwrap_or_default().into(),
            Self::Domain(domain) => domain.get_name().unwrap_or_default().into_bytes(),
        }
    }

    /// Asks the domain something.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Domain) -> Result<T, VirtError>,
    ) -> Result<T, VirtError> {
        match self {
            Self::Record(record) => question(&record.domain()?),
            Self::Domain(domain) => question(domain),
        }
    }
}

/// Hands all domains to `take`: by one call, except with drivers that cannot.
pub(super) fn list_domains(
    connect: &Connect,
    with_stats: bool,
    no_wait: bool,
    take: &mut dyn FnMut(Listed<'_>) -> Result<(), VirtError>,
) -> Result<(), VirtError> {
    let groups = match with_stats {
        true => bulk::ALL_GROUPS,
        false => bulk::STATE_GROUP,
    };
    let now = monotonic_ns();
    let records = match bulk::all(connect, groups, no_wait) {
        Ok(records) => records,
        Err(error) if error.code() == ErrorNumber::NoSupport => return by_lists(connect, take),
        Err(error) => return Err(error),
    };
    for record in records.iter() {
        let Some(uuid) = record.uuid() else { continue };
        let id = record.id();
        let (state, stats) = totals::read(record.parameters(), id, now);
        take(Listed {
            handle: Handle::Record(record),
            uuid,
            id,
            state,
            stats: (with_stats && id.is_some()).then_some(stats),
        })?;
    }
    Ok(())
}

/// The same in three calls, without statistics: asking each domain for its
/// state would take one call for each.
fn by_lists(
    connect: &Connect,
    take: &mut dyn FnMut(Listed<'_>) -> Result<(), VirtError>,
) -> Result<(), VirtError> {
    let domains = connect.list_all_domains(0)?;
    let uuid = |domain: &Domain| domain.get_uuid().map(|uuid| *uuid.as_bytes());
    let paused: HashSet<Uuid> = connect
        .list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_PAUSED)?
        .iter()
        .map(uuid)
        .collect::<Result<_, _>>()?;
    // Few, as a rule: blocked, shutting down, crashed, suspended.
    let mut others = HashMap::new();
    for domain in connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_OTHER)? {
        // Without a state it ended in between.
        if let Ok((state, _)) = domain.get_state() {
            others.insert(uuid(&domain)?, vm_state(state));
        }
    }
    for domain in &domains {
        let uuid = uuid(domain)?;
        let id = domain.get_id();
        let state = match others.get(&uuid) {
            Some(&state) => state,
            None if id.is_none() => VmState::Shutoff,
            None if paused.contains(&uuid) => VmState::Paused,
            None => VmState::Running,
        };
        take(Listed {
            handle: Handle::Domain(domain),
            uuid,
            id,
            state,
            stats: None,
        })?;
    }
    Ok(())
}

/// A UUID in text form.
pub(super) fn text(uuid: &Uuid) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
    text
}

/// A state by libvirt's number.
pub(super) fn vm_state(state: sys::virDomainState) -> VmState {
    match state {
        sys::VIR_DOMAIN_RUNNING => VmState::Running,
        sys::VIR_DOMAIN_BLOCKED => VmState::Blocked,
        sys::VIR_DOMAIN_PAUSED => VmState::Paused,
        sys::VIR_DOMAIN_SHUTDOWN => VmState::Shutdown,
        sys::VIR_DOMAIN_SHUTOFF => VmState::Shutoff,
        sys::VIR_DOMAIN_CRASHED => VmState::Crashed,
        sys::VIR_DOMAIN_PMSUSPENDED => VmState::Suspended,
        _ => VmState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_as_libvirt_writes_them() {
        let mut uuid = [0; 16];
        uuid.iter_mut().zip(0x29..).for_each(|(byte, n)| *byte = n);
        assert_eq!(super::text(&uuid), "292a2b2c-2d2e-2f30-3132-333435363738");
    }
}
