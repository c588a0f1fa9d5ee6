//! The way to Prometheus.

use std::{error::Error as StdError, io, path::Path, time::Duration};

use reqwest::{
    Certificate, Url,
    header::{CONTENT_TYPE, HeaderValue, LOCATION},
    redirect::Policy,
};

use super::{
    answer::{self, Answer, Response},
    error::FleetError,
};
use crate::{cli::fleet::PrometheusArgs, error::Error, secret, text::plain};

/// Far more than an answer about a batch of hosts has.
const LARGEST_BYTES: usize = 64 << 20;
/// A header with a token takes no more.
const LONGEST_TOKEN_BYTES: usize = 16 << 10;

/// Asks Prometheus.
pub struct Client {
    http: reqwest::Client,
    query: Url,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    /// Its address, without user and password.
    shown: String,
}

impl Client {
    /// Reads what is needed; nothing is asked yet.
    pub fn new(args: &PrometheusArgs) -> Result<Self, Error> {
        // What verifies certificates and encrypts; another one would be as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = address(&args.prometheus)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("offwatch/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(args.timeout)
            .tls_built_in_root_certs(url.scheme() == "https");
        for certificate in certificates(args.ca_file.as_deref())? {
            builder = builder.add_root_certificate(certificate);
        }
        let http = builder
            .build()
            .map_err(|error| FleetError::Client(innermost(&error)))?;
        let authorization = args.token_file.as_deref().map(token).transpose()?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user && authorization.is_some() {
            return Err(FleetError::TwoLogins.into());
        }
        Ok(Self {
            http,
            shown: shown(&url),
            query: api(url),
            authorization,
            timeout: args.timeout,
        })
    }

    /// Its address, for people.
    pub fn address(&self) -> &str {
        &self.shown
    }

    /// The answer to a query, at a time in seconds since the epoch, or now.
    pub async fn query(
        &self,
        query: &str,
        unix_seconds: Option<f64>,
    ) -> Result<Answer, FleetError> {
        let mut form = vec![
            ("query", query.to_owned()),
            ("timeout", format!("{}ms", self.timeout.as_millis())),
        ];
        form.extend(unix_seconds.map(|seconds| ("time", format!("{seconds:.3}"))));
        let mut request = self.http.post(self.query.clone()).form(&form);
        if let Some(authorization) = &self.authorization {
            request = request.header(reqwest::header::AUTHORIZATION, authorization.clone());
        }
        let mut response = request.send().await.map_err(|error| self.failure(&error))?;
        let code = response.status().as_u16();
        let header = |name| {
            let value = response.headers().get(name).map(HeaderValue::as_bytes);
            plain(&String::from_utf8_lossy(value.unwrap_or_default()))
        };
        let (content_type, location) = (header(CONTENT_TYPE), header(LOCATION));
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.failure(&error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_BYTES {
                return Err(FleetError::TooLarge {
                    url: self.shown.clone(),
                    limit_bytes: LARGEST_BYTES,
                });
            }
        }
        answer::read(Response {
            url: &self.shown,
            code,
            content_type: &content_type,
            location: &location,
            has_token: self.authorization.is_some(),
            body: &body,
        })
    }

    fn failure(&self, error: &reqwest::Error) -> FleetError {
        let (url, reason) = (self.shown.clone(), innermost(error));
        if error.is_timeout() {
            let seconds = self.timeout.as_secs_f64();
            return FleetError::Timeout { url, seconds };
        }
        match chain(error).find_map(of_tls) {
            Some(error) => FleetError::Tls {
                url,
                reason: tls_reason(&error),
            },
            None => FleetError::Unreachable {
                url,
                reason: format!("{reason}{}", proxies()),
            },
        }
    }
}

fn address(text: &str) -> Result<Url, FleetError> {
    let wrong = |why: &str| FleetError::Url(plain(&masked(text)), why.to_owned());
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.query().is_none() && url.fragment().is_none() => Ok(url),
        "http" | "https" => Err(wrong("it has a '?' or '#'")),
        _ => Err(wrong("it does not begin with http:// or https://")),
    }
}

/// An address that may be none, without user and password.
fn masked(text: &str) -> String {
    let Some((before, rest)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        "" => format!("...@{rest}"),
        scheme => format!("{scheme}://...@{rest}"),
    }
}

/// Without user and password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that can have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// Prometheus may be below a path of its server.
fn api(mut url: Url) -> Url {
    let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

fn token(path: &Path) -> Result<HeaderValue, Error> {
    let wrong = |why: &str| FleetError::Token(path.display().to_string(), why.to_owned());
    let bytes =
        secret::read(path).map_err(|why| FleetError::Token(path.display().to_string(), why))?;
    let text = str::from_utf8(&bytes).map_err(|_| wrong("holds no text"))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(wrong("holds no token").into());
    }
    if token.len() > LONGEST_TOKEN_BYTES {
        return Err(wrong("too long for a token").into());
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("holds more than a token: blanks, lines or other characters").into());
    }
    let mut value =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| wrong("cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn certificates(path: Option<&Path>) -> Result<Vec<Certificate>, Error> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let wrong = |why: String| FleetError::Certificates(path.display().to_string(), why);
    let pem = secret::read_public(path).map_err(wrong)?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(innermost(&error)))?;
    match found.is_empty() {
        true => Err(wrong("holds no certificate (PEM)".into()).into()),
        false => Ok(found),
    }
}

fn chain<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source())
}

/// What the system or the library said in the first place.
fn innermost(error: &reqwest::Error) -> String {
    let last = chain(error).last().map(ToString::to_string);
    plain(&last.unwrap_or_default())
}

/// What TLS says. Each layer may wrap what is below into an error of input and output.
fn of_tls(error: &(dyn StdError + 'static)) -> Option<rustls::Error> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(error.clone());
    }
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    of_tls(wrapped)
}

/// The same in words, and what to do.
fn tls_reason(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Wrong, Error as Tls};
    let certificate = match error {
        Tls::InvalidCertificate(certificate) => certificate,
        Tls::InvalidMessage(_) => return "what answers speaks no TLS".into(),
        other => return plain(&other.to_string()),
    };
    let text = certificate.to_string();
    let known = match certificate {
        Wrong::UnknownIssuer => {
            "its certificate is signed by nobody who is trusted; --ca-file names further ones"
        }
        Wrong::Expired | Wrong::ExpiredContext { .. } => "its certificate has expired",
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is the clock right?"
        }
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            "its certificate is for another name than that of --prometheus"
        }
        // The library tells it only so.
        Wrong::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is one of an authority (CA:TRUE), as `openssl req -x509` makes it by \
             itself; make it with -addext basicConstraints=critical,CA:FALSE"
        }
        _ => return format!("its certificate is refused: {}", plain(&text)),
    };
    known.into()
}

/// Proxies that there may be on the way. They are not shown: they may hold passwords.
fn proxies() -> String {
    const NAMES: [&str; 6] = [
        "ALL_PROXY",
        "all_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
    ];
    let set = NAMES.iter().filter(|name| std::env::var_os(name).is_some());
    match set.copied().collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        set => format!(" ({} names a proxy)", set.join(", ")),
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
