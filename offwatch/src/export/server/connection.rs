//! One connection, from its handshake to its end.

use std::{convert::Infallible, future::poll_fn, io, pin::pin, rc::Rc, task::Poll};

use futures_util::{FutureExt as _, future::FusedFuture as _};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    select,
    time::{Instant, sleep_until},
};
use tokio_rustls::TlsAcceptor;

use super::{
    answer::answer,
    limits::{HEAD_BYTES, UNSENT_BYTES},
    progress::{Phase, Progress},
    site::Site,
    watched::{Stream, Watched},
};

/// Serves a connection until it ends, or has taken too long.
pub(super) async fn serve(stream: TcpStream, site: &Rc<Site>) {
    let progress = Rc::new(Progress::new());
    // Of a connection that has ended already, the first read tells.
    let _ = prepare(&stream);
    let Some(tls) = site.access().tls() else {
        return requests(stream, site, progress).await;
    };
    let stream = select! {
        stream = TlsAcceptor::from(tls).accept(stream) => stream,
        () = sleep_until(progress.deadline(&site.limits)) => return,
        () = site.ended() => return,
    };
    // Who does not speak TLS gets no other answer.
    if let Ok(stream) = stream {
        requests(stream, site, progress).await;
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Answers requests, within their time.
async fn requests<S: Stream + 'static>(stream: S, site: &Rc<Site>, progress: Rc<Progress>) {
    let service = service_fn(|request: Request<Incoming>| {
        progress.asked();
        let progress = Rc::clone(&progress);
        async move {
            let mut response = answer(&request, site, &progress).await;
            site.latest.own().answered(response.status().as_u16());
            if site.gate.is_wanted() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let stream = TokioIo::new(Watched::new(stream, Rc::clone(&progress)));
    let connection = http1::Builder::new()
        // Time is limited here.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut deadline = pin!(sleep_until(progress.deadline(&site.limits)));
    let mut ended = pin!(site.ended().fuse());
    let mut asked = pin!(site.gate.asked());
    let mut is_asked = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                let code = result.err().as_ref().and_then(refusal);
                code.inspect(|code| site.latest.own().answered(code.as_u16()));
                return Poll::Ready(());
            }
            // This changes only when the connection is polled.
            let phase = progress.phase();
            if ended.as_mut().poll(cx).is_ready() {
                connection.as_mut().graceful_shutdown();
                continue;
            }
            if ended.is_terminated() && phase != Phase::Answer {
                return Poll::Ready(());
            }
            let due = progress.deadline(&site.limits);
            if deadline.deadline() != due {
                deadline.as_mut().reset(due);
            }
            // A timer does not tell of a task that is always busy.
            if Instant::now() >= due || deadline.as_mut().poll(cx).is_ready() {
                if phase == Phase::Answer {
                    progress.cut_off();
                }
                return Poll::Ready(());
            }
            if phase == Phase::Idle {
                is_asked = true;
                if asked.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if site.gate.is_wanted() {
                    return Poll::Ready(());
                }
            } else if !is_asked {
                return Poll::Pending;
            }
            // It stands at the end of the queue, or not in it.
            asked.set(site.gate.asked());
            is_asked = false;
            if phase != Phase::Idle {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// What hyper has answered by itself to what is no request.
fn refusal(error: &hyper::Error) -> Option<StatusCode> {
    match error {
        error if error.is_parse_version_h2() => None,
        error if error.is_parse_too_large() => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        error if error.is_parse() => Some(StatusCode::BAD_REQUEST),
        _ => None,
    }
}
