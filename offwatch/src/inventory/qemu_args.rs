//! QEMU's command line: name, UUID and network cards of a VM.
//!
//! Only what names a VM and tells what carries its frames is read. Values come
//! as `key=value,...` (a comma inside a value is doubled) or, from libvirt, as
//! JSON.

use std::collections::HashMap;

use serde_json::Value;

use super::nic::{backend, printable};
use super::qemu_card;
use crate::facts::nic::NicSetup;

/// Name of the channel that the agent uses.
pub(super) const AGENT_CHANNEL: &str = "org.qemu.guest_agent.0";

/// What a QEMU command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QemuArgs {
    /// `-name`.
    pub name: Option<String>,
    /// `-uuid`.
    pub uuid: Option<String>,
    /// `-m`: memory of the guest, KiB.
    pub memory_kib: Option<u64>,
    /// QEMU was started to ask for its capabilities (`-machine none`): no VM.
    pub is_probe: bool,
    /// Network back ends, in the order of the command line.
    pub nets: Vec<Net>,
    /// How the card in front of each of them was set up.
    pub cards: Vec<NicSetup>,
    /// `-machine`: the type.
    pub machine: Option<String>,
    /// There is a channel for the guest's agent.
    pub has_agent_channel: bool,
    /// Addresses of PCI devices of the host that the guest drives.
    pub pci: Vec<String>,
}

/// A network back end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Net {
    /// What carries the frames, as in [`crate::sample::Nic::backend`].
    pub backend: String,
    /// MAC address of the card in front of it.
    pub mac: Option<String>,
    /// Interface by name.
    pub ifname: Option<String>,
    /// Interface by file descriptor, one for each queue.
    pub fds: Vec<u32>,
}

/// Splits the content of `/proc/PID/cmdline`. Bytes that are not UTF-8 are replaced.
pub fn split(cmdline: &[u8]) -> Vec<String> {
    let cmdline = cmdline.strip_suffix(b"\0").unwrap_or(cmdline);
    if cmdline.is_empty() {
        return Vec::new();
    }
    cmdline
        .split(|&byte| byte == 0)
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect()
}

/// Parses a command line. What it does not know it passes over.
pub fn parse(argv: &[String]) -> QemuArgs {
    let mut args = QemuArgs::default();
    // Back ends by their id, for the cards in front of them, which may come first.
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut cards: Vec<Properties> = Vec::new();
    let mut back_ends: Vec<(Properties, Option<&Properties>)> = Vec::new();
    let mut chardev_paths: HashMap<String, String> = HashMap::new();
    let mut chardevs: Vec<(usize, String)> = Vec::new();

    for pair in argv.windows(2) {
        let [option, value] = pair else { continue };
        let Some(option) = option.strip_prefix('-') else {
            continue;
        };
        match option.strip_prefix('-').unwrap_or(option) {
            "name" => args.name = Properties::parse(value, "guest").take("guest"),
            "uuid" => args.uuid = Some(value.to_ascii_lowercase()),
            "m" => {
                let properties = Properties::parse(value, "size");
                args.memory_kib = properties.get("size").and_then(memory_kib);
            }
            "machine" | "M" => {
                let machine = Properties::parse(value, "type").take("type");
                args.is_probe = machine.as_deref() == Some("none");
                args.machine = machine.as_deref().map(printable);
            }
            option @ ("netdev" | "nic" | "net") => {
                let mut properties = Properties::parse(value, "type");
                let Some(mut net) = net(&properties, option) else {
                    continue;
                };
                net.mac = properties
                    .take("mac")
                    .or_else(|| properties.take("macaddr"));
                let index = args.nets.len();
                if let Some(id) = properties.take("id") {
                    ids.insert(id, index);
                }
                if let Some(chardev) = properties.take("chardev") {
                    chardevs.push((index, chardev));
                }
                args.nets.push(net);
                back_ends.push((properties, None));
            }
            "device" => {
                let properties = Properties::parse(value, "driver");
                let driver = properties.get("driver").unwrap_or_default();
                if driver.starts_with("vfio-pci") {
                    args.pci.extend(pci_address(&properties));
                } else if driver == "virtserialport" {
                    let name = properties.get("name");
                    args.has_agent_channel |= name == Some(AGENT_CHANNEL);
                } else if properties.get("netdev").is_some() {
                    cards.push(properties);
                }
            }
            "chardev" => {
                let mut properties = Properties::parse(value, "backend");
                if let (Some(id), Some(path)) = (properties.take("id"), properties.take("path")) {
                    chardev_paths.insert(id, path);
                }
            }
            _ => {}
        }
    }

    for card in &cards {
        let id = card.get("netdev").unwrap_or_default();
        let Some(&index) = ids.get(id) else { continue };
        if let (Some(net), Some(mac)) = (args.nets.get_mut(index), card.get("mac")) {
            net.mac = Some(printable(mac));
        }
        if let Some((_, front)) = back_ends.get_mut(index) {
            *front = Some(card);
        }
    }
    for (index, chardev) in chardevs {
        if chardev_paths
            .get(&chardev)
            .is_some_and(|path| is_passt(path))
            && let Some(net) = args.nets.get_mut(index)
        {
            net.backend = backend::PASST.to_owned();
        }
    }
    args.cards = args
        .nets
        .iter()
        .zip(&back_ends)
        .map(|(net, (back_end, card))| qemu_card::setup(back_end, *card, net))
        .collect();
    args.name = args
        .name
        .filter(|name| !name.is_empty())
        .map(|name| printable(&name));
    args.uuid = args
        .uuid
        .filter(|uuid| !uuid.is_empty())
        .map(|uuid| printable(&uuid));
    args
}

/// A back end, unless the option says that there is none here.
fn net(properties: &Properties, option: &str) -> Option<Net> {
    let backend = match properties.get("type")? {
        "none" | "hubport" => return None,
        // `-net nic` is a card; its back end is another `-net`.
        "nic" if option == "net" => return None,
        "tap" | "bridge" => backend::TAP,
        "user" => backend::SLIRP,
        "passt" => backend::PASST,
        "vhost-user" => backend::VHOST_USER,
        "vhost-vdpa" => backend::VDPA,
        "stream" | "dgram" | "socket" => {
            if ["addr.path", "path", "remote.path"]
                .iter()
                .any(|key| properties.get(key).is_some_and(is_passt))
            {
                backend::PASST
            } else {
                backend::SOCKET
            }
        }
        other => &printable(other),
    };
    let fds = properties
        .get("fds")
        .or(properties.get("fd"))
        .unwrap_or_default();
    Some(Net {
        backend: backend.to_owned(),
        mac: None,
        ifname: properties.get("ifname").map(printable),
        fds: fds.split(':').filter_map(|fd| fd.parse().ok()).collect(),
    })
}

/// A size of memory in KiB: a number, by default of MiB, with a unit.
fn memory_kib(size: &str) -> Option<u64> {
    let number = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match size[number.len()..].to_ascii_uppercase().as_str() {
        "B" => return Some(number.parse::<u64>().ok()? >> 10),
        "K" => 0,
        "" | "M" => 10,
        "G" => 20,
        "T" => 30,
        _ => return None,
    };
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(1 << shift),
        // QEMU takes 1.5G, too.
        Err(_) => {
            let kib = number.parse::<f64>().ok()? * f64::from(1_u32 << shift);
            (0.0..1e15).contains(&kib).then_some(kib as u64)
        }
    }
}

/// Whether a socket is passt's: libvirt and the tools around it name it so.
fn is_passt(path: &str) -> bool {
    path.contains("passt")
}

/// Address of the host's device behind a `-device vfio-pci`.
fn pci_address(properties: &Properties) -> Option<String> {
    let address = properties
        .get("host")
        .or_else(|| properties.get("sysfsdev")?.rsplit('/').next())?;
    Some(printable(address))
}

/// The properties of one option.
pub(super) struct Properties(HashMap<String, String>);

impl Properties {
    /// Parses either form; a first item without a key gets the key `implied`.
    fn parse(text: &str, implied: &str) -> Self {
        let mut properties = HashMap::new();
        if text.starts_with('{') {
            // Malformed JSON: QEMU would not have started, nothing to tell.
            if let Ok(value) = serde_json::from_str(text) {
                flatten("", &value, &mut properties);
            }
            return Self(properties);
        }
        for (position, item) in split_items(text).into_iter().enumerate() {
            let (key, value) = match item.split_once('=') {
                Some((key, value)) => (key, value),
                None if position == 0 => (implied, item.as_str()),
                None => (item.as_str(), "on"),
            };
            properties.insert(key.to_owned(), value.to_owned());
        }
        Self(properties)
    }

    /// The value of a property.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }
}

/// Splits at commas; a doubled comma stands for one inside an item.
fn split_items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ',' && chars.next_if_eq(&',').is_none() {
            items.push(String::new());
        } else if let Some(item) = items.last_mut() {
            item.push(c);
        }
    }
    items
}

/// Members of nested objects get dotted keys, as in the other form.
fn flatten(prefix: &str, value: &Value, properties: &mut HashMap<String, String>) {
    let text = match value {
        Value::Object(members) => {
            for (key, member) in members {
                let key = match prefix {
                    "" => key.clone(),
                    prefix => format!("{prefix}.{key}"),
                };
                flatten(&key, member, properties);
            }
            return;
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    properties.insert(prefix.to_owned(), text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> QemuArgs {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(&argv)
    }

    fn tap(fds: &[u32]) -> Net {
        Net {
            backend: "tap".into(),
            fds: fds.to_vec(),
            ..Net::default()
        }
    }

    #[test]
    fn command_line_by_libvirt() {
        let cmdline = include_bytes!("../../tests/data/inventory/cmdline");
        let args = parse(&split(cmdline));
        assert_eq!(args.name.as_deref(), Some("owt"));
        assert_eq!(
            args.uuid.as_deref(),
            Some("299ca1ed-40c0-4352-97b7-f0eeca5000d6")
        );
        assert_eq!(args.memory_kib, Some(224 << 10));
        assert!(!args.is_probe);
        let net = Net {
            mac: Some("52:54:00:0f:00:11".into()),
            ..tap(&[30])
        };
        assert_eq!(args.nets, [net]);
        assert_eq!(args.pci, [] as [String; 0]);
    }

    #[test]
    fn memory() {
        for (size, kib) in [
            ("512", Some(512 << 10)),
            ("size=262144k,slots=2,maxmem=4G", Some(262_144)),
            ("1.5G", Some(3 << 19)),
            ("2T", Some(2 << 30)),
            ("1048576B", Some(1024)),
            ("much", None),
            ("-5", None),
            ("99999999999999999999", None),
        ] {
            let argv = ["qemu", "-m", size].map(str::to_owned);
            assert_eq!(parse(&argv).memory_kib, kib, "{size}");
        }
    }

    #[test]
    fn names() {
        for (line, name) in [
            ("qemu -name guest=a,debug-threads=on", Some("a")),
            ("qemu -name a", Some("a")),
            ("qemu -name a,process=b", Some("a")),
            ("qemu --name guest=a,,b", Some("a,b")),
            ("qemu -name a=b", None),
            ("qemu -name debug-threads=on", None),
            ("qemu -name \x1b]0;x\x07", Some("?]0;x?")),
            ("qemu -name", None),
            ("qemu -name ", None),
            ("-name", None),
        ] {
            assert_eq!(args(line).name.as_deref(), name, "{line:?}");
        }
    }

    #[test]
    fn taps_in_all_forms() {
        assert_eq!(
            args("q -netdev tap,fds=30:31,vhost=on,vhostfds=40:41,id=n").nets,
            [tap(&[30, 31])]
        );
        assert_eq!(
            args(r#"q -netdev {"type":"tap","fds":"30:31","id":"n"}"#).nets,
            [tap(&[30, 31])]
        );
        assert_eq!(
            args(r#"q -netdev {"type":"tap","fd":30}"#).nets,
            [tap(&[30])]
        );
        let named = Net {
            ifname: Some("tap0".into()),
            mac: Some("52:54:00:00:00:01".into()),
            ..tap(&[])
        };
        for line in [
            "q -netdev tap,id=n,ifname=tap0,script=no -device virtio-net-pci,netdev=n,mac=52:54:00:00:00:01",
            "q -device virtio-net-pci,mac=52:54:00:00:00:01,netdev=n -netdev tap,id=n,ifname=tap0",
            "q -nic tap,ifname=tap0,mac=52:54:00:00:00:01,model=virtio",
        ] {
            assert_eq!(args(line).nets, std::slice::from_ref(&named), "{line}");
        }
        assert_eq!(
            args("q -net nic,macaddr=52:54:00:00:00:01 -net tap,fd=7").nets,
            [tap(&[7])]
        );
        assert_eq!(
            args("q -netdev tap,fd=-1 -netdev tap,fd=x:").nets,
            [tap(&[]), tap(&[])]
        );
    }

    #[test]
    fn backends() {
        for (line, backend) in [
            ("q -netdev user,id=n", "slirp"),
            ("q -nic user,hostfwd=tcp::22-:22", "slirp"),
            ("q -netdev bridge,br=br0,id=n", "tap"),
            ("q -netdev passt,id=n", "passt"),
            (
                r#"q -netdev {"type":"stream","addr":{"type":"unix","path":"/run/passt/a.socket"},"server":false,"id":"n"}"#,
                "passt",
            ),
            (
                "q -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/passt_1.socket",
                "passt",
            ),
            (
                "q -netdev dgram,id=n,local.type=inet,local.host=::1",
                "socket",
            ),
            ("q -netdev socket,listen=:1", "socket"),
            (
                "q -chardev socket,id=c,path=/run/vhu0 -netdev vhost-user,chardev=c,id=n",
                "vhost-user",
            ),
            (
                "q -chardev socket,id=c,path=/run/passt/a -netdev vhost-user,chardev=c,id=n",
                "passt",
            ),
            (
                "q -netdev vhost-vdpa,vhostdev=/dev/vhost-vdpa-0,id=n",
                "vdpa",
            ),
            ("q -netdev l2tpv3,id=n", "l2tpv3"),
        ] {
            let nets = args(line).nets;
            let backends: Vec<_> = nets.iter().map(|net| net.backend.as_str()).collect();
            assert_eq!(backends, [backend], "{line}");
        }
        assert_eq!(
            args("q -nic none -net none -netdev hubport,id=h,hubid=0").nets,
            []
        );
    }

    #[test]
    fn pci_devices() {
        let args = args(
            r#"q -device vfio-pci,host=3b:02.1 -device {"driver":"vfio-pci","host":"0000:3b:02.2"} -device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:3b:02.3"#,
        );
        assert_eq!(args.pci, ["3b:02.1", "0000:3b:02.2", "0000:3b:02.3"]);
    }

    #[test]
    fn capability_probes_are_no_vms() {
        assert!(args("q -S -machine none,accel=kvm:tcg").is_probe);
        assert!(args("q -M none").is_probe);
        assert!(!args("q -machine q35").is_probe);
    }

    #[test]
    fn bad_input() {
        assert_eq!(split(b""), [] as [String; 0]);
        assert_eq!(split(b"\0"), [] as [String; 0]);
        assert_eq!(split(b"a\0\0b\0"), ["a", "", "b"]);
        let odd = split(
            b"qemu\0-name\0guest=\xff\xfe\0-netdev\0{\"type\":\0-device\0{}\0-netdev\0,,,=\0-nic\0",
        );
        let args = parse(&odd);
        assert_eq!(args.name.as_deref(), Some("\u{fffd}\u{fffd}"));
        assert_eq!(args.nets.len(), 1);
        let cmdline = include_bytes!("../../tests/data/inventory/cmdline");
        for end in 0..cmdline.len() {
            let _ = parse(&split(&cmdline[..end]));
        }
        let deep = "[".repeat(100_000);
        assert_eq!(
            parse(&["-netdev".into(), format!("{{\"type\":{deep}")]).nets,
            []
        );
    }
}
