//! The machine that libvirt runs on.

use virt::connect::Connect;

use super::failure::one_line;
use crate::inventory::nic::printable;
use crate::sample::Node;

/// Versions, such as `9.0.0`. None where the driver does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// libvirt's own, of the daemon.
    pub libvirt: Option<String>,
    /// That of the QEMU that it starts.
    pub qemu: Option<String>,
}

/// Asks for versions.
pub(super) fn versions(connect: &Connect) -> Versions {
    let is_qemu = connect.get_type().is_ok_and(|driver| driver == "QEMU");
    Versions {
        libvirt: connect.get_lib_version().ok().map(version),
        qemu: connect
            .get_hyp_version()
            .ok()
            .filter(|number| is_qemu && *number != 0)
            .map(version),
    }
}

/// libvirt's way to write a version as a number.
fn version(number: u32) -> String {
    let (major, minor, release) = (number / 1_000_000, number / 1_000 % 1_000, number % 1_000);
    format!("{major}.{minor}.{release}")
}

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

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_written_as_people_do() {
        assert_eq!(super::version(9_000_000), "9.0.0");
        assert_eq!(super::version(10_002_015), "10.2.15");
    }
}
