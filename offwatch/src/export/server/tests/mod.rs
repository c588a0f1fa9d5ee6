//! A server with a snapshot that stays, and clients of it.

mod files;
mod held;
mod limits;
mod negotiation;
mod packed;
mod requests;

use std::{future::Future, net::SocketAddr, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{LocalSet, spawn_local, yield_now},
};

use super::{Limits, Site, accept, access::Access, listen};
use crate::export::{Latest, Snapshot};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// Limits that no test reaches.
fn unlimited(connections: u16) -> Limits {
    Limits {
        connections,
        head: LONG,
        answer: LONG,
        idle: LONG,
        closing: LONG,
        end: LONG,
    }
}

/// A server of so many cards, as long as a test of it runs.
fn serve<F: Future>(
    cards: usize,
    limits: Limits,
    access: Access,
    test: impl FnOnce(SocketAddr, Rc<Site>) -> F,
) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let work = async {
        let listener = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let latest = Latest::fixed(Snapshot::of_cards(cards));
        let site = Rc::new(Site::new(latest, limits, access));
        spawn_local(accept::run(vec![listener], Rc::clone(&site)));
        test(address, site).await
    };
    LocalSet::new().block_on(&runtime, work)
}

/// Waits until all connections have ended on the server's side, too.
async fn settled(site: &Site) {
    while site.latest.own().connections() > 0 {
        yield_now().await;
    }
}

/// A client's connection.
struct Client(TcpStream);

impl Client {
    async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends something, if it is still read.
    async fn send(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    /// An answer's head.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).unwrap()
    }

    /// An answer of a length that is told.
    async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.expect("a length").parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// All bytes until the server ends the connection.
    async fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    /// All until the server ends the connection, and whether it did so in order.
    async fn rest(&mut self) -> (String, bool) {
        let mut rest = Vec::new();
        let result = self.0.read_to_end(&mut rest).await;
        (String::from_utf8_lossy(&rest).into_owned(), result.is_ok())
    }
}

/// What is answered to a request that is the last of its connection.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut client = Client::to(address).await;
    client.send(request).await;
    let (answer, is_whole) = client.rest().await;
    assert!(is_whole, "reset after {answer:?}");
    answer
}
