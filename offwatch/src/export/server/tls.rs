//! The certificate, and what is spoken with it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};

use super::error::ServerError;
use crate::secret;

/// Files of a certificate.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, PEM, the server's own first.
    pub cert: PathBuf,
    /// Its private key, PEM, not encrypted.
    pub key: PathBuf,
}

const CERT: &str = "certificate";
const KEY: &str = "private key";

/// What TLS is spoken with.
pub(super) fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>, ServerError> {
    let chain = chain(&files.cert)?;
    let key = key(&files.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(CERT, &files.cert, &error))?
        .with_no_client_auth();
    let mut config = config
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let reason = format!("is not that of the certificate {}", files.cert.display());
                refused(KEY, &files.key, &reason)
            }
            rustls::Error::General(_) => {
                refused(KEY, &files.key, &"of a kind that is not supported")
            }
            error => refused(CERT, &files.cert, &error),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let bytes = secret::read_public(path).map_err(|reason| refused(CERT, path, &reason))?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(refused(CERT, path, &"has no certificate (PEM)")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(refused(CERT, path, &error)),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, ServerError> {
    let bytes = secret::read(path).map_err(|reason| refused(KEY, path, &reason))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let reason = "has no private key (PEM), or it is encrypted";
            refused(KEY, path, &reason)
        }
        error => refused(KEY, path, &error),
    })
}

fn refused(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> ServerError {
    ServerError::Tls {
        what,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
