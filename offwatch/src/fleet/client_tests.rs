//! Against servers of a single answer.

use std::{
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    thread,
};

use super::*;

fn args(prometheus: &str) -> PrometheusArgs {
    PrometheusArgs {
        prometheus: prometheus.to_owned(),
        token_file: None,
        ca_file: None,
        host: Vec::new(),
        vm: Vec::new(),
        stale_after: Duration::from_secs(300),
        remember: Duration::from_secs(3600),
        timeout: Duration::from_secs(60),
        json: false,
        exit_code: false,
    }
}

/// A server of one request, which it answers as it is told; what it was asked.
fn serve(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // The body is the form, which ends with the time; a handshake is something else.
        while !request.ends_with(b"time=12.000") && request.first() != Some(&0x16) {
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        // A client that has enough does not wait for all.
        let _ = stream.write_all(answer.as_bytes());
        String::from_utf8_lossy(&request).into_owned()
    });
    (address, served)
}

fn ask(args: &PrometheusArgs) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let client = Client::new(args).map_err(|error| error.to_string())?;
    let asked = client.query("up == 0", Some(12.0));
    let answer = runtime.expect("a runtime").block_on(asked);
    answer.map_err(|error| error.to_string())
}

#[test]
fn a_query_is_posted_with_its_token() {
    let (address, served) = serve(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
         {\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let token: PathBuf = directory.path().join("token");
    write(&token, "t0ken\n");
    let mut args = args(&format!("http://{address}/base/"));
    args.token_file = Some(token);
    assert_eq!(ask(&args), Ok(Answer::default()));
    let request = served.join().expect("served");
    assert!(
        request.starts_with("POST /base/api/v1/query HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("authorization: Bearer t0ken\r\n"),
        "{request}"
    );
    let form = "query=up+%3D%3D+0&timeout=60000ms&time=12.000";
    assert!(request.ends_with(form), "{request}");
}

#[test]
fn what_answers_may_be_something_else() {
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>",
            "HTTP 200, text/html instead of JSON",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
            "redirects to /login",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            "it wants a token",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "cannot reach Prometheus at"),
        ("", "cannot reach Prometheus at"),
    ];
    for (answer, expected) in cases {
        let (address, served) = serve(answer);
        let error = ask(&args(&format!("http://{address}"))).expect_err(answer);
        assert!(error.contains(expected), "{answer}: {error}");
        assert!(error.contains(&format!("http://{address}")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        served.join().expect("served");
    }
}

#[test]
fn nothing_may_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let mut hasty = args(&format!("http://me:secret@{address}"));
    hasty.timeout = Duration::from_millis(50);
    let error = ask(&hasty).expect_err("no answer");
    let expected =
        format!("Prometheus at http://{address} did not answer within 0.05 s (--timeout)");
    assert_eq!(error, expected);
    drop(listener);
    let error = ask(&args(&format!("http://{address}"))).expect_err("nobody");
    assert!(
        error.starts_with(&format!("cannot reach Prometheus at http://{address}: ")),
        "{error}"
    );
    assert!(error.contains("refused"), "{error}");
}

#[test]
fn what_speaks_no_tls_is_told_as_such() {
    let (address, served) = serve("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let error = ask(&args(&format!("https://{address}"))).expect_err("no TLS");
    assert!(
        error.starts_with(&format!("no TLS with Prometheus at https://{address}: ")),
        "{error}"
    );
    drop(served);
}

#[test]
fn certificates_are_pem() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ca.pem");
    let mut args = args("https://127.0.0.1:1");
    args.ca_file = Some(path.clone());
    for (text, why) in [
        ("no PEM", "holds no certificate (PEM)"),
        ("-----BEGIN CERTIFICATE-----\n", "--ca-file"),
    ] {
        write(&path, text);
        let error = ask(&args).expect_err(text);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn addresses_may_have_a_path_and_a_password_that_is_not_shown() {
    let of = |text| address(text).map(|url| (shown(&url), api(url).to_string()));
    let (shown, api) = of("https://me:secret@p.example/prometheus/").expect("a URL");
    assert_eq!(shown, "https://p.example/prometheus");
    assert_eq!(api, "https://me:secret@p.example/prometheus/api/v1/query");
    let (shown, api) = of("http://p:9090").expect("a URL");
    assert_eq!(shown, "http://p:9090");
    assert_eq!(api, "http://p:9090/api/v1/query");
    for wrong in [
        "p:9090",
        "prometheus",
        "ftp://p",
        "http://p/?x=1",
        "http://",
    ] {
        let error = of(wrong).expect_err(wrong).to_string();
        assert!(
            error.starts_with(&format!("--prometheus '{wrong}' is no URL")),
            "{error}"
        );
    }
}

#[test]
fn tokens_are_one_word() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    let of = |text: &str| {
        write(&path, text);
        token(&path).map_err(|error| error.to_string())
    };
    let value = of("abc.def\n").expect("a token");
    assert_eq!(value.as_bytes(), b"Bearer abc.def");
    assert!(value.is_sensitive());
    for (wrong, why) in [
        ("\n", "holds no token"),
        ("a b", "more than"),
        ("a\r\nb", "more than"),
    ] {
        assert!(of(wrong).expect_err(wrong).contains(why));
    }
}

/// For its owner alone, as a token has to be.
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("changed");
}

#[test]
fn passwords_are_not_shown_with_what_is_wrong() {
    for wrong in [
        "http://me:secret@p:9090/?x",
        "http://me:secret@p:99999",
        "me:secret@p:9090",
        "http://me:se@cret@p:9090/#x",
    ] {
        let error = address(wrong).expect_err(wrong).to_string();
        assert!(
            !error.contains("cret") && error.contains("...@p:9"),
            "{error}"
        );
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    write(&path, "abc");
    let mut args = args("http://me:secret@p:9090");
    args.token_file = Some(path);
    let error = Client::new(&args).map(drop).expect_err("two logins");
    assert_eq!(error.code(), 2);
    assert!(error.to_string().contains("give one of them"), "{error}");
}

#[test]
fn files_that_never_end_are_refused() {
    let zero = Path::new("/dev/zero");
    let error = token(zero).expect_err("a token").to_string();
    assert_eq!(error, "--token-file /dev/zero: not a regular file");
    let error = certificates(Some(zero))
        .expect_err("certificates")
        .to_string();
    assert_eq!(error, "--ca-file /dev/zero: not a regular file");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    fs::write(&path, "abc").expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("changed");
    let error = token(&path).expect_err("everybody's").to_string();
    assert!(
        error.contains("every user can read or change it"),
        "{error}"
    );
}

#[test]
fn refused_certificates_are_told_in_words() {
    use rustls::{CertificateError as Wrong, Error as Tls};
    for (wrong, words) in [
        (Wrong::UnknownIssuer, "--ca-file"),
        (Wrong::Expired, "has expired"),
        (Wrong::NotValidForName, "another name"),
    ] {
        let reason = tls_reason(&Tls::InvalidCertificate(wrong));
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_certificate_that_openssl_makes_by_itself_is_told_with_what_to_do() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let directory = tempfile::tempdir().expect("a directory");
    let (path, key) = (
        directory.path().join("ca.pem"),
        directory.path().join("key.pem"),
    );
    let made = std::process::Command::new("openssl")
        .args([
            "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=p",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&path)
        .output();
    let Ok(made) = made else {
        eprintln!("skipped: there is no openssl");
        return;
    };
    assert!(made.status.success(), "{made:?}");
    let certificate = CertificateDer::from_pem_file(&path).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&key).expect("a key");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut tls = rustls::ServerConnection::new(config.into()).expect("TLS");
        // The client ends it.
        let _ = tls.complete_io(&mut stream);
    });
    let mut args = args(&format!("https://{address}"));
    args.ca_file = Some(path);
    let error = ask(&args).expect_err("CA:TRUE");
    assert!(
        error.contains("-addext basicConstraints=critical,CA:FALSE"),
        "{error}"
    );
    served.join().expect("served");
}
