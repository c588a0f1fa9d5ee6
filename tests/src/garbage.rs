//! Requests that are none, from a seed.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use anyhow::{Context as _, Result};

use crate::{http::SCRAPE, random::Random, sockopt};

/// The begin of TLS' first message (RFC 8446).
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Something that a client may send.
pub fn request(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0 => bytes(random, 2000),
        1 => SCRAPE[..random.below(SCRAPE.len() as u64) as usize].to_vec(),
        2 => method(random),
        3 => SCRAPE.repeat(1 + random.below(4) as usize),
        4 => [CLIENT_HELLO, &bytes(random, 600)].concat(),
        5 => flipped(random),
        6 => headers(random),
        7 => body(random),
        8 => b"GET /healthz HTTP/1.1\r\n\r\n".repeat(random.below(50) as usize),
        _ => SCRAPE.to_vec(),
    }
}

fn bytes(random: &mut Random, most: u64) -> Vec<u8> {
    let count = random.below(most);
    (0..count).map(|_| random.below(256) as u8).collect()
}

fn method(random: &mut Random) -> Vec<u8> {
    let method = random.of(&["POST", "OPTIONS", "CONNECT", "PRI", "get", "G T", ""]);
    let path = random.of(&[
        "/metrics",
        "*",
        "//",
        "http://x/metrics",
        "/%00",
        "lab:1",
        "",
    ]);
    let version = random.of(&["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "ICY"]);
    format!("{method} {path} {version}\r\n\r\nSM\r\n\r\n").into_bytes()
}

/// A scrape with a few bytes changed.
fn flipped(random: &mut Random) -> Vec<u8> {
    let mut request = SCRAPE.to_vec();
    for _ in 0..1 + random.below(4) {
        let place = random.below(request.len() as u64) as usize;
        request[place] = random.below(256) as u8;
    }
    request
}

fn headers(random: &mut Random) -> Vec<u8> {
    let header = random.of(&["X: y\r\n", "Accept: ;q=,*/*;;=\r\n", " folded\r\n", ":\r\n"]);
    let many = header.repeat(random.below(3000) as usize);
    format!("GET /metrics HTTP/1.1\r\n{many}\r\n").into_bytes()
}

fn body(random: &mut Random) -> Vec<u8> {
    let how = random.of(&[
        "Content-Length: 18446744073709551616",
        "Content-Length: 9999999",
        "Content-Length: -1",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Expect: 100-continue\r\nContent-Length: 5",
    ]);
    let head = format!("POST /metrics HTTP/1.1\r\n{how}\r\n\r\n");
    [head.into_bytes(), bytes(random, 20_000)].concat()
}

/// Sends it, and ends the connection in one of the ways that there are.
pub fn send(mut stream: TcpStream, request: &[u8], random: &mut Random) -> Result<()> {
    let cut = random.below(request.len() as u64 + 1) as usize;
    let sent = stream
        .write_all(&request[..cut])
        .and_then(|()| stream.write_all(&request[cut..]));
    match random.below(4) {
        // As it is, with what is unread: a reset.
        0 => return Ok(()),
        1 => sockopt::reset_on_close(&stream)?,
        _ => {
            if sent.is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
                read_to_end(&mut stream)?;
            }
        }
    }
    Ok(())
}

/// The server may end a connection however it likes, but it has to.
fn read_to_end(stream: &mut TcpStream) -> Result<()> {
    let mut sink = [0; 16 * 1024];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(error).context("the server does not end a connection");
            }
            Err(_) => return Ok(()),
        }
    }
}
