//! The token that scrapes must bring (RFC 6750).

use std::path::Path;

use hyper::header::HeaderValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{error::ServerError, limits::HEAD_BYTES};
use crate::secret;

/// Room that other headers need beside it.
const MOST_BYTES: usize = HEAD_BYTES / 2;

/// A token; only its hash is kept. Hashes have one length, so that the time of a
/// comparison does not tell the token's either.
pub(super) struct Token {
    sha256: [u8; 32],
}

impl Token {
    /// From its file.
    pub(super) fn read(path: &Path) -> Result<Self, ServerError> {
        let refused = |reason| ServerError::Token {
            path: path.to_owned(),
            reason,
        };
        let bytes = secret::read(path).map_err(refused)?;
        let token = bytes.trim_ascii_end();
        match token {
            [] => Err(refused("it is empty".into())),
            token if !token.iter().all(u8::is_ascii_graphic) => Err(refused(
                "a token is one line of visible ASCII characters without spaces".into(),
            )),
            token if token.len() > MOST_BYTES => {
                Err(refused(format!("longer than {MOST_BYTES} bytes")))
            }
            token => Ok(Self {
                sha256: Sha256::digest(token).into(),
            }),
        }
    }

    /// Whether the value of an Authorization header has it.
    pub(super) fn is_in(&self, authorization: &HeaderValue) -> bool {
        const SCHEME: usize = "Bearer ".len();
        let Some((scheme, token)) = authorization.as_bytes().split_at_checked(SCHEME) else {
            return false;
        };
        let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
        let given: [u8; 32] = Sha256::digest(token.trim_ascii_start()).into();
        is_bearer & bool::from(given.ct_eq(&self.sha256))
    }
}
