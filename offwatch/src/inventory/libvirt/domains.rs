//! All domains and their states.

use std::collections::{HashMap, HashSet};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt::sys;

use crate::sample::VmState;

/// A domain in a listing.
pub(super) struct Listed {
    pub(super) domain: Domain,
    pub(super) uuid: String,
    pub(super) id: Option<u32>,
    pub(super) state: VmState,
}

/// Lists all domains with their states, in three calls: asking each domain for
/// its state would take one call for each.
pub(super) fn list_domains(connect: &Connect) -> Result<Vec<Listed>, VirtError> {
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
            uuid,
            id,
            state,
        });
    }
    Ok(listed)
}

fn vm_state(state: sys::virDomainState) -> VmState {
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
