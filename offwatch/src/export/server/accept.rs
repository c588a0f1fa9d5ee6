//! Takes connections from the listening sockets.

use std::{future::poll_fn, io, rc::Rc, task::Poll, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
    time::sleep,
};

use super::{connection, gate::Gate, site::Site};

/// Before a connection is taken again where descriptors or memory ran out.
const REST: Duration = Duration::from_millis(100);

/// Serves whoever comes, as many at once as there is room for.
pub(super) async fn run(listeners: Vec<TcpListener>, site: Rc<Site>) {
    let mut first = 0;
    loop {
        let (index, stream) = next(&listeners, first, &site.gate).await;
        // All listeners have their turn.
        first = index + 1;
        let place = site.gate.enter().await;
        let site = Rc::clone(&site);
        spawn_local(async move {
            let connected = Connected::new(&site);
            connection::serve(stream, &site).await;
            drop((connected, place));
        });
    }
}

/// A connection, and the number of its listener.
async fn next(listeners: &[TcpListener], first: usize, gate: &Gate) -> (usize, TcpStream) {
    loop {
        let accepted = poll_fn(|cx| {
            for offset in 0..listeners.len() {
                let index = (first + offset) % listeners.len();
                if let Poll::Ready(accepted) = listeners[index].poll_accept(cx) {
                    return Poll::Ready((index, accepted));
                }
            }
            Poll::Pending
        });
        match accepted.await {
            (index, Ok((stream, _))) => {
                gate.starved(false);
                return (index, stream);
            }
            (_, Err(error)) => {
                gate.starved(is_lack(&error));
                // Also after such as one that the client has given up: accept(2).
                sleep(REST).await;
            }
        }
    }
}

fn is_lack(error: &io::Error) -> bool {
    const LACKS: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| LACKS.contains(&code))
}

/// A connection that is counted.
struct Connected<'s>(&'s Site);

impl<'s> Connected<'s> {
    fn new(site: &'s Site) -> Self {
        site.latest.own().connected();
        Self(site)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.latest.own().disconnected();
    }
}
