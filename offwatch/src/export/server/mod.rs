//! The HTTP server that Prometheus scrapes.
//!
//! ```text
//! sockets --> accept --> gate (so many at once) --> connection (each within its time)
//!         --> answer (token, path, format) --> reply (Exposition, chunk by chunk)
//! ```
//!
//! All of it runs on one thread, which is not that of the samples: whoever reads
//! slowly keeps a snapshot in memory, for a limited time, and keeps nobody waiting.

mod accept;
mod access;
mod answer;
mod connection;
mod error;
mod gate;
mod held;
mod limits;
mod listen;
mod negotiate;
mod packed;
mod progress;
mod reply;
mod site;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod watched;

use std::{io, net::SocketAddr, rc::Rc};

use tokio::{
    net::TcpListener,
    select,
    signal::unix::{Signal, SignalKind, signal},
    task::{LocalSet, spawn_local},
    time::sleep_until,
};

use self::{
    access::{Access, Files},
    site::Site,
};
pub use self::{error::ServerError, limits::Limits, tls::TlsFiles};
use super::Latest;
use crate::{
    cli::export::{DEFAULT_LISTEN, ExportArgs},
    enforce::watch::log::{Level, Log},
    error::Error,
    service::Service,
};

/// What the user wants of the server.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where to listen, besides the sockets that systemd passes. If there are
    /// neither, at [`DEFAULT_LISTEN`].
    pub listen: Vec<SocketAddr>,
    /// With TLS alone.
    pub tls: Option<TlsFiles>,
    /// With the token in this file alone.
    pub token_file: Option<std::path::PathBuf>,
    /// Also where others can reach it without both.
    pub insecure: bool,
    /// Limits of clients.
    pub limits: Limits,
}

impl From<&ExportArgs> for Setup {
    fn from(args: &ExportArgs) -> Self {
        let files = args.tls_cert.clone().zip(args.tls_key.clone());
        Self {
            listen: args.listen.clone(),
            tls: files.map(|(cert, key)| TlsFiles { cert, key }),
            token_file: args.token_file.clone(),
            insecure: args.insecure,
            limits: Limits::new(args.max_connections),
        }
    }
}

impl Setup {
    /// Whether all may listen at an address.
    fn allows(&self, address: SocketAddr) -> Result<(), ServerError> {
        let lacking = match (&self.tls, &self.token_file) {
            (Some(_), Some(_)) => return Ok(()),
            (Some(_), None) => "--token-file",
            (None, Some(_)) => "--tls-cert and --tls-key",
            (None, None) => "--tls-cert, --tls-key and --token-file",
        };
        match self.insecure || !listen::is_exposed(address) {
            true => Ok(()),
            false => Err(ServerError::Exposed { address, lacking }),
        }
    }
}

/// A server whose sockets listen. Clients wait until it [runs](Self::run).
pub struct Server {
    listeners: Vec<TcpListener>,
    files: Files,
    access: Access,
    limits: Limits,
}

impl Server {
    /// Listens. To be called once, within a tokio runtime.
    pub fn open(setup: Setup) -> Result<Self, ServerError> {
        let passed = listen::passed()?;
        let mut addresses = setup.listen.clone();
        if addresses.is_empty() && passed.is_empty() {
            let default = DEFAULT_LISTEN.parse();
            addresses.push(default.unwrap_or_else(|_| unreachable!("it is an address")));
        }
        let passed_to = passed.iter().map(|passed| passed.address);
        for address in addresses.iter().copied().chain(passed_to) {
            setup.allows(address)?;
        }
        let files = Files {
            token: setup.token_file,
            tls: setup.tls,
        };
        let access = Access::read(&files)?;
        let passed = passed.into_iter().map(listen::Passed::listener);
        let bound = addresses.into_iter().map(listen::bind);
        Ok(Self {
            listeners: passed.chain(bound).collect::<Result<_, _>>()?,
            files,
            access,
            limits: setup.limits,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
    }

    /// Serves until SIGTERM or SIGINT ends it.
    pub async fn run(self, latest: Latest) -> Result<(), Error> {
        let mut signals = Signals::catch()?;
        let log = Log::from_env();
        let scheme = self.access.tls().map_or("http", |_| "https");
        for address in self.addresses() {
            log.line(
                Level::Info,
                &format!("listening on {scheme}://{address}/metrics"),
            );
        }
        let site = Rc::new(Site::new(latest, self.limits, self.access));
        let tasks = LocalSet::new();
        tasks
            .run_until(async {
                let accept = spawn_local(accept::run(self.listeners, Rc::clone(&site)));
                serve(&site, &self.files, &mut signals, log).await;
                // The kernel refuses further connections from now on.
                accept.abort();
                select! {
                    () = site.end() => {}
                    () = signals.end() => {}
                }
            })
            .await;
        Ok(())
    }
}

/// Does what it is asked until it is to end.
async fn serve(site: &Site, files: &Files, signals: &mut Signals, log: Log) {
    let mut service = Service::from_env();
    service.ready();
    loop {
        select! {
            biased;
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.reload.recv() => {
                service.reloading();
                match Access::read(files) {
                    Ok(access) => site.set_access(access),
                    Err(error) => {
                        let line = format!("{error}; what was read before stays in use");
                        log.line(Level::Error, &line);
                    }
                }
                service.ready();
            }
            () = sleep_until(service.next_ping()) => {}
        }
        service.ping();
    }
    service.stopping();
}

/// What others ask by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn catch() -> Result<Self, Error> {
        let caught = |kind| {
            signal(kind).map_err(|source: io::Error| Error::Io {
                what: "cannot catch signals".into(),
                source,
            })
        };
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            reload: caught(SignalKind::hangup())?,
        })
    }

    /// Waits until it is asked to end.
    async fn end(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
