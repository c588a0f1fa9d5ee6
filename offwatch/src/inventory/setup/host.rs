//! The distribution, and switches of the kernel.

use std::{fs, io};

use crate::{
    facts::host::{BridgeNetfilter, Distribution, HostFacts},
    inventory::nic::printable,
    sample::offloads::Fact,
};

const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// The host, without what libvirt tells of it.
pub fn host() -> HostFacts {
    HostFacts {
        distribution: distribution(),
        bridge_netfilter: bridge_netfilter(),
        ipv4_forwarding: switch("net/ipv4/ip_forward"),
        ipv6_forwarding: switch("net/ipv6/conf/all/forwarding"),
        ipv4_forward_use_pmtu: switch("net/ipv4/ip_forward_use_pmtu"),
        ..HostFacts::default()
    }
}

/// A switch below `/proc/sys`, which shows those of the namespace of the
/// thread that reads.
fn read_switch(name: &str) -> io::Result<bool> {
    let text = fs::read_to_string(format!("/proc/sys/{name}"))?;
    let number = text.trim().parse::<i32>();
    number
        .map(|number| number != 0)
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

fn switch(name: &str) -> Fact<bool> {
    match read_switch(name) {
        Ok(on) => Fact::Known(on),
        Err(error) => Fact::unavailable(format!("/proc/sys/{name}: {error}")),
    }
}

fn bridge_netfilter() -> Fact<Option<BridgeNetfilter>> {
    let read = |name: &str| read_switch(&format!("net/bridge/bridge-nf-call-{name}"));
    let all = || -> io::Result<BridgeNetfilter> {
        Ok(BridgeNetfilter {
            iptables: read("iptables")?,
            ip6tables: read("ip6tables")?,
            arptables: read("arptables")?,
        })
    };
    match all() {
        Ok(switches) => Fact::Known(Some(switches)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Fact::Known(None),
        Err(error) => Fact::unavailable(format!("net.bridge.bridge-nf-call-*: {error}")),
    }
}

fn distribution() -> Fact<Distribution> {
    let mut refused = String::new();
    for file in OS_RELEASE {
        match fs::read_to_string(file) {
            Ok(text) => return Fact::Known(parse(&text)),
            Err(error) => refused = format!("{file}: {error}"),
        }
    }
    Fact::unavailable(refused)
}

/// Reads `os-release`: assignments as a shell takes them.
fn parse(text: &str) -> Distribution {
    let value = |name: &str| {
        let mut lines = text.lines().rev();
        let value = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
        let quoted = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        let value = quoted.unwrap_or(value).replace('\\', "");
        (!value.is_empty()).then(|| printable(&value))
    };
    Distribution {
        // As the standard has it where there is none.
        id: value("ID").unwrap_or_else(|| "linux".to_owned()),
        version_id: value("VERSION_ID"),
        pretty_name: value("PRETTY_NAME"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_read() {
        let text = "# a comment\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n\
                    VERSION_ID='12'\nVERSION_CODENAME=bookworm\nID=debian\nID_LIKE=x\n";
        let expected = Distribution {
            id: "debian".into(),
            version_id: Some("12".into()),
            pretty_name: Some("Debian GNU/Linux 12 (bookworm)".into()),
        };
        assert_eq!(parse(text), expected);
        let nothing = parse("VERSION_ID=\n\u{1b}\n");
        assert_eq!((nothing.id.as_str(), nothing.version_id), ("linux", None));
    }
}
