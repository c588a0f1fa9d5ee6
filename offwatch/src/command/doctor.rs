//! `offwatch doctor`: what can be observed on this host, why not, and what each
//! lack costs.

mod exact;
mod facts;

use std::io::{self, Write as _};

use serde::Serialize;

use crate::{
    cli::{DoctorArgs, HookChoice},
    collector::{observed_netns, system_text},
    error::Error,
    inventory::vms::{self, Vms},
    probe::{self, Probe, ProbeError},
    sample::{Hook, Reads},
};

/// Name of the JSON form.
const SCHEMA: &str = "offwatch.doctor";
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    version: u32,
    offwatch: &'static str,
    kernel: String,
    /// Whether `top` can count packets.
    usable: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    /// What was found.
    found: String,
    /// What the user cannot see because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Missing,
    /// Cannot be seen, which is neither.
    Unknown,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            found: found.into(),
            costs: None,
        }
    }

    fn unknown(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            status: Status::Unknown,
            ..Self::ok(name, found)
        }
    }

    fn missing(name: &'static str, found: impl Into<String>, costs: &'static str) -> Self {
        Self {
            name,
            status: Status::Missing,
            found: found.into(),
            costs: Some(costs),
        }
    }
}

/// Looks, prints, and fails if packets cannot be counted at all. Programs are
/// loaded and attached for a moment, which is the only true test of a hook.
pub fn run(args: &DoctorArgs) -> Result<(), Error> {
    let netns = observed_netns()?;
    let mut checks = vec![btf(), capabilities()];
    let mut refused = Vec::new();
    let mut usable = Vec::new();
    let mut reads = None;
    let mut exact_hooks = None;
    for hook in HookChoice::Auto.hooks() {
        match Probe::start(*hook, netns) {
            Ok(probe) => {
                usable.push(*hook);
                reads = reads.or(Some(probe.reads()));
                exact_hooks.get_or_insert_with(|| probe.exact_hooks());
            }
            Err(error) => refused.push((*hook, error)),
        }
    }
    checks.insert(1, lockdown(reads));
    for hook in HookChoice::Auto.hooks() {
        let error = refused.iter().find(|(of, _)| of == hook);
        checks.push(hook_check(*hook, error.map(|(_, error)| error), &usable));
    }
    checks.extend(exact::checks(exact_hooks.as_ref()));
    checks.push(processes());
    checks.push(libvirt(args));
    checks.extend([facts::features(), facts::sysfs(), facts::kernel_log()]);

    let report = Report {
        schema: SCHEMA,
        version: VERSION,
        offwatch: env!("CARGO_PKG_VERSION"),
        kernel: system_text("osrelease"),
        usable: !usable.is_empty(),
        checks,
    };
    print(&report, args.json).map_err(Error::stdout)?;
    if report.usable {
        return Ok(());
    }
    let refused = refused.into_iter().map(|(_, error)| error).collect();
    Err(ProbeError::of_all(refused).into())
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut stdout, report)?;
        return writeln!(stdout);
    }
    writeln!(
        stdout,
        "offwatch {} on Linux {}",
        report.offwatch, report.kernel
    )?;
    for check in &report.checks {
        let mark = match check.status {
            Status::Ok => "ok     ",
            Status::Missing => "MISSING",
            Status::Unknown => "unknown",
        };
        writeln!(stdout, "{mark}  {:<17} {}", check.name, check.found)?;
        if let Some(costs) = check.costs {
            writeln!(stdout, "{:27}without it: {costs}", "")?;
        }
    }
    Ok(())
}

fn btf() -> Check {
    const NAME: &str = "BTF";
    match probe::btf::Btf::of_kernel() {
        Ok(_) => Check::ok(
            NAME,
            format!("the kernel describes its types in {}", probe::btf::VMLINUX),
        ),
        Err(error) => Check::missing(
            NAME,
            error.to_string(),
            "no packet can be counted; use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

/// Whether lockdown is felt depends on the kernel: `reads` is what the programs
/// of the first usable hook can read.
fn lockdown(reads: Option<Reads>) -> Check {
    const NAME: &str = "lockdown";
    let path = "/sys/kernel/security/lockdown";
    let text = std::fs::read_to_string(path).ok();
    let mode = text.as_deref().and_then(lockdown_mode);
    if reads == Some(Reads::FieldsOnly) {
        return Check::missing(
            NAME,
            format!(
                "{}: programs can read the fields of struct sk_buff, and nothing else",
                mode.unwrap_or("not to be read here, but in force")
            ),
            "GSO, segment sizes, oversize frames and software work are not seen; bytes, packets, \
             lengths, checksum state and drops are. From Linux 6.2 on all is seen",
        );
    }
    match mode {
        Some(mode) => Check::ok(NAME, mode),
        None => Check::unknown(NAME, format!("{path} cannot be read")),
    }
}

/// The mode in brackets: `none [integrity] confidentiality`.
fn lockdown_mode(text: &str) -> Option<&str> {
    text.split_once('[')?
        .1
        .split_once(']')
        .map(|(mode, _)| mode)
}

fn capabilities() -> Check {
    const NAME: &str = "capabilities";
    let missing = probe::missing_capabilities(Hook::Tp);
    if missing.is_empty() {
        return Check::ok(NAME, "CAP_BPF and CAP_PERFMON");
    }
    Check::missing(
        NAME,
        format!("{} missing: run as root", missing.join(" and ")),
        "no packet can be counted",
    )
}

fn hook_check(hook: Hook, error: Option<&ProbeError>, usable: &[Hook]) -> Check {
    let (name, works) = match hook {
        Hook::Tp => ("hook tp", "BTF tracepoints load and attach"),
        Hook::Raw => ("hook raw", "raw tracepoints load and attach"),
        Hook::Tc => ("hook tc", "tcx programs load"),
    };
    let Some(error) = error else {
        return Check::ok(name, works);
    };
    let costs = match usable.first() {
        None => "no packet can be counted",
        Some(Hook::Tp) => "nothing while hook tp works",
        Some(Hook::Raw) if hook == Hook::Tp => "hook raw counts the same at a higher cost",
        Some(Hook::Raw) => "nothing while hook raw works",
        Some(Hook::Tc) => {
            "hook tc counts frames, but no drops, and software work only where it is exact"
        }
    };
    let told = error.to_string();
    let prefix = format!("{name}: ");
    Check::missing(name, told.strip_prefix(&prefix).unwrap_or(&told), costs)
}

fn processes() -> Check {
    const NAME: &str = "QEMU processes";
    const COSTS: &str = "names of VMs that libvirt does not know";
    if !probe::can_read_processes() {
        return Check::missing(NAME, "CAP_SYS_PTRACE missing: run as root", COSTS);
    }
    match vms::unreadable_processes() {
        Ok(0) => Check::ok(NAME, "readable in /proc"),
        Ok(unreadable) => Check::missing(
            NAME,
            format!("descriptors of {unreadable} processes are not readable"),
            COSTS,
        ),
        Err(error) => Check::missing(NAME, format!("/proc cannot be read: {error}"), COSTS),
    }
}

fn libvirt(args: &DoctorArgs) -> Check {
    const NAME: &str = "libvirt";
    match Vms::open(args.connect.clone()).and_then(|vms| vms.libvirt_state()) {
        Ok(state) => Check::ok(NAME, state),
        Err(reason) => Check::missing(
            NAME,
            reason,
            "VM names come from /run/libvirt and QEMU's command lines; shut off VMs are not shown",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_brackets_is_the_one() {
        assert_eq!(
            lockdown_mode("none [integrity] confidentiality\n"),
            Some("integrity")
        );
        assert_eq!(
            lockdown_mode("[none] integrity confidentiality\n"),
            Some("none")
        );
        assert_eq!(lockdown_mode("none"), None);
    }
}
