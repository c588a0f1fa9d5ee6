//! The machine that libvirt runs on.

use virt::connect::Connect;

use super::failure::one_line;
use crate::inventory::nic::printable;
use crate::sample::Node;

/// What libvirt says of it; none if its driver does not tell.
pub(super) fn read(connect: &Connect) -> Option<Node> {
    let info = match connect.get_node_info() {
        Ok(info) => info,
        Err(error) => {
            log::debug!("libvirt: node: {}", one_line(error.message()));
            return None;
        }
    };
    let cpus = [info.nodes, info.sockets, info.cores, info.threads]
        .into_iter()
        .fold(1_u32, u32::saturating_mul);
    Some(Node {
        host_name: connect
            .get_hostname()
            .map(|name| printable(&name))
            .unwrap_or_default(),
        arch: printable(&info.model),
        online_cpus: info.cpus,
        cpus,
        mhz: Some(info.mhz).filter(|&mhz| mhz != 0),
        memory_kib: info.memory,
    })
}
