//! Sessions in which a process was started, as sshd tells them to the shell.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

const VARIABLE: &[u8] = b"SSH_CONNECTION=";

/// A session over the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// Where it comes from.
    pub(super) client: IpAddr,
    /// The address of this host that it goes to.
    pub(super) server: IpAddr,
    /// The interface, where the addresses are of one link only.
    pub(super) dev: Option<String>,
}

impl Session {
    /// Reads `CLIENT PORT SERVER PORT`.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (client, _, server) = (words.next()?, words.next()?, words.next()?);
        let (client, dev) = address(client)?;
        let (server, _) = address(server)?;
        Some(Self {
            client,
            server,
            dev,
        })
    }
}

/// Reads `fe80::1%eth0`, and any other address.
fn address(text: &str) -> Option<(IpAddr, Option<String>)> {
    let (address, dev) = match text.split_once('%') {
        Some((address, dev)) => (address, Some(dev.to_owned())),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    Some((address.to_canonical(), dev))
}

/// Sessions in which the process `pid` was started that end in the network namespace
/// `netns`, a link such as `net:[4026531840]`. What cannot be read is none.
pub(super) fn of(proc: &Path, pid: u32, netns: &Path) -> Vec<Session> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for pid in lineage(proc, pid) {
        let directory = proc.join(pid.to_string());
        let environment = fs::read(directory.join("environ")).unwrap_or_default();
        let Some(connection) = variable(&environment) else {
            continue;
        };
        // Who has it from sshd itself tells the namespace: a command may have been
        // started in another one since.
        let elsewhere = fs::read_link(directory.join("ns/net"));
        let netns = elsewhere.unwrap_or_else(|_| netns.to_owned());
        match found.iter_mut().find(|(other, _)| *other == connection) {
            Some(known) => known.1 = netns,
            None => found.push((connection, netns)),
        }
    }
    found
        .iter()
        .filter(|(_, of)| of == netns)
        .filter_map(|(connection, _)| Session::parse(connection))
        .collect()
}

/// The process and all that it descends from.
fn lineage(proc: &Path, pid: u32) -> Vec<u32> {
    let mut lineage = Vec::new();
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| *pid != 0 && !lineage.contains(pid)) {
        lineage.push(pid);
        next = parent(proc, pid);
    }
    lineage
}

fn parent(proc: &Path, pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(proc.join(format!("{pid}/stat"))).ok()?;
    // Whatever the name of the command is, it ends with the last parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn variable(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(VARIABLE))?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const HERE: &str = "net:[1]";
    const ELSEWHERE: &str = "net:[2]";
    const CONNECTION: &str = "192.0.2.7 50000 198.51.100.1 22";

    /// A process below a parent.
    fn process(proc: &Path, pid: u32, parent: u32, netns: &str, connection: Option<&str>) {
        let directory = proc.join(pid.to_string());
        fs::create_dir_all(directory.join("ns")).unwrap();
        symlink(netns, directory.join("ns/net")).unwrap();
        let stat = format!("{pid} (a) b) S {parent} 1 1");
        fs::write(directory.join("stat"), stat).unwrap();
        let connection = connection.map(|text| format!("SSH_CONNECTION={text}\0"));
        let environment = format!("HOME=/\0{}A=b\0", connection.unwrap_or_default());
        fs::write(directory.join("environ"), environment).unwrap();
    }

    fn clients(proc: &Path, pid: u32) -> Vec<String> {
        let sessions = of(proc, pid, Path::new(HERE));
        let client = |session: &Session| session.client.to_string();
        sessions.iter().map(client).collect()
    }

    #[test]
    fn the_session_of_an_ancestor_counts() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path();
        process(proc, 1, 0, HERE, None);
        process(proc, 10, 1, HERE, Some(CONNECTION));
        process(proc, 11, 10, HERE, None);
        process(proc, 12, 11, HERE, Some("192.0.2.8 1 198.51.100.1 22"));
        process(proc, 20, 1, HERE, None);
        assert_eq!(clients(proc, 12), ["192.0.2.8", "192.0.2.7"]);
        assert_eq!(clients(proc, 11), ["192.0.2.7"]);
        assert!(clients(proc, 20).is_empty());
        assert!(clients(proc, 99).is_empty());
    }

    #[test]
    fn a_session_ends_in_the_namespace_of_its_shell() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path();
        process(proc, 10, 1, ELSEWHERE, Some(CONNECTION));
        // As after `ip netns exec`.
        process(proc, 11, 10, HERE, Some(CONNECTION));
        assert!(clients(proc, 11).is_empty());
        process(proc, 20, 1, HERE, Some(CONNECTION));
        process(proc, 21, 20, ELSEWHERE, Some(CONNECTION));
        assert_eq!(clients(proc, 21), ["192.0.2.7"]);
    }

    #[test]
    fn addresses_are_read() {
        let session = |text| Session::parse(text).map(|found| (found.client, found.dev));
        let known = |client: &str, dev: Option<&str>| {
            Some((client.parse().unwrap(), dev.map(str::to_owned)))
        };
        assert_eq!(session(CONNECTION), known("192.0.2.7", None));
        let mapped = "::ffff:192.0.2.7 1 ::ffff:198.51.100.1 22";
        assert_eq!(session(mapped), known("192.0.2.7", None));
        let link = "fe80::7%eth0 1 fe80::1%eth0 22";
        assert_eq!(session(link), known("fe80::7", Some("eth0")));
        for none in ["", "UNKNOWN 65535 UNKNOWN 65535", "192.0.2.7 1"] {
            assert_eq!(session(none), None, "{none:?}");
        }
    }
}
