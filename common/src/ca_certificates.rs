//! Private CA certificates for TLS connections to RabbitMQ and Redis.
//!
//! If set, they replace the system's: a certificate that a public CA issued by mistake is not accepted.

use std::{fmt, fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The CA certificates of a PEM file. Clones share them.
#[derive(Clone)]
pub struct CaCertificates {
    pem: Arc<[u8]>,
    roots: Arc<RootCertStore>,
}

/// Written by hand: the derived impl would dump every certificate byte by byte.
impl fmt::Debug for CaCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaCertificates").field("certificates", &self.roots.len()).finish()
    }
}

impl CaCertificates {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// If it cannot be read, contains no certificate, or contains a malformed one.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::parse(&fs::read(path).map_err(|error| error.to_string())?)
    }

    fn parse(pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("malformed PEM: {error}"))?;
            roots.add(certificate).map_err(|error| format!("malformed certificate: {error}"))?;
        }
        if roots.is_empty() {
            return Err("the file contains no certificate".to_owned());
        }
        Ok(Self { pem: pem.into(), roots: Arc::new(roots) })
    }

    /// The bytes of the PEM file.
    pub(crate) fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// A TLS client configuration that trusts only these CAs.
    pub(crate) fn client_config(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default TLS versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_valid_certificates_are_rejected() {
        let check = |pem: &str, want: &str| {
            let error = CaCertificates::parse(pem.as_bytes()).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check("", "the file contains no certificate");
        check("hello", "the file contains no certificate");
        check(
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "the file contains no certificate",
        );
        check("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "malformed PEM");
        check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "malformed certificate");
        let missing = CaCertificates::read(Path::new("/no/such/file")).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
    }
}
