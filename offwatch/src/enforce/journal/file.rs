//! The file of one commit.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
};
use serde::{Deserialize, Serialize};

use super::{Awaited, Commit, State};
use crate::enforce::error::EnforceError;

/// Only root may know what VMs there are.
const MODE: u32 = 0o600;
/// Room for states: a disk that gets full must not keep one from telling that
/// a commit was taken back.
const ROOM_BYTES: usize = 16 << 10;
/// The same for what may be told of an interface beside a state.
const ROOM_FOR_INTERFACE_BYTES: usize = 128;
/// No commit takes as much: one of ten thousand interfaces takes a few megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// What may be in a line beside a state.
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    awaits_guest: Vec<Awaited>,
}

/// A line with a state.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    state: &'a State,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    awaits_guest: &'a [Awaited],
}

/// A file as a whole, or not at all.
pub(super) fn create(path: &Path, commit: &Commit, state: &State) -> Result<(), EnforceError> {
    let temporary = path.with_extension("new");
    let written = write(&temporary, commit, state)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_directory_of(path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        let _ = fs::remove_file(path);
        EnforceError::NoJournal {
            path: path.to_owned(),
            source,
        }
    })
}

fn write(path: &Path, commit: &Commit, state: &State) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(MODE);
    let mut file = options.custom_flags(libc::O_NOFOLLOW).open(path)?;
    let text = [line(commit)?, line(state)?].concat();
    file.write_all(&text)?;
    let room = ROOM_BYTES + ROOM_FOR_INTERFACE_BYTES * commit.entries.len();
    let offset = |bytes: usize| libc::off_t::try_from(bytes).map_err(io::Error::other);
    let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
    match fallocate(&file, flags, offset(text.len())?, offset(room)?) {
        // Some file systems cannot.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// Adds a state, durably. What a crash left of another one goes first.
pub(super) fn append(
    path: &Path,
    state: &State,
    awaits_guest: &[Awaited],
) -> Result<(), EnforceError> {
    let next = Line {
        state,
        awaits_guest,
    };
    let appended = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let options = options.append(true).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(path)?;
        let whole = whole_lines(&regular(path)?) as u64;
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        let written = file
            .write_all(&line(&next)?)
            .and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = file.set_len(whole);
        }
        written
    };
    appended().map_err(|source| EnforceError::State {
        what: "cannot write the journal",
        path: path.to_owned(),
        source,
    })
}

fn text(path: &Path) -> Result<Vec<u8>, EnforceError> {
    regular(path).map_err(|source| EnforceError::State {
        what: "cannot read the journal",
        path: path.to_owned(),
        source,
    })
}

/// Reads it if it is a file: a FIFO or a device would keep whoever reads waiting, or never
/// end.
fn regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    match text.len() as u64 > MOST_BYTES {
        true => Err(io::Error::other("too long to be one of offwatch's")),
        false => Ok(text),
    }
}

/// The commit and its last state.
pub(super) fn read(path: &Path) -> Result<(Commit, State), EnforceError> {
    let text = text(path)?;
    parse(&text).map_err(|(line, reason)| EnforceError::Damaged {
        path: path.to_owned(),
        line,
        reason,
    })
}

/// Its last state, without the commit: that may be of a thousand interfaces.
pub(super) fn last_state(path: &Path) -> Result<State, EnforceError> {
    let text = text(path)?;
    let whole = &text[..whole_lines(&text)];
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let state = match &lines[..] {
        [_, .., last] => serde_json::from_slice(last).map_err(|error| error.to_string()),
        _ => Err("there is no state".to_owned()),
    };
    state.map_err(|reason| EnforceError::Damaged {
        path: path.to_owned(),
        line: lines.len().max(2),
        reason,
    })
}

/// Whether it was confirmed, whatever became of it since.
pub(super) fn was_confirmed(path: &Path) -> Result<bool, EnforceError> {
    let text = text(path)?;
    let whole = &text[..whole_lines(&text)];
    let states = whole.split_inclusive(|byte| *byte == b'\n').skip(1);
    let mut states = states.map(serde_json::from_slice::<State>);
    Ok(states.any(|state| matches!(state, Ok(State::Confirmed))))
}

/// What any of its states told of features that are up to guests.
pub(super) fn awaited(path: &Path) -> Result<Vec<Awaited>, EnforceError> {
    let text = text(path)?;
    let whole = &text[..whole_lines(&text)];
    let states = whole.split_inclusive(|byte| *byte == b'\n').skip(1);
    // What cannot be read is told by whoever reads its states.
    let beside = states.filter_map(|line| serde_json::from_slice::<Beside>(line).ok());
    Ok(beside.flat_map(|beside| beside.awaits_guest).collect())
}

/// The error is a line and what is wrong with it.
fn parse(text: &[u8]) -> Result<(Commit, State), (usize, String)> {
    let whole = &text[..whole_lines(text)];
    let mut lines = whole.split_inclusive(|byte| *byte == b'\n');
    let commit = lines.next().ok_or((1, "it is empty".to_owned()))?;
    let commit = serde_json::from_slice(commit).map_err(|error| (1, error.to_string()))?;
    let mut state = None;
    for (index, line) in lines.enumerate() {
        let line = serde_json::from_slice(line);
        state = Some(line.map_err(|error| (index + 2, error.to_string()))?);
    }
    let state = state.ok_or((2, "there is no state".to_owned()))?;
    Ok((commit, state))
}

/// A line without an end was being written when the host, or its writer, went
/// down: it was never acted on.
fn whole_lines(text: &[u8]) -> usize {
    let last = text.iter().rposition(|byte| *byte == b'\n');
    last.map_or(0, |end| end + 1)
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
