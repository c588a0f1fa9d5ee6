//! Ctrl-C. The terminal sends SIGINT to us and to our children alike. Children
//! have things to undo (namespaces, attached programs), so we wait for them and
//! then stop, rather than give the prompt back while they still clean up.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

static SEEN: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    SEEN.store(true, Ordering::Relaxed);
}

/// From here on SIGINT is only noted. A handler, unlike ignoring the signal, is
/// not inherited through exec.
pub(crate) fn outlive_children() {
    let handler = note as extern "C" fn(libc::c_int);
    // SAFETY: the handler does nothing but one atomic store.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    // Rust ignores SIGPIPE, and panics where `| head` has read enough.
    // SAFETY: the default action needs nothing of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

pub(crate) fn seen() -> bool {
    SEEN.load(Ordering::Relaxed)
}

/// What a shell expects of a command ended by Ctrl-C.
pub(crate) fn exit_code() -> Option<ExitCode> {
    seen().then(|| ExitCode::from(128 + libc::SIGINT as u8))
}
