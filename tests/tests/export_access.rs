//! Who may scrape the exporter: TLS, token, sockets of systemd, and what is refused.

use std::{
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, net::UnixDatagram},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use offwatch_tests::{
    Netns,
    http::{Exporter, series, whole},
    observer::{binary, offwatch},
    quiet::wait_until,
    skip_unless_lab,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);
const OPENSSL: &str = "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n\
    [dn]\nCN=localhost\n[v3]\nbasicConstraints=critical,CA:FALSE\n\
    subjectAltName=DNS:localhost,IP:127.0.0.1\n";

/// A token, and a certificate that openssl has made.
struct Secrets(TempDir);

impl Secrets {
    fn new() -> Result<Self> {
        let secrets = Self(TempDir::new()?);
        secrets.set_token("first\n")?;
        secrets.new_certificate()?;
        Ok(secrets)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn set_token(&self, token: &str) -> Result<()> {
        fs::write(self.path("token"), token)?;
        self.set_mode("token", 0o600)
    }

    fn set_mode(&self, name: &str, mode: u32) -> Result<()> {
        Ok(fs::set_permissions(
            self.path(name),
            Permissions::from_mode(mode),
        )?)
    }

    fn new_certificate(&self) -> Result<()> {
        fs::write(self.path("openssl.cnf"), OPENSSL)?;
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt",
            ])
            .args(["ec_paramgen_curve:prime256v1", "-config", "openssl.cnf"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(self.0.path())
            .output()
            .context("openssl")?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        self.set_mode("key.pem", 0o600)
    }

    /// Options that name all of them.
    fn options(&self) -> [String; 6] {
        [
            "--tls-cert".into(),
            self.text("cert.pem"),
            "--tls-key".into(),
            self.text("key.pem"),
            "--token-file".into(),
            self.text("token"),
        ]
    }

    /// Who trusts this certificate alone.
    fn client(&self) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("cert.pem"))?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Client(Arc::new(config)))
    }
}

/// A scraper by https.
struct Client(Arc<ClientConfig>);

impl Client {
    /// What is answered to a scrape with a token.
    fn scrape(&self, exporter: &Exporter, token: &str) -> Result<String> {
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name)?;
        let mut stream = StreamOwned::new(connection, exporter.connect()?);
        stream.write_all(
            format!(
                "GET /metrics HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
                 Accept: application/openmetrics-text\r\n\r\n"
            )
            .as_bytes(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

#[test]
fn tls_and_token_let_in_who_has_them_and_are_read_again() -> Result<()> {
    skip_unless_lab!();
    let (ns, secrets) = (Netns::new()?, Secrets::new()?);
    let options = secrets.options();
    let exporter = Exporter::start(&ns, &options.each_ref().map(String::as_str))?;
    let client = secrets.client()?;
    let answer = client.scrape(&exporter, "first")?;
    assert!(series(&whole(&answer)?)?.contains_key("offwatch_vms"));
    assert!(
        client
            .scrape(&exporter, "second")?
            .starts_with("HTTP/1.1 401 ")
    );
    let plain = exporter.connect().and_then(|mut stream| {
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n")?;
        let mut answer = Vec::new();
        // An alert, or a reset.
        let _ = stream.read_to_end(&mut answer);
        Ok(answer)
    })?;
    assert!(!plain.starts_with(b"HTTP/"), "{plain:?}");
    // Who says nothing is put out, and keeps nobody out.
    let mut silent = exporter.connect()?;
    assert!(
        client
            .scrape(&exporter, "first")?
            .starts_with("HTTP/1.1 200 ")
    );
    assert_eq!(silent.read(&mut [0])?, 0);

    secrets.set_token("second")?;
    secrets.new_certificate()?;
    let renewed = secrets.client()?;
    assert!(
        renewed.scrape(&exporter, "first").is_err(),
        "it is not read yet"
    );
    exporter.signal(Signal::SIGHUP)?;
    wait_until("both are read again", PATIENCE, || {
        let answer = renewed.scrape(&exporter, "second");
        Ok(answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")))
    })?;
    assert!(
        renewed
            .scrape(&exporter, "first")?
            .starts_with("HTTP/1.1 401 ")
    );
    assert!(
        client.scrape(&exporter, "second").is_err(),
        "the old certificate"
    );

    secrets.set_mode("token", 0o644)?;
    let told = format!("token file {}: every user can read", secrets.text("token"));
    refused(&exporter, &renewed, &told)?;
    secrets.set_mode("token", 0o600)?;
    let key = fs::read(secrets.path("key.pem"))?;
    secrets.new_certificate()?;
    fs::write(secrets.path("key.pem"), key)?;
    let told = format!("private key {}: is not that of", secrets.text("key.pem"));
    refused(&exporter, &renewed, &told)?;
    assert!(exporter.end(Signal::SIGINT)?.success());
    Ok(())
}

/// What is bad is told, and what was good stays.
fn refused(exporter: &Exporter, client: &Client, told: &str) -> Result<()> {
    exporter.signal(Signal::SIGHUP)?;
    let line = exporter.line()?;
    assert!(line.starts_with(told), "{line}");
    assert!(
        line.ends_with("; what was read before stays in use"),
        "{line}"
    );
    assert!(
        client
            .scrape(exporter, "second")?
            .starts_with("HTTP/1.1 200 ")
    );
    Ok(())
}

/// The one line that it ends with.
fn error(mut command: Command, code: i32) -> Result<String> {
    let output = command.output()?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(
        output.status.code() == Some(code),
        "{}: {told}",
        output.status
    );
    let line = told.strip_suffix('\n').filter(|line| !line.contains('\n'));
    Ok(line
        .with_context(|| format!("not one line: {told}"))?
        .to_owned())
}

#[test]
fn what_cannot_be_served_is_told_in_one_line() -> Result<()> {
    skip_unless_lab!();
    let (ns, secrets) = (Netns::new()?, Secrets::new()?);
    let export = |args: &[&str]| offwatch(&ns, &[&["export"], args].concat());
    let _taken = ns.try_run(|| Ok(TcpListener::bind("127.0.0.1:9953")?))?;
    let options = secrets.options();
    let [cert, cert_file, key, key_file, token, token_file] =
        options.each_ref().map(String::as_str);
    for (args, code, told) in [
        (
            &[][..],
            1,
            "cannot listen on 127.0.0.1:9953: Address already in use",
        ),
        (
            &["--listen", "192.0.2.1:1", "--insecure"],
            1,
            "no interface here has this address",
        ),
        (&["--listen", "somewhere"], 2, "invalid value 'somewhere'"),
        (
            &["--listen", "[::]:1"],
            2,
            "[::]:1 can be reached by others: give --tls-cert, --tls-key",
        ),
        (
            &["--listen", "0.0.0.0:1", token, token_file],
            2,
            "give --tls-cert and --tls-key, or",
        ),
        (
            &["--listen", "0.0.0.0:1", cert, cert_file, key, key_file],
            2,
            "give --token-file, or",
        ),
        (&[cert, cert_file], 2, "--tls-key"),
        (
            &[cert, key_file, key, key_file],
            1,
            "key.pem: has no certificate",
        ),
        (
            &[cert, cert_file, key, cert_file],
            1,
            "cert.pem: every user can read",
        ),
        (
            &[token, "/nowhere"],
            1,
            "token file /nowhere: No such file or directory",
        ),
        (
            &[token, cert_file],
            1,
            "cert.pem: every user can read or change it (mode 0644)",
        ),
        (&["--max-connections", "0"], 2, "--max-connections"),
    ] {
        let line = error(export(args)?, code).with_context(|| format!("{args:?}"))?;
        assert!(line.contains(told), "{args:?}: {line}");
    }
    Ok(())
}

/// `offwatch export` as systemd starts it, with a socket and one to tell it things by.
fn service(ns: &Netns, socket: OwnedFd, notify: &Path) -> Result<Command> {
    // The socket's place is 3.
    const START: &str = "exec 3<&0 0</dev/null; LISTEN_PID=$$ exec \"$0\" export --no-advice";
    let mut command = ns.command("sh");
    command
        .args(["-c", START])
        .arg(binary()?)
        .stdin(Stdio::from(socket))
        .env("LISTEN_FDS", "1")
        .env("NOTIFY_SOCKET", notify)
        .env("WATCHDOG_USEC", "1000000");
    Ok(command)
}

#[test]
fn a_socket_of_systemd_is_served_and_systemd_is_told() -> Result<()> {
    skip_unless_lab!();
    let (ns, directory) = (Netns::new()?, TempDir::new()?);
    let notify_path = directory.path().join("notify");
    let notify = UnixDatagram::bind(&notify_path)?;
    notify.set_read_timeout(Some(PATIENCE * 12))?;
    let told = |state: &str| -> Result<()> {
        let mut buffer = [0; 256];
        loop {
            let length = notify.recv(&mut buffer).with_context(|| state.to_owned())?;
            let text = String::from_utf8_lossy(&buffer[..length]);
            if text.lines().any(|line| line == state) {
                return Ok(());
            }
        }
    };
    let listen = |address: &str| ns.try_run(|| Ok(TcpListener::bind(address)?));
    let socket = listen("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let command = service(&ns, socket.into(), &notify_path)?;
    let exporter = Exporter::spawn(&ns, command)?;
    assert_eq!(exporter.address(), address);
    told("READY=1")?;
    assert!(exporter.scrape()?.contains_key("offwatch_vms"));
    told("WATCHDOG=1")?;
    exporter.signal(Signal::SIGHUP)?;
    told("RELOADING=1")?;
    told("READY=1")?;
    assert!(exporter.end(Signal::SIGTERM)?.success());
    told("STOPPING=1")?;

    let exposed = listen("0.0.0.0:0")?;
    let line = error(service(&ns, exposed.into(), &notify_path)?, 2)?;
    assert!(line.contains("can be reached by others"), "{line}");
    let line = error(
        service(&ns, UnixDatagram::unbound()?.into(), &notify_path)?,
        1,
    )?;
    assert!(
        line.contains("(file descriptor 3): not a listening TCP socket"),
        "{line}"
    );
    Ok(())
}
