//! The programs that build the BPF object, and their versions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::{env, fmt, fs};

use anyhow::{Context, Result, bail};

use super::build::TARGET;
use crate::run;
use crate::workspace::Workspace;

/// What setup installs, and the releases that will do.
pub(crate) const BPF_LINKER_RELEASE: &str = "0.13.0";
const BPF_LINKER_SERIES: &str = "0.13.";

/// Debian's, which has a `core` for BPF. Named by its path, because rustup's
/// rustc is before it on PATH.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

const OBJCOPIES: &[&str] = &[
    "/usr/lib/llvm-22/bin/llvm-objcopy",
    "llvm-objcopy-22",
    "llvm-objcopy",
    "rust-objcopy",
];

/// A compiler that can build for BPF.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Compiler {
    /// With a `core` built for BPF.
    System,
    /// Building `core` itself, from rust-src.
    Nightly,
}

impl Compiler {
    pub(crate) fn find() -> Option<Self> {
        [Self::System, Self::Nightly]
            .into_iter()
            .find(|compiler| compiler.is_usable())
    }

    fn is_usable(self) -> bool {
        let printed = |what: &[&str]| {
            run::output(self.rustc().args(what)).map(|path| PathBuf::from(path.trim()))
        };
        match self {
            Self::System => printed(&["--print", "target-libdir", "--target", TARGET])
                .and_then(|directory| Ok(fs::read_dir(directory)?))
                .is_ok_and(|files| {
                    files
                        .flatten()
                        .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
                }),
            Self::Nightly => printed(&["--print", "sysroot"])
                .is_ok_and(|sysroot| sysroot.join("lib/rustlib/src/rust/library/core").is_dir()),
        }
    }

    pub(super) fn rustc(self) -> Command {
        match self {
            Self::System => Command::new(SYSTEM_RUSTC),
            Self::Nightly => nightly("rustc"),
        }
    }
}

/// Not `cargo +nightly`: the cargo that started us is a toolchain's, not rustup.
pub(super) fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    command
}

pub(crate) struct BpfLinker {
    pub(crate) path: PathBuf,
    version: String,
}

impl BpfLinker {
    /// The checkout's own before the user's.
    pub(crate) fn find(workspace: &Workspace) -> Option<Self> {
        let own = Self::own_root(workspace).join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        [own]
            .into_iter()
            .chain(env::split_paths(&path))
            .map(|directory| directory.join("bpf-linker"))
            .filter(|path| path.is_file())
            .find_map(Self::at)
    }

    /// Where `setup` installs one.
    pub(crate) fn own_root(workspace: &Workspace) -> PathBuf {
        workspace.target.join("tools")
    }

    fn at(path: PathBuf) -> Option<Self> {
        let printed = run::output(Command::new(&path).arg("--version")).ok()?;
        let version = printed.trim().strip_prefix("bpf-linker ")?.to_owned();
        version
            .starts_with(BPF_LINKER_SERIES)
            .then_some(Self { path, version })
    }

    /// It generates the code, so its LLVM matters as much as rustc's. It does
    /// not say which it has, but the name of the library is in the program.
    fn description(&self) -> Result<String> {
        let program =
            fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(format!(
            "{} {}",
            self.version,
            llvm_library(&program).unwrap_or("static LLVM")
        ))
    }
}

/// The name of the LLVM library that a program is linked to: "libLLVM.so.22.1".
fn llvm_library(program: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\0libLLVM";
    let start = program
        .windows(NAME.len())
        .position(|window| window == NAME)?
        + 1;
    let length = program[start..].iter().position(|&byte| byte == 0)?;
    str::from_utf8(&program[start..start + length]).ok()
}

/// The objcopy that knows BPF: binutils' does not.
pub(crate) fn objcopy() -> Option<&'static str> {
    OBJCOPIES
        .iter()
        .copied()
        .find(|path| run::succeeds(Command::new(path).arg("--version")))
}

/// All it takes.
pub(super) struct Tools {
    pub(super) compiler: Compiler,
    pub(super) linker: BpfLinker,
    pub(super) objcopy: &'static str,
}

impl Tools {
    pub(super) fn find(workspace: &Workspace) -> Result<Self> {
        const REMEDY: &str = "run `cargo xtask setup`";
        Ok(Self {
            compiler: Compiler::find()
                .with_context(|| format!("no Rust compiler for {TARGET}: {REMEDY}"))?,
            linker: BpfLinker::find(workspace)
                .with_context(|| format!("no bpf-linker {BPF_LINKER_SERIES}x: {REMEDY}"))?,
            objcopy: objcopy().with_context(|| format!("no llvm-objcopy: {REMEDY}"))?,
        })
    }

    pub(super) fn versions(&self) -> Result<Versions> {
        let rustc = run::output(self.compiler.rustc().arg("-vV"))?;
        let objcopy = run::output(Command::new(self.objcopy).arg("--version"))?;
        Ok(Versions(vec![
            (
                "rustc".into(),
                field(&rustc, "rustc ")
                    .context("rustc has no version")?
                    .into(),
            ),
            (
                "rustc-llvm".into(),
                field(&rustc, "LLVM version: ").unwrap_or("unknown").into(),
            ),
            ("bpf-linker".into(), self.linker.description()?),
            (
                "llvm-objcopy".into(),
                field(&objcopy, "LLVM version ").unwrap_or("unknown").into(),
            ),
            // aya-ebpf follows the host in how it reads a program's arguments.
            ("host".into(), env::consts::ARCH.into()),
        ]))
    }
}

/// What follows `label` in the first line that has it.
fn field<'text>(text: &'text str, label: &str) -> Option<&'text str> {
    text.lines()
        .find_map(|line| line.split_once(label))
        .map(|(_before, value)| value.trim())
}

/// What the bytes of the object depend on besides its source: toolchain.txt.
#[derive(Debug, PartialEq)]
pub(super) struct Versions(Vec<(String, String)>);

impl Versions {
    /// What differs, for people.
    pub(super) fn difference(&self, recorded: &Self) -> String {
        let of = |versions: &Self, tool: &str| {
            let found = versions.0.iter().find(|(known, _)| known == tool);
            found.map_or("none", |(_, version)| version).to_owned()
        };
        let differences: Vec<String> = self
            .0
            .iter()
            .filter(|(tool, version)| of(recorded, tool) != *version)
            .map(|(tool, version)| format!("{tool} {version}, recorded {}", of(recorded, tool)))
            .collect();
        differences.join("; ")
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(tool, version)| writeln!(f, "{tool} {version}"))
    }
}

impl FromStr for Versions {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let versions: Option<Vec<(String, String)>> = lines
            .map(|line| {
                line.split_once(' ')
                    .map(|(tool, version)| (tool.into(), version.into()))
            })
            .collect();
        match versions {
            Some(versions) if !versions.is_empty() => Ok(Self(versions)),
            _ => bail!("not a list of tools and versions"),
        }
    }
}

/// For messages.
impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => write!(f, "{}", Path::new(SYSTEM_RUSTC).display()),
            Self::Nightly => f.write_str("nightly with rust-src"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "rustc 1.96.0 (abc 2026-05-25)\nrustc-llvm 22.1.8\nhost x86_64\n";

    #[test]
    fn the_toolchain_file_reads_back() {
        let versions: Versions = TEXT.parse().unwrap();
        assert_eq!(versions.to_string(), TEXT);
        assert_eq!(
            format!("\n{}  ", TEXT.replace('\n', "\r\n"))
                .parse::<Versions>()
                .unwrap(),
            versions
        );
    }

    #[test]
    fn something_else_is_not_a_toolchain_file() {
        for text in ["", "\n\n", "rustc\n"] {
            assert!(text.parse::<Versions>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_difference_is_named() {
        let recorded: Versions = TEXT.parse().unwrap();
        let here: Versions = TEXT.replace("22.1.8", "22.1.9").parse().unwrap();
        assert_eq!(
            here.difference(&recorded),
            "rustc-llvm 22.1.9, recorded 22.1.8"
        );
        let without: Versions = "host x86_64".parse().unwrap();
        assert!(
            recorded
                .difference(&without)
                .starts_with("rustc 1.96.0 (abc 2026-05-25), recorded none")
        );
    }

    #[test]
    fn versions_are_found_in_what_the_tools_print() {
        let rustc = "rustc 1.96.0 (abc)\nbinary: rustc\nLLVM version: 22.1.8\n";
        assert_eq!(field(rustc, "rustc "), Some("1.96.0 (abc)"));
        assert_eq!(field(rustc, "LLVM version: "), Some("22.1.8"));
        assert_eq!(
            field("Debian LLVM version 22.1.8\n", "LLVM version "),
            Some("22.1.8")
        );
        assert_eq!(field("", "LLVM version "), None);
    }

    #[test]
    fn the_llvm_library_of_a_program() {
        assert_eq!(
            llvm_library(b"\x7fELF\0libLLVM.so.22.1\0libc"),
            Some("libLLVM.so.22.1")
        );
        assert_eq!(llvm_library(b"\x7fELF\0libc.so.6\0"), None);
    }
}
