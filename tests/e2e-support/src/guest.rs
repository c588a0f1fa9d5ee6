//! Commands in a guest, through the shell on its command port.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Where each guest's shell listens; see `guest-init.sh`.
const PORT: u16 = 7000;
/// Comes after a command's output, with the exit status behind it.
const MARK: &str = "--offwatch-e2e-status--";

/// What a command in a guest printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status as the guest's shell reports it.
    pub status: i32,
    /// Standard output and standard error, in the order they were written.
    pub text: String,
}

impl Output {
    /// The text, or an error if the command failed.
    pub fn success(self) -> Result<String> {
        if self.status != 0 {
            bail!("exit status {}: {}", self.status, self.text.trim());
        }
        Ok(self.text)
    }
}

/// Connects to a guest's command port. Call in its network namespace.
pub(crate) fn connect(address: Ipv4Addr, timeout: Duration) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((address, PORT)), timeout)
}

/// Runs `command` over a fresh connection.
pub(crate) fn run(mut stream: TcpStream, command: &str, timeout: Duration) -> Result<Output> {
    let deadline = Instant::now() + timeout;
    // A subshell, so that `exit` or `set -e` in the command cannot keep the
    // status from being printed. Its input must not be the rest of this script.
    let script = format!("exec 2>&1\n(\n{command}\n) </dev/null\necho \"{MARK}$?\"\nexit\n");
    stream
        .write_all(script.as_bytes())
        .context("send the command")?;
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        // Not end of file but the mark ends the output: a background job of the
        // command may keep the connection open.
        let text = String::from_utf8_lossy(&received);
        if let Some(output) = parse(&text) {
            return Ok(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no answer within {timeout:?}; so far: {text}");
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => bail!("the guest closed the connection after: {text}"),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            // A time-out is noticed at the top of the loop.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("read the guest's answer"),
        }
    }
}

fn parse(text: &str) -> Option<Output> {
    let (before, after) = text.rsplit_once(MARK)?;
    let status = after.strip_suffix('\n')?.parse().ok()?;
    Some(Output {
        status,
        text: before.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_complete_only_with_the_whole_mark() {
        assert_eq!(parse("hello\n"), None);
        assert_eq!(parse(&format!("hello\n{MARK}1")), None, "may become 127");
        let output = parse(&format!("hello\n{MARK}127\n")).unwrap();
        assert_eq!((output.status, output.text.as_str()), (127, "hello\n"));
        assert!(output.success().is_err());
    }
}
