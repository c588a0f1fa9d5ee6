//! Why Prometheus gives no answer, each in one line.

/// A failure of Prometheus, or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The address is none.
    #[error("--prometheus '{0}' is no URL: {1}; write http://prometheus:9090")]
    Url(String, String),
    /// The token cannot be sent.
    #[error("--token-file {0}: {1}")]
    Token(String, String),
    /// Only one of them can be sent.
    #[error("--prometheus holds a user, and --token-file a token: give one of them")]
    TwoLogins,
    /// Without its clock nothing can be called old.
    #[error("Prometheus at {0} does not tell the time: it answers vector(time()) with none")]
    Clock(String),
    /// The certificates cannot be used.
    #[error("--ca-file {0}: {1}")]
    Certificates(String, String),
    /// The client cannot be made.
    #[error("cannot ask by HTTP: {0}")]
    Client(String),
    /// Nothing listens there, or it cannot be reached.
    #[error("cannot reach Prometheus at {url}: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// Its certificate is refused, or it speaks no TLS.
    #[error("no TLS with Prometheus at {url}: {reason}")]
    Tls {
        /// Its address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// No answer in time.
    #[error("Prometheus at {url} did not answer within {seconds} s (--timeout)")]
    Timeout {
        /// Its address.
        url: String,
        /// How long was waited.
        seconds: f64,
    },
    /// It asks for a token, or refuses ours.
    #[error("{url} refuses access (HTTP {code}): {}", match has_token {
        true => "is the token of --token-file right?",
        false => "it wants a token: --token-file FILE",
    })]
    Refused {
        /// The address.
        url: String,
        /// Status code.
        code: u16,
        /// A token was sent.
        has_token: bool,
    },
    /// It is elsewhere. Not followed: a token would go along.
    #[error("{url} redirects to {to}: give --prometheus the address that is meant")]
    Redirect {
        /// The address.
        url: String,
        /// Where it points.
        to: String,
    },
    /// Whatever answers is not Prometheus.
    #[error("{url} is not the API of Prometheus: HTTP {code}, {what}; is the address right?")]
    NotPrometheus {
        /// The address.
        url: String,
        /// Status code.
        code: u16,
        /// What came.
        what: String,
    },
    /// The answer is larger than any of an offwatch host is.
    #[error("{url} answered with more than {limit_bytes} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// What is taken.
        limit_bytes: usize,
    },
    /// Prometheus says what is wrong.
    #[error("Prometheus at {url}: {kind}: {message}")]
    Query {
        /// Its address.
        url: String,
        /// `errorType`.
        kind: String,
        /// `error`.
        message: String,
    },
    /// There is no host at all.
    #[error(
        "Prometheus at {url} knows no host of offwatch: no offwatch_host_info within {within}; \
         does it scrape `offwatch export`?"
    )]
    NoHosts {
        /// Its address.
        url: String,
        /// How far it was looked back.
        within: String,
    },
}

impl FleetError {
    /// The exit code: 2 for wrong usage.
    pub fn code(&self) -> u8 {
        match self {
            Self::Url(..) | Self::TwoLogins => 2,
            _ => 1,
        }
    }
}
