//! Packages whose service Debian would start, and at every boot: the tests start
//! their own.

use std::{ffi::OsStr, path::Path};

use crate::as_root::{is_root, root_command};
use crate::run;

/// The package, and its unit.
const STARTED: [(&str, &str); 1] = [("prometheus", "prometheus.service")];

/// Units that are not started while this lives, and are left disabled. Only of
/// packages that are not there yet: what already runs stays as it is.
pub(super) struct Unstarted(Vec<&'static str>);

impl Unstarted {
    /// Of packages that are going to be installed.
    pub(super) fn of(packages: &[&str]) -> Self {
        let units = STARTED
            .into_iter()
            .filter(|(package, _)| packages.contains(package))
            .map(|(_, unit)| unit);
        let units: Vec<&str> = units.collect();
        if is_running() {
            for unit in &units {
                systemctl(&["mask", "--runtime", unit]);
            }
        }
        Self(units)
    }
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        for unit in &self.0 {
            if is_running() {
                systemctl(&["unmask", "--runtime", unit]);
            }
            systemctl(&["disable", unit]);
            println!("{unit} is not started, nor at boot; systemctl enable --now {unit} does it");
        }
    }
}

/// Whether systemd is there to start anything. To mask a unit would else make this
/// directory, by which others tell.
fn is_running() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// What fails shows: the unit runs, or is listed as enabled.
fn systemctl(args: &[&str]) {
    let mut command = root_command(OsStr::new("systemctl"), is_root());
    if !run::succeeds(command.arg("--quiet").args(args)) {
        eprintln!("note: systemctl {} did nothing", args.join(" "));
    }
}
