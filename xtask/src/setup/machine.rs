//! What this machine has of what is needed.

use anyhow::Result;

use super::apt::Installed;
use super::needs::{GROUPS, Group, Need};
use super::os::Family;
use crate::ebpf::Compiler;

pub(super) struct Machine {
    pub(super) family: Family,
    /// Debian's packages; elsewhere programs and libraries are looked for.
    installed: Option<Installed>,
    /// A compiler for BPF that is not of Debian's packages.
    other_bpf_compiler: bool,
}

impl Machine {
    pub(super) fn read() -> Result<Self> {
        let family = Family::of_this_machine();
        let installed = (family == Family::Debian)
            .then(Installed::read)
            .transpose()?;
        let mut machine = Self {
            family,
            installed,
            other_bpf_compiler: false,
        };
        let packaged = GROUPS
            .iter()
            .flat_map(|group| group.needs)
            .any(|need| need.compiles_bpf && machine.has(need));
        machine.other_bpf_compiler = !packaged && Compiler::find().is_some();
        Ok(machine)
    }

    pub(super) fn has(&self, need: &Need) -> bool {
        if need.compiles_bpf && self.other_bpf_compiler {
            return true;
        }
        match &self.installed {
            Some(installed) => self
                .packages(need)
                .iter()
                .any(|package| installed.has(package)),
            None => need.presence.found(),
        }
    }

    /// What it is called here: none if it is not wanted here.
    pub(super) fn packages(&self, need: &Need) -> &'static [&'static str] {
        need.packages(self.family)
    }

    /// The packages to install.
    pub(super) fn missing(&self, group: &Group) -> Vec<&'static str> {
        let missing = group.needs.iter().filter(|need| !self.has(need));
        missing
            .filter_map(|need| self.packages(need).first().copied())
            .collect()
    }
}
