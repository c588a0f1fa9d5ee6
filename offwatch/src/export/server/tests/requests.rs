use std::{fs, os::unix::fs::OpenOptionsExt as _};

use tempfile::TempDir;

use super::{
    super::access::{Access, Files},
    Client, ask, serve, settled, unlimited,
};

const CLOSE: &str = "\r\nConnection: close\r\n\r\n";

fn header<'h>(answer: &'h str, name: &str) -> Option<&'h str> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find_map(|(header, value)| (header == name).then_some(value))
}

#[test]
fn what_is_there_is_answered_and_nothing_else() {
    serve(1, unlimited(9), Access::default(), async |address, site| {
        for (request, status, allow) in [
            ("GET / HTTP/1.1", "200 OK", None),
            ("GET /healthz HTTP/1.1", "200 OK", None),
            ("GET /metrics HTTP/1.1", "200 OK", None),
            ("GET /metrics?x=y HTTP/1.1", "200 OK", None),
            ("GET http://host/metrics HTTP/1.1", "200 OK", None),
            ("HEAD /metrics HTTP/1.1", "200 OK", None),
            ("GET /metric HTTP/1.1", "404 Not Found", None),
            ("GET /metrics/ HTTP/1.1", "404 Not Found", None),
            ("PUT /nowhere HTTP/1.1", "404 Not Found", None),
            ("CONNECT host:1 HTTP/1.1", "404 Not Found", None),
            ("OPTIONS * HTTP/1.1", "404 Not Found", None),
            (
                "DELETE /metrics HTTP/1.1",
                "405 Method Not Allowed",
                Some("GET, HEAD"),
            ),
            (
                "WHATEVER / HTTP/1.1",
                "405 Method Not Allowed",
                Some("GET, HEAD"),
            ),
            (
                "POST /metrics HTTP/1.1",
                "405 Method Not Allowed",
                Some("GET, HEAD"),
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1",
                "413 Payload Too Large",
                None,
            ),
            (
                "GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked",
                "413 Payload Too Large",
                None,
            ),
            ("GET /metrics", "400 Bad Request", None),
            (
                "GET /metrics HTTP/1.1\r\nno header",
                "400 Bad Request",
                None,
            ),
            (
                "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
                "400 Bad Request",
                None,
            ),
        ] {
            let answer = ask(address, &format!("{request}{CLOSE}")).await;
            let first = answer.lines().next().unwrap_or_default();
            assert_eq!(first, format!("HTTP/1.1 {status}"), "{request}");
            assert_eq!(header(&answer, "allow"), allow, "{request}");
        }
        settled(&site).await;
        let counted = site.latest.own().requests();
        for (code, count) in [(200, 6), (400, 3), (404, 5), (405, 3), (413, 2)] {
            assert_eq!(counted.get(&code), Some(&count), "{code}");
        }
    });
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    serve(3, unlimited(9), Access::default(), async |address, _| {
        let get = format!("GET /metrics HTTP/1.1{CLOSE}");
        let text = ask(address, &get).await;
        assert_eq!(
            header(&text, "content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        assert!(text.ends_with("\r\n0\r\n\r\n"), "it is whole");
        assert!(!text.contains("# EOF"));
        let accept = "\r\nAccept: application/openmetrics-text;version=1.0.0";
        let open = ask(address, &format!("GET /metrics HTTP/1.1{accept}{CLOSE}")).await;
        let of_open = Some("application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert_eq!(header(&open, "content-type"), of_open);
        assert!(open.ends_with("# EOF\n\r\n0\r\n\r\n"), "it is whole");
        let head = ask(address, &format!("HEAD /metrics HTTP/1.1{accept}{CLOSE}")).await;
        let head_of = |answer: &str| {
            let head = answer.split("\r\n\r\n").next().unwrap_or_default();
            // What there is to say of the body alone may be left out.
            let left_out = ["date", "transfer-encoding"];
            let lines = head.lines();
            let lines = lines.filter(|line| !left_out.iter().any(|name| line.starts_with(name)));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(head_of(&head), head_of(&open));
        assert!(
            head.ends_with("\r\n\r\n") && !head.contains('#'),
            "it has no body"
        );
        // An old client knows no chunks.
        let old = ask(address, "GET /metrics HTTP/1.0\r\n\r\n").await;
        assert!(old.contains("offwatch_") && header(&old, "transfer-encoding").is_none());
    });
}

#[test]
fn a_connection_has_many_requests_also_at_once() {
    serve(1, unlimited(1), Access::default(), async |address, site| {
        let mut client = Client::to(address).await;
        for _ in 0..100 {
            client.send("GET /healthz HTTP/1.1\r\n\r\n").await;
            assert_eq!(client.answer().await.1, "ok\n");
        }
        client
            .send(&"GET /healthz HTTP/1.1\r\n\r\n".repeat(50))
            .await;
        for _ in 0..50 {
            assert_eq!(client.answer().await.1, "ok\n");
        }
        assert_eq!(site.latest.own().connections(), 1);
    });
}

#[test]
fn too_much_is_refused_and_the_refusal_arrives() {
    serve(1, unlimited(9), Access::default(), async |address, site| {
        let long = "x".repeat(3000);
        let uri = ask(address, &format!("GET /{long} HTTP/1.1{CLOSE}")).await;
        assert!(uri.starts_with("HTTP/1.1 414 "), "{uri}");
        let huge = "x".repeat(1 << 20);
        for request in [
            format!("GET / HTTP/1.1\r\nX: {huge}"),
            format!("GET /{huge} HTTP/1.1{CLOSE}"),
            format!("GET / HTTP/1.1{}{CLOSE}", "\r\nA: b".repeat(200)),
        ] {
            let answer = ask(address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
        let body = format!(
            "POST /metrics HTTP/1.1\r\nContent-Length: {}\r\n\r\n{huge}",
            huge.len()
        );
        let answer = ask(address, &body).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert_eq!(header(&answer, "connection"), Some("close"));
        settled(&site).await;
        let counted = site.latest.own().requests();
        assert_eq!((counted.get(&431), counted.get(&414)), (Some(&3), Some(&1)));
    });
}

#[test]
fn without_the_token_nothing_is_told() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("token");
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    std::io::Write::write_all(&mut file.unwrap(), b"right\n").unwrap();
    let files = Files {
        token: Some(path),
        tls: None,
    };
    serve(
        1,
        unlimited(9),
        Access::read(&files).unwrap(),
        async |address, _| {
            let with = |path: &str, header: &str| format!("GET {path} HTTP/1.1{header}{CLOSE}");
            for path in ["/metrics", "/", "/nowhere"] {
                let none = ask(address, &with(path, "")).await;
                assert!(none.starts_with("HTTP/1.1 401 "), "{none}");
                assert_eq!(
                    header(&none, "www-authenticate"),
                    Some("Bearer realm=\"offwatch\"")
                );
                let wrong = ask(address, &with(path, "\r\nAuthorization: Bearer wrong")).await;
                assert!(wrong.starts_with("HTTP/1.1 401 "), "{wrong}");
                let challenge = Some("Bearer realm=\"offwatch\", error=\"invalid_token\"");
                assert_eq!(header(&wrong, "www-authenticate"), challenge);
                assert!(!none.contains("offwatch_") && !wrong.contains("offwatch_"));
            }
            let right = ask(
                address,
                &with("/metrics", "\r\nAuthorization: Bearer right"),
            )
            .await;
            assert!(right.starts_with("HTTP/1.1 200 ") && right.contains("offwatch_"));
            let health = ask(address, &with("/healthz", "")).await;
            assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
        },
    );
}
