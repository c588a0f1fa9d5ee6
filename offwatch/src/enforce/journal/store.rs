//! The directory of the journal.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{Awaited, Commit, State, file};
use crate::enforce::{error::EnforceError, state_dir};

const DIRECTORY: &str = "journal";
const DIRECTORY_MODE: u32 = 0o700;
const LOCK: &str = "lock";
const LOCK_MODE: u32 = 0o600;
const EXTENSION: &str = "jsonl";
/// Many times what it takes to take back a thousand interfaces.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many commits are kept beside those that can still be taken back: a --watch
/// makes one for each new interface.
const KEPT: usize = if cfg!(test) { 5 } else { 500 };
const RETRY: Duration = Duration::from_millis(5);

/// A commit of the journal and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Journalled {
    /// What was to be changed.
    pub commit: Commit,
    /// How it stands.
    pub state: State,
}

/// The journal. Reading it needs no lock and changes nothing.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// That of a state directory, which need not exist.
    pub fn open(state_dir: &Path) -> Self {
        Self {
            directory: state_dir.join(DIRECTORY),
        }
    }

    /// The same; makes the directories, for root alone, where they are missing.
    pub fn create(state_dir: &Path) -> Result<Self, EnforceError> {
        let store = Self::open(state_dir);
        let mut builder = DirBuilder::new();
        let made = builder
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&store.directory);
        made.map_err(|source| EnforceError::NoJournal {
            path: store.directory.clone(),
            source,
        })?;
        store.check()?;
        Ok(store)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of a commit.
    pub fn path(&self, id: u64) -> PathBuf {
        self.directory.join(format!("{id:06}.{EXTENSION}"))
    }

    /// Nobody else may have written what decides what is changed.
    fn check(&self) -> Result<(), EnforceError> {
        let state_dir = self.directory.parent().unwrap_or(&self.directory);
        state_dir::check(state_dir, Some(&self.directory))
    }

    /// Numbers of all commits, oldest first.
    pub fn numbers(&self) -> Result<Vec<u64>, EnforceError> {
        self.check()?;
        let directory = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| self.unreadable(error))?,
        };
        let mut numbers = Vec::new();
        for entry in directory {
            let path = entry.map_err(|error| self.unreadable(error))?.path();
            // What has another name was put there by hand.
            if path.extension().is_some_and(|found| found == EXTENSION)
                && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
                && let Ok(number) = stem.parse()
                && self.path(number) == path
            {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// All commits, oldest first.
    pub fn list(&self) -> Result<Vec<Journalled>, EnforceError> {
        self.numbers()?.into_iter().map(|id| self.get(id)).collect()
    }

    /// One commit.
    pub fn get(&self, id: u64) -> Result<Journalled, EnforceError> {
        let path = self.path(id);
        if !path.exists() {
            return Err(EnforceError::NoCommit(id));
        }
        let (commit, state) = file::read(&path)?;
        Ok(Journalled { commit, state })
    }

    /// How a commit stands.
    pub fn state(&self, id: u64) -> Result<State, EnforceError> {
        let path = self.path(id);
        match path.exists() {
            true => file::last_state(&path),
            false => Err(EnforceError::NoCommit(id)),
        }
    }

    /// Whether a commit was confirmed, whatever became of it since.
    pub fn was_confirmed(&self, id: u64) -> Result<bool, EnforceError> {
        file::was_confirmed(&self.path(id))
    }

    /// What is up to guests of what a commit asked for.
    pub fn awaited(&self, id: u64) -> Result<Vec<Awaited>, EnforceError> {
        file::awaited(&self.path(id))
    }

    /// Whether the watchdog of a commit lives: it holds a lock on the file.
    pub fn has_watchdog(&self, id: u64) -> bool {
        let Ok(file) = File::open(self.path(id)) else {
            return false;
        };
        // The lock is given up at once.
        matches!(
            Flock::lock(file, FlockArg::LockSharedNonblock),
            Err((_, Errno::EWOULDBLOCK))
        )
    }

    /// Waits until nobody else changes states, or interfaces because of them.
    pub fn lock(&self) -> Result<Locked<'_>, EnforceError> {
        let path = self.directory.join(LOCK);
        let mut options = OpenOptions::new();
        let options = options
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_NOFOLLOW)
            .mode(LOCK_MODE);
        let failed = |source| EnforceError::NoJournal {
            path: path.clone(),
            source,
        };
        let opened = options
            .open(&path)
            .or_else(|error| match error.raw_os_error() {
                // What is to be taken back is not kept by a disk that has failed meanwhile.
                Some(libc::EROFS) => {
                    let flags = libc::O_NOFOLLOW;
                    OpenOptions::new()
                        .read(true)
                        .custom_flags(flags)
                        .open(&path)
                }
                _ => Err(error),
            });
        let mut file = opened.map_err(failed)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => {
                    return Ok(Locked {
                        store: self,
                        _lock: lock,
                    });
                }
                Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < until => {
                    file = back;
                    thread::sleep(RETRY);
                }
                Err((_, Errno::EWOULDBLOCK)) => return Err(EnforceError::Busy),
                Err((_, error)) => return Err(failed(error.into())),
            }
        }
    }

    fn unreadable(&self, source: io::Error) -> EnforceError {
        EnforceError::State {
            what: "cannot read the journal",
            path: self.directory.clone(),
            source,
        }
    }
}

/// The journal, while nobody else changes it.
pub struct Locked<'a> {
    store: &'a Store,
    _lock: Flock<File>,
}

impl Locked<'_> {
    /// Writes a commit with its first state, durably, and gives it its number. If there
    /// are far too many, old ones go, also confirmed ones that `is_gone`: that have
    /// nothing left to take back.
    pub fn begin(
        &self,
        commit: &mut Commit,
        state: &State,
        is_gone: impl FnMut(&Commit) -> bool,
    ) -> Result<(), EnforceError> {
        let last = self.store.numbers()?.last().copied().unwrap_or(0);
        commit.id = last.checked_add(1).ok_or_else(|| EnforceError::NoJournal {
            path: self.store.path(last),
            source: io::Error::other("no number comes after this one; move it away"),
        })?;
        file::create(&self.store.path(commit.id), commit, state)?;
        self.prune(&commit.boot_id, is_gone)
    }

    /// Removes the oldest commits if there are far too many: those that nobody can
    /// take back any more.
    fn prune(
        &self,
        boot_id: &str,
        mut is_gone: impl FnMut(&Commit) -> bool,
    ) -> Result<(), EnforceError> {
        let numbers = self.store.numbers()?;
        if numbers.len() <= 2 * KEPT {
            return Ok(());
        }
        let (old, _) = numbers.split_at(numbers.len() - KEPT);
        for id in old {
            let Journalled { commit, state } = self.store.get(*id)?;
            let is_over = match state {
                State::Confirmed => commit.boot_id != boot_id || is_gone(&commit),
                state => state.is_settled(),
            };
            if is_over {
                // The next time, then.
                let _ = fs::remove_file(self.store.path(*id));
            }
        }
        Ok(())
    }

    /// How a commit stands now.
    pub fn state(&self, id: u64) -> Result<State, EnforceError> {
        self.store.state(id)
    }

    /// Adds a state, durably.
    pub fn append(&self, id: u64, state: &State) -> Result<(), EnforceError> {
        self.append_with(id, state, &[])
    }

    /// The same, with what is up to guests of what was asked for.
    pub fn append_with(
        &self,
        id: u64,
        state: &State,
        awaits_guest: &[Awaited],
    ) -> Result<(), EnforceError> {
        file::append(&self.store.path(id), state, awaits_guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::offloads::FeatureNames;

    fn commit(boot_id: &str) -> Commit {
        Commit {
            id: 0,
            boot_id: boot_id.into(),
            netns_cookie: None,
            wall_clock_ms: 0,
            uid: 0,
            sudo_uid: None,
            policy_sha256: None,
            confirm_within_s: None,
            names: FeatureNames::default(),
            entries: Vec::new(),
            definitions: None,
        }
    }

    #[test]
    fn old_commits_go_when_nobody_can_take_them_back() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let store = Store::create(directory.path()).expect("a journal");
        let locked = store.lock().expect("a lock");
        let add = |boot_id, state| {
            let begun = locked.begin(&mut commit(boot_id), &state, |_| false);
            begun.expect("it");
        };
        add("this", State::Confirmed);
        add("this", State::Applying);
        add("another", State::Confirmed);
        for _ in 0..2 * KEPT - 2 {
            add("this", State::EndedByBoot);
        }
        let numbers = store.numbers().expect("numbers");
        assert_eq!(numbers.len(), KEPT + 2);
        assert_eq!(numbers[..3], [1, 2, KEPT as u64 + 2]);
        assert_eq!(numbers.last(), Some(&(2 * KEPT as u64 + 1)));
    }

    #[test]
    fn files_of_other_names_are_no_commits() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let store = Store::create(directory.path()).expect("a journal");
        for name in ["7", "+00009", "0000012", "000012"] {
            fs::write(store.directory().join(name).with_extension(EXTENSION), "").expect("it");
        }
        assert_eq!(store.numbers().expect("numbers"), [12]);
    }

    #[test]
    fn what_is_no_file_keeps_nobody_waiting() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let store = Store::create(directory.path()).expect("a journal");
        let mode = nix::sys::stat::Mode::S_IRUSR;
        nix::unistd::mkfifo(&store.path(1), mode).expect("a FIFO");
        std::os::unix::fs::symlink("/dev/zero", store.path(2)).expect("a link");
        for id in [1, 2] {
            for told in [store.state(id).err(), store.get(id).err()] {
                let told = told.expect("no commit").to_string();
                assert!(told.ends_with("not a regular file"), "{told}");
            }
        }
    }

    #[test]
    fn the_last_number_is_not_followed_by_the_first() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let store = Store::create(directory.path()).expect("a journal");
        fs::write(store.path(u64::MAX), "").expect("written");
        let locked = store.lock().expect("a lock");
        let mut commit = commit("this");
        let error = locked
            .begin(&mut commit, &State::Applying, |_| false)
            .expect_err("no number");
        assert!(error.to_string().contains("move it away"), "{error}");
        assert_eq!(store.numbers().expect("numbers"), [u64::MAX]);
    }
}
