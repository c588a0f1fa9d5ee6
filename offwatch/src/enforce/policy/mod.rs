//! The policy: what an administrator wants of which interfaces, from a TOML file.
//!
//! Strict: a key, a name or a value that is not understood is an error with its
//! line, as a rule that is read wrongly changes a host. Names of features are
//! those of the kernel that runs, so they are looked up when a plan is made.

mod check;
mod error;
pub mod file;
mod pattern;
#[cfg(test)]
mod tests;
mod written;

use std::time::Duration;

use super::canary;

pub use self::{
    error::{PolicyError, Problem},
    pattern::Glob,
    written::schema,
};

/// Version of the form of a policy.
pub const VERSION: u64 = 1;

/// A policy that is well formed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Changes are taken back unless they are confirmed within this time.
    pub confirm: Option<Duration>,
    /// Changes are made on one interface first.
    pub canary: bool,
    /// How a canary is judged.
    pub canary_settings: canary::Settings,
    /// How often a change is made again.
    pub watch: WatchLimits,
    /// Rules, in the order of the file.
    pub rules: Vec<Rule>,
}

/// How often `--watch` makes a change of one interface again before it is
/// contested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchLimits {
    /// So often at once.
    pub burst: u32,
    /// So often a minute, over time.
    pub per_minute: u32,
}

impl Default for WatchLimits {
    fn default() -> Self {
        Self {
            burst: 10,
            per_minute: 1,
        }
    }
}

/// What is wanted of some interfaces.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Line where it begins.
    pub line: usize,
    /// Which interfaces.
    pub matches: Match,
    /// Features to be switched, by the names of the file.
    pub features: Vec<Wish>,
    /// Attributes of `<driver>` in the definitions of VMs.
    pub definition: Switches,
    /// Why, for people.
    pub reason: Option<String>,
}

/// Which interfaces a rule is about: all that is given holds.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// Name of the VM.
    pub vm: Option<Glob>,
    /// Name of the bridge, bond or switch that it belongs to.
    pub bridge: Option<Glob>,
    /// Name of the interface.
    pub device: Option<Glob>,
    /// Its driver, as `ethtool -i` prints it.
    pub driver: Option<Glob>,
    /// The guest's operating system, as libosinfo names it.
    pub os: Option<Glob>,
    /// Rule of the advice: what that advises is done.
    pub advice: Option<String>,
}

impl Match {
    /// Whether it takes the VMs of a host to tell.
    pub fn asks_for_vms(&self) -> bool {
        self.vm.is_some() || self.os.is_some()
    }

    /// Whether nothing but a rule of the advice is given.
    pub fn is_about_advice_alone(&self) -> bool {
        let globs = [&self.vm, &self.bridge, &self.device, &self.driver, &self.os];
        globs.into_iter().all(Option::is_none)
    }
}

/// A feature that is to be on or off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its name, of the kernel or a legacy one of ethtool.
    pub name: String,
    /// Whether it is to be on.
    pub on: bool,
    /// Line of it.
    pub line: usize,
}

/// Attributes of libvirt's `<driver>` of a card, and whether they are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Of `<host .../>`: what the guest may send.
    pub host: Vec<(String, bool)>,
    /// Of `<guest .../>`: what it may receive.
    pub guest: Vec<(String, bool)>,
}

impl Switches {
    /// Whether nothing is to be switched.
    pub fn is_empty(&self) -> bool {
        self.host.is_empty() && self.guest.is_empty()
    }
}

impl Policy {
    /// Reads the bytes of a policy. Any bytes are answered, with a policy or with
    /// what is wrong and where.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            PolicyError::at(error::line(before), Problem::NotText)
        })?;
        check::policy(text, written::Written::read(text)?)
    }
}
