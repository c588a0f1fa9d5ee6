//! Only one enforcer at a time: for a network namespace, and for a state directory.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, UnixCredentials, bind, connect,
        getsockopt, listen, socket, sockopt::PeerCredentials,
    },
    unistd::Uid,
};

use super::error::EnforceError;

/// An abstract name: it belongs to the network namespace, and goes with the
/// process.
const NAME: &str = "offwatch-enforce";
const FILE: &str = "lock";
const MODE: u32 = 0o600;
/// A child that an enforcer has just begun to start has all that it has until it is
/// another program, also if the enforcer has ended meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_millis(10);

/// The right to be the enforcer, until it is dropped or the process ends.
#[derive(Debug)]
pub struct EnforcerLock {
    _namespace: OwnedFd,
    _state: Flock<File>,
}

impl EnforcerLock {
    /// Takes it. The state directory must exist.
    pub fn take(state_dir: &Path) -> Result<Self, EnforceError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let is_last = Instant::now() >= until;
            let taken = namespace(state_dir, is_last).and_then(|namespace| {
                Ok(Self {
                    _namespace: namespace,
                    _state: state(state_dir)?,
                })
            });
            match taken {
                Err(EnforceError::AnotherEnforcer { .. } | EnforceError::NameTaken { .. })
                    if !is_last =>
                {
                    thread::sleep(RETRY);
                }
                other => return other,
            }
        }
    }
}

/// Who has it is asked `is_last` only: one that does not listen to us is asked once.
fn namespace(state_dir: &Path, is_last: bool) -> Result<OwnedFd, EnforceError> {
    let failed = |error: Errno| EnforceError::State {
        what: "cannot lock the network namespace, with",
        path: state_dir.to_owned(),
        source: error.into(),
    };
    let address = UnixAddr::new_abstract(name(state_dir).as_bytes()).map_err(failed)?;
    let socket = stream().map_err(failed)?;
    match bind(socket.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) => {
            let holder = is_last.then(|| holder(&address)).flatten();
            Err(taken(holder, Uid::effective()))
        }
        Err(error) => Err(failed(error)),
        // Others learn our pid from it.
        Ok(()) => listen(&socket, Backlog::MAXALLOWABLE)
            .map(|()| socket)
            .map_err(failed),
    }
}

#[cfg(not(test))]
fn name(_: &Path) -> String {
    NAME.into()
}

/// Tests share a namespace.
#[cfg(test)]
fn name(state_dir: &Path) -> String {
    format!("{NAME}-{}", state_dir.display())
}

fn stream() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

/// Who has the name. Anybody in the namespace can take it: a process of another user
/// may be none, and one that does not listen is none.
fn taken(holder: Option<UnixCredentials>, ours: Uid) -> EnforceError {
    let pid = |holder: UnixCredentials| u32::try_from(holder.pid()).ok();
    let pid = holder.and_then(pid).filter(|pid| *pid != 0);
    match holder.map(|holder| Uid::from_raw(holder.uid())) {
        Some(uid) if uid.is_root() || uid == ours => EnforceError::AnotherEnforcer { pid, of: "" },
        uid => EnforceError::NameTaken {
            pid,
            uid: uid.map(Uid::as_raw),
        },
    }
}

/// Who listens at an address.
fn holder(address: &UnixAddr) -> Option<UnixCredentials> {
    let socket = stream().ok()?;
    connect(socket.as_raw_fd(), address).ok()?;
    getsockopt(&socket, PeerCredentials).ok()
}

fn state(state_dir: &Path) -> Result<Flock<File>, EnforceError> {
    let path = state_dir.join(FILE);
    let failed = |source: io::Error| EnforceError::NoJournal {
        path: path.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    let options = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(libc::O_NOFOLLOW)
        .mode(MODE);
    let file = options.open(&path).map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // For whoever comes in vain; that it is not there matters to nobody.
            let _ = lock
                .set_len(0)
                .and_then(|()| writeln!(lock, "{}", std::process::id()));
            Ok(lock)
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            let _ = file.rewind().and_then(|()| file.read_to_string(&mut pid));
            Err(EnforceError::AnotherEnforcer {
                pid: pid.trim().parse().ok(),
                of: " with this state directory",
            })
        }
        Err((_, error)) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told if a process has the name already.
    fn told(take: impl FnOnce(&OwnedFd, &UnixAddr)) -> String {
        let state = tempfile::tempdir().expect("a directory");
        let address = UnixAddr::new_abstract(name(state.path()).as_bytes()).expect("a name");
        let socket = stream().expect("a socket");
        take(&socket, &address);
        let error = EnforcerLock::take(state.path()).expect_err("no lock");
        assert_eq!(error.code(), 1);
        error.to_string()
    }

    #[test]
    fn who_has_the_name_is_told_apart_from_an_enforcer() {
        let bound = |socket: &OwnedFd, address: &UnixAddr| {
            bind(socket.as_raw_fd(), address).expect("bound");
        };
        let pid = std::process::id();
        assert_eq!(
            told(|socket, address| {
                bound(socket, address);
                listen(socket, Backlog::MAXALLOWABLE).expect("it listens");
            }),
            format!("another enforcer runs (pid {pid}); nothing was changed")
        );
        let hint = "has the socket @offwatch-enforce, which keeps enforcers out; end it if it is \
                    none (`ss -xap` finds it); nothing was changed";
        let silent = told(bound);
        assert_eq!(silent, format!("a process (pid unknown) {hint}"));
        let other = libc::ucred {
            pid: 7,
            uid: 65534,
            gid: 65534,
        };
        let other = taken(Some(other.into()), Uid::from_raw(0)).to_string();
        assert_eq!(other, format!("a process (pid 7) of user 65534 {hint}"));
    }
}
