//! Who may scrape, and how: the token and the certificate, which can be read again.

use std::{path::PathBuf, sync::Arc};

use hyper::header::{AUTHORIZATION, HeaderMap};
use rustls::ServerConfig;

use super::{
    error::ServerError,
    tls::{self, TlsFiles},
    token::Token,
};

/// Where both are.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    pub(super) token: Option<PathBuf>,
    pub(super) tls: Option<TlsFiles>,
}

/// Both, as they were read last.
#[derive(Default)]
pub(super) struct Access {
    token: Option<Token>,
    tls: Option<Arc<ServerConfig>>,
}

/// Whether a request may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    Granted,
    /// It brings no token.
    Missing,
    /// It brings another one.
    Wrong,
}

impl Access {
    /// Reads what there is to be read.
    pub(super) fn read(files: &Files) -> Result<Self, ServerError> {
        Ok(Self {
            token: files.token.as_deref().map(Token::read).transpose()?,
            tls: files.tls.as_ref().map(tls::config).transpose()?,
        })
    }

    /// What new connections speak, if not plain text.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// Whether a request with these headers may be answered.
    pub(super) fn grants(&self, headers: &HeaderMap) -> Grant {
        let Some(token) = &self.token else {
            return Grant::Granted;
        };
        match headers.get(AUTHORIZATION) {
            None => Grant::Missing,
            Some(value) if token.is_in(value) => Grant::Granted,
            Some(_) => Grant::Wrong,
        }
    }
}
