//! Which distribution this is, by os-release(5).

use std::fs;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Family {
    Debian,
    Fedora,
    Arch,
    Suse,
    Unknown,
}

impl Family {
    pub(super) fn of_this_machine() -> Self {
        let read = |path| fs::read_to_string(path);
        let text = read("/etc/os-release").or_else(|_| read("/usr/lib/os-release"));
        Self::from_os_release(&text.unwrap_or_default())
    }

    /// By its own name first, then by what it says it is like.
    fn from_os_release(text: &str) -> Self {
        ["ID", "ID_LIKE"]
            .into_iter()
            .filter_map(|field| value(text, field))
            .flat_map(str::split_whitespace)
            .map(Self::from_id)
            .find(|family| *family != Self::Unknown)
            .unwrap_or(Self::Unknown)
    }

    fn from_id(id: &str) -> Self {
        match id {
            "debian" | "ubuntu" => Self::Debian,
            "fedora" | "rhel" | "centos" => Self::Fedora,
            "arch" => Self::Arch,
            "suse" | "opensuse" => Self::Suse,
            _ if id.starts_with("opensuse-") => Self::Suse,
            _ => Self::Unknown,
        }
    }

    /// What a user types to install the packages that are named after it.
    pub(super) fn install_command(self) -> Option<&'static str> {
        match self {
            Self::Fedora => Some("dnf install"),
            Self::Arch => Some("pacman -S --needed"),
            Self::Suse => Some("zypper install --no-recommends"),
            Self::Debian | Self::Unknown => None,
        }
    }
}

fn value<'text>(text: &'text str, field: &str) -> Option<&'text str> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix(field)?.strip_prefix('='))
        .map(|value| value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_and_their_relatives() {
        for (text, family) in [
            (
                "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n",
                Family::Debian,
            ),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Family::Debian),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Family::Fedora,
            ),
            ("ID_LIKE=arch\nID=endeavouros\n", Family::Arch),
            (
                "ID='opensuse-tumbleweed'\nID_LIKE=\"opensuse suse\"",
                Family::Suse,
            ),
            ("ID=nixos\n", Family::Unknown),
            ("VERSION_ID=12\nBUILD_ID=debian\n", Family::Unknown),
            ("", Family::Unknown),
        ] {
            assert_eq!(Family::from_os_release(text), family, "{text}");
        }
    }
}
