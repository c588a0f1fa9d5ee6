//! What rows can be ordered by, and its names.

use std::{fmt, str::FromStr};

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// libvirt's id.
    Id,
    /// Name.
    Name,
    /// CPU time in the interval.
    #[default]
    Cpu,
    /// Memory the VM is given.
    Memory,
    /// CPU time since its start.
    Time,
    /// Bytes received.
    NetRx,
    /// Bytes sent.
    NetTx,
    /// Requests to read from disks.
    BlockReads,
    /// Requests to write to disks.
    BlockWrites,
    /// Share of bytes in GSO frames, both directions together.
    Gso,
    /// Segments that the host cuts for frames to the VM.
    SoftwareSegments,
    /// Bytes that the host checksums for frames to the VM.
    Checksums,
    /// Frames, both directions together.
    Packets,
    /// Frames that the kernel dropped, both directions together.
    Drops,
    /// CPU time that the host takes to segment and checksum frames to the VM;
    /// where that cannot be timed, the segments.
    Cost,
    /// Segments that the host cuts of frames from the VM.
    Causes,
}

/// Name on the command line, further names, and what the menu says.
type Names = (&'static str, &'static [&'static str], &'static str);

impl Key {
    /// All of them, in the order of the menu: virt-top's first.
    pub const ALL: [Self; 16] = [
        Self::Id,
        Self::Name,
        Self::Cpu,
        Self::Memory,
        Self::Time,
        Self::NetRx,
        Self::NetTx,
        Self::BlockReads,
        Self::BlockWrites,
        Self::Gso,
        Self::SoftwareSegments,
        Self::Checksums,
        Self::Packets,
        Self::Drops,
        Self::Cost,
        Self::Causes,
    ];

    fn names(self) -> Names {
        match self {
            Self::Id => ("id", &[], "Domain ID"),
            Self::Name => ("name", &[], "Domain name"),
            Self::Cpu => ("cpu", &["processor"], "%CPU"),
            Self::Memory => ("mem", &["memory"], "%MEM"),
            Self::Time => ("time", &[], "TIME (CPU time)"),
            Self::NetRx => ("netrx", &["rx"], "Net RX bytes"),
            Self::NetTx => ("nettx", &["tx"], "Net TX bytes"),
            Self::BlockReads => ("blockrdrq", &[], "Block read reqs"),
            Self::BlockWrites => ("blockwrrq", &[], "Block write reqs"),
            Self::Gso => ("gso", &[], "Share of bytes in GSO frames"),
            Self::SoftwareSegments => ("swseg", &[], "Software segments"),
            Self::Checksums => ("csum", &["swcsum"], "Software checksum bytes"),
            Self::Packets => ("pps", &[], "Packets"),
            Self::Drops => ("drops", &["drop"], "Drops"),
            Self::Cost => ("cost", &[], "CPU time of software work"),
            Self::Causes => ("causes", &[], "Software segments caused"),
        }
    }

    /// Further names on the command line and in the init file: virt-top's, and those of
    /// columns.
    pub fn other_names(self) -> &'static [&'static str] {
        self.names().1
    }

    /// Its name on the command line and in the init file.
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// What the menu says.
    pub fn label(self) -> &'static str {
        self.names().2
    }

    /// It is one of offwatch's own, for which network cards must be made.
    pub fn needs_interfaces(self) -> bool {
        matches!(
            self,
            Self::Gso
                | Self::SoftwareSegments
                | Self::Checksums
                | Self::Packets
                | Self::Drops
                | Self::Cost
                | Self::Causes
        )
    }

    /// Whether the least comes first.
    pub(super) fn ascends(self) -> bool {
        matches!(self, Self::Id | Self::Name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |key: &Self| {
            let (name, others, _) = key.names();
            name == text || others.contains(&text)
        };
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            let all = Self::ALL.map(|key| match key.names() {
                (name, [other, ..], _) => format!("{name} ({other})"),
                (name, [], _) => name.to_owned(),
            });
            format!("not a sort key; there are {}", all.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_by_all_their_names() {
        for key in Key::ALL {
            assert_eq!(key.name().parse(), Ok(key));
        }
        for column in ["causes", "swcsum", "drop", "rx", "tx"] {
            assert!(column.parse::<Key>().is_ok(), "{column}");
        }
        let mut names: Vec<&str> = Key::ALL
            .iter()
            .flat_map(|key| [&[key.name()], key.other_names()].concat())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name of two keys");
        assert_eq!("processor".parse(), Ok(Key::Cpu));
        assert_eq!("memory".parse(), Ok(Key::Memory));
        let error = "foo".parse::<Key>().unwrap_err();
        for key in Key::ALL {
            assert!(error.contains(key.name()), "{key}: {error}");
        }
    }
}
