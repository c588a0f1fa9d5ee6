//! What is answered to a request.

use std::rc::Rc;

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body,
    header::{
        ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue,
        VARY, WWW_AUTHENTICATE,
    },
};

use super::{
    access::{Access, Grant},
    limits::URI_BYTES,
    negotiate,
    packed::Packed,
    progress::Progress,
    reply::{Content, Reply},
    site::Site,
};
use crate::export::Exposition;

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\"><head><title>offwatch</title></head><body>\n",
    "<h1>offwatch ",
    env!("CARGO_PKG_VERSION"),
    "</h1>\n<p>What network offloads do for the VMs of this host: <a href=\"/metrics\">metrics",
    "</a></p>\n</body></html>\n"
);
const METHODS: &str = "GET, HEAD";

/// What is asked for, or why it is not given.
enum Asked {
    Metrics,
    Page,
    Health,
    Refused(StatusCode, Option<(HeaderName, &'static str)>),
}

/// Judges a request without what it costs to answer it.
fn asked<B: Body>(request: &Request<B>, access: &Access) -> Asked {
    let refused = |code| Asked::Refused(code, None);
    if request.uri().to_string().len() > URI_BYTES {
        return refused(StatusCode::URI_TOO_LONG);
    }
    if !request.body().is_end_stream() {
        let close = (CONNECTION, "close");
        return Asked::Refused(StatusCode::PAYLOAD_TOO_LARGE, Some(close));
    }
    let path = request.uri().path();
    // Whoever looks after the service need not know the token.
    let grant = match path {
        "/healthz" => Grant::Granted,
        _ => access.grants(request.headers()),
    };
    let challenge = match grant {
        Grant::Granted => None,
        Grant::Missing => Some("Bearer realm=\"offwatch\""),
        Grant::Wrong => Some("Bearer realm=\"offwatch\", error=\"invalid_token\""),
    };
    if let Some(challenge) = challenge {
        let challenge = (WWW_AUTHENTICATE, challenge);
        return Asked::Refused(StatusCode::UNAUTHORIZED, Some(challenge));
    }
    let found = match path {
        "/metrics" => Asked::Metrics,
        "/" => Asked::Page,
        "/healthz" => Asked::Health,
        _ => return refused(StatusCode::NOT_FOUND),
    };
    match *request.method() {
        Method::GET | Method::HEAD => found,
        _ => Asked::Refused(StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, METHODS))),
    }
}

/// Answers a request.
pub(super) async fn answer<B: Body>(
    request: &Request<B>,
    site: &Site,
    progress: &Rc<Progress>,
) -> Response<Reply> {
    let text = |text: &'static str| Content::Text(Bytes::from_static(text.as_bytes()));
    let mut is_packed = false;
    let (code, content_type, content, header) = match asked(request, &site.access()) {
        Asked::Page => (StatusCode::OK, HTML, text(PAGE), None),
        Asked::Health => (StatusCode::OK, PLAIN, text("ok\n"), None),
        Asked::Refused(code, header) => {
            let reason = code.canonical_reason().unwrap_or_default();
            let line = format!("{} {reason}\n", code.as_u16());
            (code, PLAIN, Content::Text(line.into()), header)
        }
        Asked::Metrics => {
            let format = negotiate::format(request.headers());
            is_packed = negotiate::takes_gzip(request.headers());
            let content = match *request.method() {
                Method::HEAD => Content::None,
                _ => {
                    let metrics = Exposition::new(site.snapshot().await, format);
                    match is_packed {
                        true => Content::Packed(Box::new(Packed::new(metrics))),
                        false => Content::Metrics(Box::new(metrics)),
                    }
                }
            };
            let vary = Some((VARY, "Accept, Accept-Encoding"));
            (StatusCode::OK, format.content_type(), content, vary)
        }
    };
    let mut response = Response::new(Reply::new(content, Rc::clone(progress)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some((name, value)) = header {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
