//! All domains with their states and, if asked for, their statistics.

use std::collections::{HashMap, HashSet};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error as VirtError, ErrorNumber};
use virt::sys;

use super::{bulk, totals};
use crate::clock::monotonic_ns;
use crate::inventory::nic::printable;
use crate::sample::{VmState, VmStats};

/// A domain in a listing.
pub(super) struct Listed {
    pub(super) domain: Domain,
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) id: Option<u32>,
    pub(super) state: VmState,
    pub(super) stats: Option<VmStats>,
}

/// Lists all domains: in one call, except with drivers that cannot.
pub(super) fn list_domains(
    connect: &Connect,
    with_stats: bool,
    no_wait: bool,
) -> Result<Vec<Listed>, VirtError> {
    let groups = match with_stats {
        true => bulk::ALL_GROUPS,
        false => bulk::STATE_GROUP,
    };
    let now = monotonic_ns();
    match bulk::all(connect, groups, no_wait) {
        Ok(records) => of_records(&records, with_stats.then_some(now)),
        Err(error) if error.code() == ErrorNumber::NoSupport => by_lists(connect),
        Err(error) => Err(error),
    }
}

fn of_records(records: &bulk::Records, taken: Option<u64>) -> Result<Vec<Listed>, VirtError> {
    let mut listed = Vec::with_capacity(records.len());
    for record in records.iter() {
        let (Some(name), Some(uuid)) = (record.name(), record.uuid()) else {
            continue;
        };
        let id = record.id();
        let (state, stats) = totals::read(record.parameters(), id, taken.unwrap_or_default());
        listed.push(Listed {
            domain: record.domain()?,
            name: printable(&name.to_string_lossy()),
            uuid,
            id,
            state,
            stats: (taken.is_some() && id.is_some()).then_some(stats),
        });
    }
    Ok(listed)
}

/// The same in three calls, without statistics: asking each domain for its
/// state would take one call for each.
fn by_lists(connect: &Connect) -> Result<Vec<Listed>, VirtError> {
    let domains = connect.list_all_domains(0)?;
    let paused: HashSet<String> = connect
        .list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_PAUSED)?
        .iter()
        .map(Domain::get_uuid_string)
        .collect::<Result<_, _>>()?;
    // Few, as a rule: blocked, shutting down, crashed, suspended.
    let mut others = HashMap::new();
    for domain in connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_OTHER)? {
        // Without a state it ended in between.
        if let Ok((state, _)) = domain.get_state() {
            others.insert(domain.get_uuid_string()?, vm_state(state));
        }
    }
    let mut listed = Vec::with_capacity(domains.len());
    for domain in domains {
        let name = printable(&domain.get_name()?);
        let uuid = domain.get_uuid_string()?;
        let id = domain.get_id();
        let state = match others.get(&uuid) {
            Some(&state) => state,
            None if id.is_none() => VmState::Shutoff,
            None if paused.contains(&uuid) => VmState::Paused,
            None => VmState::Running,
        };
        listed.push(Listed {
            domain,
            name,
            uuid,
            id,
            state,
            stats: None,
        });
    }
    Ok(listed)
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
