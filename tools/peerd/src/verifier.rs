//! Checks the certificate of a relay by its hash, which its member publishes, and by nothing
//! else: no authority has a say in a community.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};

use crate::node::lock;

/// For each address the hashes that a certificate there may have.
type Hashes = HashMap<IpAddr, HashSet<[u8; 32]>>;

/// The certificates that are trusted now.
#[derive(Debug, Default)]
pub(crate) struct Trusted(Mutex<Hashes>);

impl Trusted {
    /// Replaces them all.
    pub(crate) fn set(&self, hashes: Hashes) {
        *lock(&self.0) = hashes;
    }

    fn contains(&self, address: IpAddr, certificate: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(certificate).into();
        lock(&self.0)
            .get(&address)
            .is_some_and(|hashes| hashes.contains(&hash))
    }
}

/// The verifier over the trusted certificates.
#[derive(Debug)]
pub(crate) struct Verifier {
    trusted: Arc<Trusted>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(crate) fn new(trusted: Arc<Trusted>, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self {
            trusted,
            algorithms,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ServerName::IpAddress(address) = server_name else {
            return Err(CertificateError::NotValidForName.into());
        };
        if self.trusted.contains(IpAddr::from(*address), end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_published_certificate_at_its_address_is_trusted() {
        let here = IpAddr::from([192, 0, 2, 1]);
        let there = IpAddr::from([192, 0, 2, 2]);
        let hash: [u8; 32] = Sha256::digest(b"certificate").into();
        let trusted = Trusted::default();
        assert!(!trusted.contains(here, b"certificate"));
        trusted.set(HashMap::from([(here, HashSet::from([hash]))]));
        assert!(trusted.contains(here, b"certificate"));
        assert!(!trusted.contains(here, b"another"));
        assert!(!trusted.contains(there, b"certificate"));
    }
}
