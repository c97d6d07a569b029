//! TLS that knows a server by the hash of its public key alone.
//!
//! Source: `docs/specifications/http-storage-node-protocol.rst`, section "Server authentication".
//! Names, dates and issuers mean nothing there; official servers present certificates of X.509
//! version 1, which the usual checkers refuse, so the key is found in the DER by hand.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

/// SHA-256 of the SubjectPublicKeyInfo of a server's certificate, DER.
pub(crate) type KeyHash = [u8; 32];

/// A configuration that accepts this one key.
///
/// # Errors
/// If the library supports no TLS 1.3.
pub(crate) fn config(key: KeyHash) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Pinned {
        key,
        provider: provider.clone(),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Connections are kept; tickets would cost memory for each server.
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

#[derive(Debug)]
struct Pinned {
    key: KeyHash,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        let hash: KeyHash = Sha256::digest(key).into();
        if hash == self.key {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(key),
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The SubjectPublicKeyInfo of a certificate of any version, with its header.
pub(crate) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const EXPLICIT_VERSION: u8 = 0xa0;
    let (outer, _) = element(certificate, Some(SEQUENCE))?;
    let (mut rest, _) =
        element(outer.content, Some(SEQUENCE)).map(|(signed, after)| (signed.content, after))?;
    if rest.first() == Some(&EXPLICIT_VERSION) {
        rest = element(rest, None)?.1;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        rest = element(rest, None)?.1;
    }
    Some(element(rest, Some(SEQUENCE))?.0.whole)
}

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

/// The first element, and what follows it.
fn element(bytes: &[u8], tag: Option<u8>) -> Option<(Element<'_>, &[u8])> {
    let (&found, &first) = (bytes.first()?, bytes.get(1)?);
    if tag.is_some_and(|tag| tag != found) {
        return None;
    }
    let (header, length) = if first < 0x80 {
        (2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let digits = bytes.get(2..2 + count)?;
        let length = digits.iter().fold(0, |sum, d| sum << 8 | usize::from(*d));
        (2 + count, length)
    };
    let whole = bytes.get(..header + length)?;
    let content = whole.get(header..)?;
    Some((Element { whole, content }, bytes.get(header + length..)?))
}
