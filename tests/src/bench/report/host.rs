//! Where it was measured.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

/// A machine. Results of two machines are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::bench) struct Host {
    pub(in crate::bench) kernel: String,
    pub(in crate::bench) cpu: String,
    pub(in crate::bench) processors: usize,
    /// Whether it is itself a virtual machine.
    pub(in crate::bench) is_virtual: bool,
    pub(in crate::bench) memory_gib: u64,
}

impl Host {
    pub(in crate::bench) fn here() -> Result<Self> {
        let uname = uname().context("uname")?;
        let cpu = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let values = |wanted: &'static str| {
            let lines = cpu.lines().filter_map(|line| line.split_once(':'));
            lines
                .filter(move |(key, _)| key.trim() == wanted)
                .map(|(_, value)| value.trim())
        };
        let memory = fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        let memory_kib: u64 = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|line| line.split_whitespace().next())
            .context("MemTotal in /proc/meminfo")?
            .parse()
            .context("MemTotal in /proc/meminfo")?;
        let model = values("model name").next();
        Ok(Self {
            kernel: uname.release().to_string_lossy().into_owned(),
            cpu: model.unwrap_or(std::env::consts::ARCH).to_owned(),
            processors: values("processor").count(),
            is_virtual: values("flags").any(|flags| {
                let mut flags = flags.split_whitespace();
                flags.any(|flag| flag == "hypervisor")
            }),
            memory_gib: (memory_kib as f64 / 1024.0 / 1024.0).round() as u64,
        })
    }

    /// In one line.
    pub(in crate::bench) fn line(&self) -> String {
        let kind = match self.is_virtual {
            true => " of a virtual machine",
            false => "",
        };
        format!(
            "Linux {}, {}, {} processors{kind}, {} GiB",
            self.kernel, self.cpu, self.processors, self.memory_gib
        )
    }
}
