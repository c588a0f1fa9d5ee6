//! Opening and closing a connection.

use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use virt::connect::Connect;

use super::events;
use super::failure::{Failure, failure, one_line};
use super::shared::Shared;
use crate::inventory::nic::printable;
use crate::inventory::uri;

/// The connection is given up after this many seconds of silence, in thirds.
const KEEP_ALIVE_SECONDS: i32 = 5;
/// Pause before the second attempt to connect; doubled by each one that fails.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);

/// An open connection; closed when dropped.
pub(super) struct Connection {
    pub(super) connect: Connect,
    callbacks: Vec<libc::c_int>,
}

impl Connection {
    pub(super) fn open(uri: &str, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let connect = open(uri, Connect::open_read_only)?;
        // Not every driver has it, and none needs it to work.
        if let Err(error) = connect.set_keep_alive(KEEP_ALIVE_SECONDS, 3) {
            log::debug!("libvirt: no keep-alive: {}", one_line(error.message()));
        }
        let callbacks = events::register(&connect, shared);
        Ok(Self { connect, callbacks })
    }
}

/// Connects so that definitions can be changed.
pub(crate) fn open_to_write(uri: &str) -> Result<Connect, Failure> {
    prepare_library();
    open(uri, Connect::open)
}

/// Connects to a libvirt of this host.
fn open(
    uri: &str,
    how: impl FnOnce(Option<&str>) -> Result<Connect, virt::error::Error>,
) -> Result<Connect, Failure> {
    // The bindings panic on a NUL.
    if uri.contains('\0') {
        return Err(Failure::BadUri {
            uri: printable(uri),
            message: "it contains a NUL".to_owned(),
        });
    }
    let bad = |message: String| Failure::BadUri {
        uri: printable(uri),
        message: printable(&message),
    };
    uri::local(uri).map_err(bad)?;
    // libvirt's test driver would have libxml2 complain on stderr.
    if let Some(path) = uri.strip_prefix("test://")
        && path != "/default"
        && !std::path::Path::new(path).is_file()
    {
        return Err(bad(format!("there is no file {path}")));
    }
    let connect = how(Some(uri)).map_err(|error| failure(uri, &error))?;
    // An alias in libvirt's configuration may stand for another host.
    if let Ok(resolved) = connect.get_uri() {
        uri::local(&resolved).map_err(bad)?;
    }
    Ok(connect)
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A callback holds a reference to the connection.
        events::deregister(&self.connect, &self.callbacks);
        if let Err(error) = self.connect.close() {
            log::debug!("libvirt: close: {}", one_line(error.message()));
        }
    }
}

/// Silences libvirt's error handler, which writes to stderr, and starts the
/// event loop that keep-alive and events need. Once in a process.
pub(super) fn prepare_library() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        virt::error::clear_error_callback();
        // Must come before the first connection. A loop must run from then on,
        // or the daemon's own keep-alive would find the connection dead.
        if virt::event::event_register_default_impl().is_err() {
            return;
        }
        let spawned = thread::Builder::new()
            .name("libvirt-events".to_owned())
            .spawn(|| {
                loop {
                    if virt::event::event_run_default_impl().is_err() {
                        thread::sleep(FIRST_RETRY);
                    }
                }
            });
        if let Err(error) = spawned {
            log::warn!("libvirt: no thread for events: {error}");
        }
    });
}
