use std::io::Read as _;

use flate2::read::GzDecoder;

use super::{super::access::Access, Client, serve, unlimited};

const REQUEST: &str = "GET /metrics HTTP/1.0\r\n";

/// Head and body of the answer to a request with these headers.
async fn asked(address: std::net::SocketAddr, headers: &str) -> (String, Vec<u8>) {
    let mut client = Client::to(address).await;
    client.send(&format!("{REQUEST}{headers}\r\n")).await;
    let head = client.head().await;
    (head, client.bytes().await)
}

/// Without what differs from one scrape to the next.
fn lasting(text: &str) -> Vec<&str> {
    let differs = ["offwatch_http_", "offwatch_sample_", "process_"];
    let lines = text.lines();
    lines
        .filter(|line| !differs.iter().any(|name| line.starts_with(name)))
        .collect()
}

#[test]
fn what_is_compressed_is_the_same() {
    serve(500, unlimited(9), Access::default(), async |address, _| {
        let (head, plain) = asked(address, "").await;
        assert!(!head.contains("content-encoding"), "{head}");
        assert!(head.contains("vary: Accept, Accept-Encoding"), "{head}");
        let plain = String::from_utf8(plain).expect("text");
        for taken in ["gzip", "deflate, gzip;q=0.5", "*"] {
            let (head, packed) = asked(address, &format!("Accept-Encoding: {taken}\r\n")).await;
            assert!(head.contains("content-encoding: gzip"), "{taken}: {head}");
            assert!(packed.len() * 5 < plain.len(), "{} bytes", packed.len());
            let mut text = String::new();
            let mut decoder = GzDecoder::new(&packed[..]);
            decoder.read_to_string(&mut text).expect("a whole stream");
            assert_eq!(lasting(&text), lasting(&plain), "{taken}");
        }
        for refused in ["br", "identity", "gzip;q=0", "*, gzip;q=0", "gzip;q=x"] {
            let (head, _) = asked(address, &format!("Accept-Encoding: {refused}\r\n")).await;
            assert!(!head.contains("content-encoding"), "{refused}: {head}");
        }
    });
}
