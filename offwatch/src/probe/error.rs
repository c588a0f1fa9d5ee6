//! Why packets cannot be counted, in words for the user.

use std::io;

use aya::{EbpfError, programs::ProgramError};

use super::btf::BtfError;
use crate::sample::Hook;

/// Why the programs could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The process lacks capabilities.
    #[error(
        "no permission to observe: {} missing; run as root (sudo offwatch ...)",
        missing.join(", ")
    )]
    NotPermitted {
        /// Names of the missing capabilities.
        missing: Vec<&'static str>,
    },
    /// The capabilities are there, and bpf() is refused all the same.
    #[error(
        "the kernel refuses bpf() to this process: it is in a container or user namespace, or \
         restricted by seccomp or lockdown; run on the host itself as root"
    )]
    Forbidden,
    /// Type information is missing or does not fit.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The loader cannot use the kernel's type information.
    #[error("cannot use the kernel's type information (BTF): {0}")]
    LoaderBtf(#[source] aya::BtfError),
    /// The namespace's inode number is not one the kernel gives.
    #[error("network namespace {0} has no valid inode number")]
    Netns(u64),
    /// The kernel is too old for the hook.
    #[error("hook {hook}: {reason}", hook = hook.name())]
    Unsupported {
        /// Which hook.
        hook: Hook,
        /// Why.
        reason: String,
    },
    /// The kernel refused the object or one program.
    #[error("hook {hook}: the kernel refuses the BPF program: {reason}", hook = hook.name())]
    Refused {
        /// Which hook.
        hook: Hook,
        /// The kernel's words on one line.
        reason: String,
    },
    /// A map or program is not in the object: the build is broken.
    #[error("the embedded BPF object has no {0}; this build of offwatch is broken")]
    Incomplete(&'static str),
    /// The counters cannot be mapped.
    #[error("cannot map the counters into memory: {0}")]
    Map(#[source] io::Error),
    /// No hook works; the reasons of each.
    #[error("packets cannot be counted on this host ({})", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoHook(Vec<ProbeError>),
}

impl ProbeError {
    /// The error that stands for those of all hooks that were tried.
    pub fn of_all(mut refused: Vec<Self>) -> Self {
        // A capability that only tc lacks is not why the others failed.
        if !refused
            .iter()
            .all(|error| matches!(error, Self::NotPermitted { .. }))
        {
            refused.retain(|error| !matches!(error, Self::NotPermitted { .. }));
        }
        // What every hook is told alike is said once.
        let same = |error: &Self| {
            matches!(
                error,
                Self::NotPermitted { .. } | Self::Btf(_) | Self::Forbidden
            )
        };
        if refused.len() == 1 || refused.iter().all(same) && !refused.is_empty() {
            return refused.swap_remove(0);
        }
        Self::NoHook(refused)
    }

    /// Whether the kernel found fault with a program, not with this process.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    pub(super) fn load(hook: Hook, error: EbpfError) -> Self {
        if is_forbidden(&error) {
            return Self::Forbidden;
        }
        Self::Refused {
            hook,
            reason: one_line(&error),
        }
    }

    pub(super) fn program(hook: Hook, error: ProgramError) -> Self {
        if is_forbidden(&error) {
            return Self::Forbidden;
        }
        Self::Refused {
            hook,
            reason: reason(&error),
        }
    }
}

/// Why a program was not loaded or attached, on one line.
pub(super) fn reason(error: &ProgramError) -> String {
    match error {
        // The verifier's log has hundreds of lines; the errno says what a user can act on.
        ProgramError::LoadError { io_error, .. } => io_error.to_string(),
        other => one_line(other),
    }
}

/// Whether the cause is EPERM. EACCES is the verifier's word for a program it
/// does not accept, and `io::ErrorKind` does not tell the two apart.
fn is_forbidden(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.and_then(io::Error::raw_os_error) == Some(libc::EPERM) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and its causes on one line.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(errno: i32) -> ProbeError {
        let error = aya::sys::SyscallError {
            call: "bpf_prog_load",
            io_error: io::Error::from_raw_os_error(errno),
        };
        ProbeError::program(Hook::Tp, ProgramError::SyscallError(error))
    }

    #[test]
    fn a_program_the_verifier_rejects_is_no_lack_of_permission() {
        assert!(matches!(refused_with(libc::EPERM), ProbeError::Forbidden));
        let rejected = refused_with(libc::EACCES);
        assert!(matches!(rejected, ProbeError::Refused { .. }), "{rejected}");
    }

    #[test]
    fn what_only_one_hook_lacks_does_not_hide_the_others() {
        let lacks = |name| ProbeError::NotPermitted {
            missing: vec![name],
        };
        let all = ProbeError::of_all(vec![refused_with(libc::EACCES), lacks("CAP_NET_ADMIN")]);
        assert!(matches!(all, ProbeError::Refused { .. }), "{all}");
        let all = ProbeError::of_all(vec![lacks("CAP_BPF"), lacks("CAP_BPF")]);
        assert!(matches!(all, ProbeError::NotPermitted { .. }), "{all}");
    }
}
