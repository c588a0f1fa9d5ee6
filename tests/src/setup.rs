//! How interfaces of a namespace are set up, by offwatch and by what `ip` and
//! `tc` print.

use anyhow::{Context, Result, bail};
use offwatch::{facts::device::Device, inventory::setup, sample::offloads::Fact};
use serde_json::Value;

use crate::{command::run, netns::Netns, skip::left_out};

/// All interfaces, by ifindex.
pub fn devices(ns: &Netns) -> Result<Vec<Device>> {
    match ns.run(setup::devices)? {
        Fact::Known(devices) => Ok(devices),
        Fact::Unavailable(reason) => bail!("{reason}"),
    }
}

/// One interface.
pub fn device(ns: &Netns, dev: &str) -> Result<Device> {
    let mut devices = devices(ns)?.into_iter();
    let found = devices.find(|device| device.dev == dev);
    found.with_context(|| format!("{dev} is not listed"))
}

/// Runs a command and returns what it prints.
pub fn set(ns: &Netns, command: &str) -> Result<String> {
    run(ns, &command.split_whitespace().collect::<Vec<_>>())
}

/// Whether this kernel takes a command; says so if it does not.
pub fn can(ns: &Netns, command: &str) -> bool {
    let result = set(ns, command);
    if result.is_err() {
        left_out(&format!("this kernel has no `{command}`"));
    }
    result.is_ok()
}

/// What a command prints of all devices, as JSON.
pub fn printed(ns: &Netns, command: &str) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&set(ns, command)?)?)
}
