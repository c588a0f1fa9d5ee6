//! The root file system of a boot: programs that all boots share, modules of
//! one kernel, and what is particular to the boot. The kernel unpacks archives
//! that follow each other, so each part is made once.

use super::kernels::Kernel;
use super::{Boot, Mode, Options};
use crate::command;
use crate::cpio::Archive;
use crate::modules;
use crate::programs::{add_libraries, add_program};
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const INIT: &str = include_str!("init.sh");

/// Programs of the host that the tests run. `ip` and `tc` in particular must
/// not be busybox's.
const TOOLS: &[&str] = &["busybox", "ip", "tc", "bridge", "ethtool"];

/// Modules that the tests may want. They are loaded at boot, because busybox's
/// modprobe could not load them on demand.
const MODULES: &[&str] = &[
    "tun",
    "tap",
    "macvlan",
    "macvtap",
    "vhost_net",
    "bridge",
    "veth",
    "ifb",
    "vxlan",
    "dummy",
    "8021q",
    "sctp",
    "crc32c_generic",
    "bonding",
    "sch_ingress",
    "sch_htb",
    "sch_tbf",
    "sch_sfq",
    "sch_fq_codel",
    "sch_fq",
    "sch_netem",
    "sch_prio",
    "cls_u32",
    "cls_bpf",
    "cls_fw",
    "cls_matchall",
    "act_bpf",
    "act_police",
    "act_mirred",
    "act_gact",
    "virtio_console",
];

/// Where the empty BPF programs are.
const EMPTY_OBJECT: &str = "lib/offwatch-empty.bpf.o";

/// The part that holds `offwatch`, the tests and the tools.
pub(super) struct Programs {
    archive: Vec<u8>,
    tests: Vec<String>,
}

impl Programs {
    pub(super) fn pack(options: &Options) -> Result<Self> {
        let mut archive = Archive::default();
        for directory in [
            "proc", "sys", "dev", "tmp", "run", "var/tmp", "root", "sbin",
        ] {
            archive.directory(directory);
        }
        archive.file("init", 0o755, INIT.as_bytes());
        archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
        archive.file("etc/group", 0o644, b"root:x:0:\n");
        for tool in TOOLS {
            add_program(&mut archive, tool)?;
        }
        add_tc_plugins(&mut archive)?;
        add(&mut archive, "bin/offwatch", &options.program)?;
        if let Some(object) = &options.empty_object {
            archive.file(EMPTY_OBJECT, 0o644, &read(object)?);
        }
        let mut tests = Vec::new();
        for path in &options.tests {
            let name = test_name(path)?;
            ensure!(!tests.contains(&name), "two tests are named {name}");
            add(&mut archive, &format!("tests/{name}"), path)?;
            tests.push(name);
        }
        Ok(Self {
            archive: archive.finish(),
            tests,
        })
    }

    /// Names of the tests.
    pub(super) fn tests(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(String::as_str)
    }
}

/// The part that belongs to a kernel.
pub(super) struct Modules {
    archive: Vec<u8>,
    /// Wanted modules that this kernel does not have.
    pub(super) absent: Vec<String>,
}

impl Modules {
    pub(super) fn pack(kernel: &Kernel) -> Result<Self> {
        let closure = modules::closure(&kernel.tree, MODULES)?;
        let mut archive = Archive::default();
        let mut order = String::new();
        for module in &closure.modules {
            let file = format!("modules/{}.ko", module.name);
            archive.file(file, 0o644, &module.data);
            let _ = writeln!(order, "{}", module.name);
        }
        archive.file("modules/order", 0o644, order.as_bytes());
        if let Some(config) = &kernel.config {
            archive.file(
                format!("boot/config-{}", kernel.release),
                0o644,
                &read(config)?,
            );
        }
        Ok(Self {
            archive: archive.finish(),
            absent: closure.absent,
        })
    }
}

/// Writes the initramfs of a boot to a file without a name: it is gone with the
/// runner, however that ends.
pub(super) fn write(
    directory: &Path,
    programs: &Programs,
    modules: &Modules,
    boot: &Boot<'_>,
    options: &Options,
) -> Result<File> {
    let mut archive = Archive::default();
    let tests = boot.tests.iter();
    let tests: String = tests.flat_map(|name| [name, "\n"]).collect();
    archive.file("etc/offwatch/tests", 0o644, tests.as_bytes());
    let environment = environment(boot, options)?;
    archive.file("etc/offwatch/environment", 0o644, environment.as_bytes());
    let arguments = arguments(&options.arguments);
    archive.file("etc/offwatch/arguments", 0o644, arguments.as_bytes());

    let mut file = tempfile::tempfile_in(directory).context("create the initramfs")?;
    for part in [&programs.archive, &modules.archive, &archive.finish()] {
        file.write_all(part).context("write the initramfs")?;
    }
    Ok(file)
}

fn environment(boot: &Boot<'_>, options: &Options) -> Result<String> {
    let mut variables = vec![
        "OFFWATCH_BIN=/bin/offwatch".to_owned(),
        "OFFWATCH_VM=1".to_owned(),
        // A test that skips itself for want of root or taps has failed here.
        "OFFWATCH_REQUIRE_LAB=1".to_owned(),
        // Every kernel here has the module.
        "OFFWATCH_REQUIRE_VHOST=1".to_owned(),
        format!("OFFWATCH_LAB_SCALE={}", options.scale),
        format!("OFFWATCH_KERNEL={}", boot.label),
        "RUST_BACKTRACE=1".to_owned(),
        "HOME=/root".to_owned(),
        "TERM=linux".to_owned(),
    ];
    match boot.mode {
        Mode::Plain => {}
        Mode::Lockdown => variables.push("OFFWATCH_LOCKDOWN=confidentiality".to_owned()),
        Mode::Icount => variables.push(format!("OFFWATCH_ICOUNT=/{EMPTY_OBJECT}")),
    }
    variables.extend(options.environment.iter().cloned());
    let mut script = String::new();
    for variable in variables {
        let (name, value) = variable
            .split_once('=')
            .with_context(|| format!("{variable} is not NAME=VALUE"))?;
        let _ = writeln!(script, "export {name}={}", quote(value));
    }
    Ok(script)
}

/// Sets the shell's positional parameters.
fn arguments(given: &[String]) -> String {
    let mut script = "set --".to_owned();
    for argument in ["--test-threads=1", "--nocapture"] {
        // libtest refuses an option given twice.
        let name = argument.split('=').next().unwrap_or(argument);
        if !given.iter().any(|own| own.starts_with(name)) {
            let _ = write!(script, " {argument}");
        }
    }
    for argument in given {
        let _ = write!(script, " {}", quote(argument));
    }
    script.push('\n');
    script
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn add(archive: &mut Archive, name: &str, path: &Path) -> Result<()> {
    let data = match without_debug_information(path) {
        Some(stripped) => stripped,
        None => read(path)?,
    };
    archive.file(name, 0o755, &data);
    add_libraries(archive, path)
}

/// A tenth of the size, which a guest would have to unpack and to hold. Names of
/// functions stay. `None` where binutils is not installed.
fn without_debug_information(program: &Path) -> Option<Vec<u8>> {
    let stripped = tempfile::NamedTempFile::new().ok()?;
    let mut strip = Command::new("strip");
    strip.args(["--strip-debug", "-o"]).arg(stripped.path());
    command::bytes(strip.arg(program)).ok()?;
    fs::read(stripped.path()).ok()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// tc keeps tables of distributions and some actions in a directory of its own,
/// which depends on the architecture's library path.
fn add_tc_plugins(archive: &mut Archive) -> Result<()> {
    let libraries = fs::read_dir("/usr/lib").context("list /usr/lib")?;
    let homes = libraries.flatten().map(|entry| entry.path().join("tc"));
    for home in homes.chain([PathBuf::from("/usr/lib/tc")]) {
        let Ok(entries) = fs::read_dir(&home) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            archive.file(&path, 0o644, &read(&path)?);
            if path.extension().is_some_and(|extension| extension == "so") {
                add_libraries(archive, &path)?;
            }
        }
    }
    Ok(())
}

/// The name of a test target: that of its binary without cargo's hash.
fn test_name(path: &Path) -> Result<String> {
    let file = path.file_name().and_then(|name| name.to_str());
    let file = file.with_context(|| format!("{} has no name", path.display()))?;
    let name = match file.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            name
        }
        _ => file,
    };
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tests() {
        let name = |path| test_name(Path::new(path)).unwrap();
        assert_eq!(name("deps/software_work-ca045cac6515deba"), "software_work");
        assert_eq!(name("deps/e2e-long"), "e2e-long");
    }

    #[test]
    fn arguments_are_quoted_and_options_not_doubled() {
        assert_eq!(
            arguments(&["it's".into(), "--nocapture".into()]),
            "set -- --test-threads=1 'it'\\''s' '--nocapture'\n"
        );
    }
}
