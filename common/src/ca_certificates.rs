//! Certificate ca_certificates of one's own, for servers whose certificates no public authority signs.
//!
//! Owns reading them. Where they are given, they are the only ones trusted: a certificate that a public
//! authority was talked into does not pass for a server of ours.

use std::{fmt, fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The certificates of a PEM file. Clones share them.
#[derive(Clone)]
pub struct CaCertificates {
    pem: Arc<[u8]>,
    roots: Arc<RootCertStore>,
}

/// Written by hand: certificates would be dumped byte by byte.
impl fmt::Debug for CaCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaCertificates").field("certificates", &self.roots.len()).finish()
    }
}

impl CaCertificates {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, or holds no certificate, or one that is none of an authority.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::parse(&fs::read(path).map_err(|error| error.to_string())?)
    }

    fn parse(pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("it is malformed: {error}"))?;
            roots.add(certificate).map_err(|error| format!("a certificate in it is malformed: {error}"))?;
        }
        if roots.is_empty() {
            return Err("it holds no certificate".to_owned());
        }
        Ok(Self { pem: pem.into(), roots: Arc::new(roots) })
    }

    /// The file's bytes.
    pub(crate) fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// What a client that trusts these alone is configured with.
    pub(crate) fn client(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_refused() {
        let check = |pem: &str, want: &str| {
            let error = CaCertificates::parse(pem.as_bytes()).unwrap_err();
            assert!(error.contains(want), "{error}");
        };
        check("", "it holds no certificate");
        check("hello", "it holds no certificate");
        check("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it holds no certificate");
        check("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "it is malformed");
        check(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "a certificate in it is malformed",
        );
        let missing = CaCertificates::read(Path::new("/no/such/file")).unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
    }
}
