//! Whose the state directory is: what is in it decides what is taken back, and is
//! written to with all rights.

use std::{fs, io, iter, os::unix::fs::MetadataExt as _, path::Path};

use nix::unistd::Uid;

use super::error::EnforceError;

const ROOT: u32 = 0;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const ALL_OF_OTHERS: u32 = 0o077;

/// Only root, and who runs this, may write to it and to what is `within` it. What is
/// not there is nobody's.
pub(super) fn check(state_dir: &Path, within: Option<&Path>) -> Result<(), EnforceError> {
    let is_private = is_private(state_dir);
    let checked = iter::once(state_dir).chain(within);
    checked
        .into_iter()
        .try_for_each(|path| one(path, is_private))
}

/// Whether root alone can get to it. A service with a user of its own (`DynamicUser`)
/// has its directory in one of root's, `/var/lib/private`.
fn is_private(state_dir: &Path) -> bool {
    let of = |path: &Path| fs::metadata(path.canonicalize()?.parent().unwrap_or(path));
    of(state_dir).is_ok_and(|above| above.uid() == ROOT && above.mode() & ALL_OF_OTHERS == 0)
}

fn one(directory: &Path, is_private: bool) -> Result<(), EnforceError> {
    // A link is followed: what it leads to counts.
    let found = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|source| EnforceError::State {
            what: "cannot use",
            path: directory.to_owned(),
            source,
        })?,
    };
    let (uid, mode) = (found.uid(), found.mode() & 0o7777);
    let reason = match () {
        () if !is_private && uid != ROOT && uid != Uid::effective().as_raw() => {
            format!("it belongs to user {uid}, who could have anything changed; use another one")
        }
        () if mode & WRITABLE_BY_OTHERS != 0 => {
            format!("others may write to it (mode {mode:04o}); chmod go-w, or use another one")
        }
        () => return Ok(()),
    };
    Err(EnforceError::Untrusted {
        path: directory.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{self as unix, PermissionsExt as _};

    use super::*;
    use crate::enforce::{audit::Audit, here::Here, journal::Store, lock::EnforcerLock};

    /// What is said of a state directory that is not for root alone; nothing is
    /// written to it, and what it links to stays as it is.
    fn said(prepare: impl Fn(&Path)) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        mode(directory.path(), 0o755);
        let state = directory.path().join("state");
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir_all(state.join("journal")).expect("made");
        fs::write(&elsewhere, "as it is").expect("written");
        unix::symlink(&elsewhere, state.join("audit.jsonl")).expect("linked");
        prepare(&state);
        let here = Here::now().expect("here");
        let store = Store::open(&state).numbers().expect_err("not read");
        let created = Store::create(&state).expect_err("not used");
        assert_eq!(store.to_string(), created.to_string());
        if !created.to_string().contains("/journal:") {
            Audit::open(&state, &here).map(|_| ()).expect_err("no log");
        }
        assert_eq!(fs::read(&elsewhere).expect("it"), b"as it is");
        let prefix = format!("{}/", directory.path().display());
        created.to_string().replace(&prefix, "")
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    }

    fn foreign(path: &Path) {
        unix::chown(path, Some(65534), None).expect("chown");
    }

    #[test]
    fn what_others_can_write_to_is_not_used() {
        assert_eq!(
            said(|state| mode(state, 0o1777)),
            "state: others may write to it (mode 1777); chmod go-w, or use another one; nothing \
             was changed"
        );
        let journal = said(|state| mode(&state.join("journal"), 0o770));
        assert!(journal.starts_with("state/journal: others may write to it (mode 0770)"));
        if !Uid::effective().is_root() {
            eprintln!("skipped: only root can give a directory away");
            return;
        }
        let told = "it belongs to user 65534, who could have anything changed";
        assert!(said(foreign).starts_with(&format!("state: {told}")));
        let journal = said(|state| foreign(&state.join("journal")));
        assert!(journal.starts_with(&format!("state/journal: {told}")));
        // What a link leads to counts.
        let linked = said(|state| {
            let target = state.with_extension("real");
            fs::rename(state, &target).expect("renamed");
            foreign(&target);
            unix::symlink(&target, state).expect("linked");
        });
        assert!(linked.starts_with(&format!("state: {told}")));
    }

    #[test]
    fn a_service_with_a_user_of_its_own_has_it_where_only_root_gets() {
        if !Uid::effective().is_root() {
            eprintln!("skipped: only root can give a directory away");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("state");
        fs::create_dir_all(state.join("journal")).expect("made");
        [&state, &state.join("journal")]
            .into_iter()
            .for_each(|path| foreign(path));
        mode(directory.path(), 0o700);
        Store::create(&state).expect("a journal");
        // Its files are not taken for others that a link leads to.
        let elsewhere = directory.path().join("elsewhere");
        for name in ["audit.jsonl", "lock", "journal/lock"] {
            unix::symlink(&elsewhere, state.join(name)).expect("linked");
        }
        let here = Here::now().expect("here");
        Audit::open(&state, &here).map(|_| ()).expect_err("no log");
        EnforcerLock::take(&state).map(|_| ()).expect_err("no lock");
        Store::open(&state).lock().map(|_| ()).expect_err("no lock");
        assert!(!elsewhere.exists());
    }
}
