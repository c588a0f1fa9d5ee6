use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use hyper::header::HeaderValue;
use tempfile::TempDir;

use super::super::{Server, Setup, TlsFiles, limits::Limits, listen, tls, token::Token};

fn file(directory: &TempDir, content: &[u8], mode: u32) -> PathBuf {
    let path = directory.path().join("secret");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn refusal(path: &Path) -> String {
    let error = Token::read(path).err().expect("it is refused").to_string();
    assert!(
        error.contains(path.to_str().unwrap()) && !error.contains('\n'),
        "{error}"
    );
    error
}

#[test]
fn a_token_is_what_its_file_holds_without_the_newline() {
    let directory = TempDir::new().unwrap();
    for content in ["s3cret~", "s3cret~\n", "s3cret~\r\n"] {
        let token = Token::read(&file(&directory, content.as_bytes(), 0o640)).unwrap();
        let is_in = |value: &str| token.is_in(&HeaderValue::from_str(value).unwrap());
        assert!(is_in("Bearer s3cret~") && is_in("bearer  s3cret~"));
        for wrong in [
            "Bearer s3cret",
            "Bearer s3cret~~",
            "Bearer ",
            "Bearer",
            "",
            "Basic s3cret~",
            "s3cret~",
            "Bearers3cret~",
        ] {
            assert!(!is_in(wrong), "{wrong:?}");
        }
    }
}

#[test]
fn a_token_that_is_none_or_known_to_all_is_refused() {
    let directory = TempDir::new().unwrap();
    let told = |content: &[u8], mode| refusal(&file(&directory, content, mode));
    assert!(told(b"token", 0o644).contains("every user can read or change it (mode 0644)"));
    assert!(told(b"token", 0o602).contains("mode 0602"));
    assert!(told(b"", 0o600).contains("empty"));
    assert!(told(b" \n\n", 0o600).contains("empty"));
    for bad in [
        &b"two words"[..],
        b" token",
        b"one\ntwo",
        b"t\xc3\xb6ken",
        b"nul\0",
    ] {
        assert!(told(bad, 0o600).contains("visible ASCII"), "{bad:?}");
    }
    assert!(told(&[b'a'; 5000], 0o600).contains("longer than 4096"));
    assert!(told(&[b'a'; 70_000], 0o600).contains("longer than"));
    assert!(refusal(directory.path()).contains("not a regular file"));
    assert!(refusal(&directory.path().join("none")).contains("No such file"));
}

#[test]
fn a_file_that_is_no_certificate_is_named() {
    let directory = TempDir::new().unwrap();
    let cert = directory.path().join("cert.pem");
    let files = |cert: &Path| TlsFiles {
        cert: cert.to_owned(),
        key: directory.path().join("key"),
    };
    let told = |cert: &Path| tls::config(&files(cert)).err().unwrap().to_string();
    assert_eq!(
        told(&cert),
        format!(
            "certificate {}: No such file or directory (os error 2)",
            cert.display()
        )
    );
    // Neither may keep the server waiting, or fill its memory.
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(told(&fifo).ends_with("fifo: not a regular file"));
    assert!(told(Path::new("/dev/zero")).ends_with("/dev/zero: not a regular file"));
    fs::write(&cert, "no certificate\n").unwrap();
    assert!(told(&cert).ends_with("cert.pem: has no certificate (PEM)"));
    fs::write(
        &cert,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    assert!(told(&cert).starts_with("private key "), "{}", told(&cert));
    fs::write(directory.path().join("key"), "no key\n").unwrap();
    assert!(
        told(&cert).contains("every user can read"),
        "{}",
        told(&cert)
    );
    fs::set_permissions(directory.path().join("key"), Permissions::from_mode(0o600)).unwrap();
    assert!(
        told(&cert).contains("key: has no private key (PEM)"),
        "{}",
        told(&cert)
    );
}

fn setup(listen: &str) -> Setup {
    Setup {
        listen: vec![listen.parse().unwrap()],
        tls: None,
        token_file: None,
        insecure: false,
        limits: Limits::new(1),
    }
}

#[test]
fn others_are_let_in_only_with_tls_and_token() {
    for (address, is_exposed) in [
        ("127.0.0.1:1", false),
        ("127.9.9.9:1", false),
        ("[::1]:1", false),
        ("[::ffff:127.0.0.1]:1", false),
        ("0.0.0.0:1", true),
        ("[::]:1", true),
        ("192.0.2.1:1", true),
        ("[::ffff:192.0.2.1]:1", true),
    ] {
        assert_eq!(
            listen::is_exposed(address.parse().unwrap()),
            is_exposed,
            "{address}"
        );
    }
    let token = PathBuf::from("token");
    let tls = TlsFiles {
        cert: "cert".into(),
        key: "key".into(),
    };
    let told = |setup: Setup| Server::open(setup).err().expect("it is refused");
    let plain = setup("0.0.0.0:1");
    for (setup, lacking) in [
        (
            Setup {
                token_file: Some(token),
                ..plain.clone()
            },
            "give --tls-cert and --tls-key, or",
        ),
        (
            Setup {
                tls: Some(tls),
                ..plain.clone()
            },
            "give --token-file, or",
        ),
        (plain, "give --tls-cert, --tls-key and --token-file, or"),
    ] {
        let error = told(setup);
        assert!(error.to_string().contains(lacking), "{error}");
        assert_eq!(error.code(), 2);
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_told() {
    let first = Server::open(setup("127.0.0.1:0")).unwrap();
    let taken = first.addresses().next().unwrap();
    let told = |listen: &str, insecure| {
        let setup = Setup {
            insecure,
            ..setup(listen)
        };
        let error = Server::open(setup).err().expect("it is refused");
        assert_eq!(error.code(), 1);
        error.to_string()
    };
    assert_eq!(
        told(&taken.to_string(), false),
        format!(
            "cannot listen on {taken}: Address already in use (os error 98); another program has \
             it, choose another one with --listen"
        )
    );
    let elsewhere = told("192.0.2.1:1", true);
    assert!(
        elsewhere.ends_with("no interface here has this address"),
        "{elsewhere}"
    );
}
