//! `--textfile`: a file for the textfile collector of node_exporter.

use std::{
    convert::Infallible,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep_until},
};

use crate::{
    enforce::watch::log::{Level, Log},
    error::Error,
    export::{Exposition, Latest, Snapshot},
    service::Service,
};

/// node_exporter may run as another user.
const MODE: u32 = 0o644;

/// The file.
pub(super) struct Textfile {
    path: PathBuf,
    /// Where it is written before it takes the file's place. The collector reads
    /// files that end in `.prom` alone.
    beside: PathBuf,
    /// It is this process' own.
    is_written: AtomicBool,
}

impl Textfile {
    /// The error is a path that no file can have.
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::Io {
            what: format!("cannot write {}", path.display()),
            source: io::Error::other(reason.to_owned()),
        };
        let name = path.file_name().ok_or_else(|| invalid("not a file"))?;
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(invalid("there is something that is not a file"));
        }
        if path.extension().is_none_or(|extension| extension != "prom") {
            return Err(invalid(
                "the textfile collector reads files whose names end in .prom alone",
            ));
        }
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(".new");
        Ok(Self {
            beside: path.with_file_name(beside),
            path: path.to_owned(),
            is_written: AtomicBool::new(false),
        })
    }

    /// Writes it again and again. The first time must succeed; later a disk that is
    /// full may have room again.
    pub(super) async fn keep(&self, latest: &Latest, pause: Duration) -> Result<Infallible, Error> {
        let log = Log::from_env();
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            ticks.tick().await;
            match self.write(latest.snapshot().await) {
                Ok(()) => {
                    if is_failing {
                        let line = format!("{} is written again", self.path.display());
                        log.line(Level::Notice, &line);
                    }
                    is_failing = false;
                }
                Err(error) if !self.is_written.load(Ordering::Relaxed) => return Err(error),
                Err(error) => {
                    if !is_failing {
                        log.line(Level::Warning, &error.to_string());
                    }
                    is_failing = true;
                }
            }
        }
    }

    /// Replaces it: whoever reads has the old one or the new one, as a whole.
    fn write(&self, snapshot: Arc<Snapshot>) -> Result<(), Error> {
        let written = self.write_beside(snapshot);
        let replaced = written.and_then(|()| fs::rename(&self.beside, &self.path));
        if replaced.is_err() {
            // What is half written is of no use to anyone.
            let _ = fs::remove_file(&self.beside);
        }
        replaced.map_err(Error::file("cannot write", &self.path))?;
        self.is_written.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes it away: nobody is to take figures for fresh that nobody writes any more.
    pub(super) fn remove(&self) -> Result<(), Error> {
        if !self.is_written.load(Ordering::Relaxed) {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("cannot remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn write_beside(&self, snapshot: Arc<Snapshot>) -> io::Result<()> {
        // Of a run that was killed.
        match fs::remove_file(&self.beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(MODE);
        let mut file = options.open(&self.beside)?;
        // Whatever the umask is.
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        for chunk in Exposition::for_textfile(snapshot) {
            file.write_all(&chunk)?;
        }
        Ok(())
    }
}

/// Waits for SIGTERM or SIGINT where no server does, and tells systemd that it lives. There
/// is nothing to read again on SIGHUP, which must not end it.
pub(super) async fn until_ended() -> Result<(), Error> {
    let catch = |kind| {
        signal(kind).map_err(|source| Error::Io {
            what: "cannot catch signals".into(),
            source,
        })
    };
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut hangup = catch(SignalKind::hangup())?;
    let mut service = Service::from_env();
    service.ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {}
            () = sleep_until(service.next_ping()) => service.ping(),
        }
    }
    service.stopping();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn snapshot() -> Arc<Snapshot> {
        Arc::default()
    }

    #[test]
    fn the_file_is_replaced_and_all_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("offwatch.prom");
        fs::write(&path, "what was there").expect("written");
        let before = fs::metadata(&path).expect("it").ino();
        let file = Textfile::new(&path).expect("a file");
        fs::write(&file.beside, "of a run that was killed").expect("written");
        file.write(snapshot()).expect("written");
        let metadata = fs::metadata(&path).expect("it");
        assert_ne!(metadata.ino(), before, "it was not written to");
        assert_eq!(metadata.mode() & 0o7777, MODE);
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.contains("\noffwatch_vms 0\n"), "{text}");
        assert!(!text.contains("process_"), "{text}");
        assert_eq!(fs::read_dir(&directory).expect("it").count(), 1);
        file.remove().expect("removed");
        file.remove().expect("gone already");
        assert_eq!(fs::read_dir(&directory).expect("it").count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_told_and_nothing_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let told = |name: &str| match Textfile::new(&directory.path().join(name)) {
            Ok(file) => file.write(snapshot()).expect_err("not written").to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told("none/offwatch.prom").ends_with("No such file or directory (os error 2)"));
        assert!(told("offwatch.txt").contains("names end in .prom"));
        fs::create_dir(directory.path().join("there.prom")).expect("made");
        assert!(told("there.prom").contains("is not a file"));
        let other = directory.path().join("other.prom");
        fs::write(&other, "of somebody else").expect("written");
        let file = Textfile::new(&other).expect("a file");
        file.remove().expect("nothing to do");
        fs::remove_file(&other).expect("it is there");
        assert_eq!(fs::read_dir(&directory).expect("it").count(), 1);
    }
}
