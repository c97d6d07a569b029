//! What makes a server itself: its certificate, the tubid, its swissnums. Made at the first
//! start and kept for ever, in one file that belongs into every backup.

use std::fs;
use std::io;
use std::path::Path;

use data_encoding::BASE64;
use guifi_core::{Error, write_atomic};
use guifi_tahoe::base32;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, PublicKeyData as _};
use ring::hmac;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// The file in the state directory.
pub const FILE: &str = "keys.json";
/// The name in the certificate, which nobody reads.
const NAME: &str = "guifi-storaged";
/// Bytes of a swissnum.
const SWISSNUM: usize = 20;

/// The file as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// DER in base 64.
    certificate: String,
    /// PKCS #8 in base 64.
    certificate_key: String,
    /// Base 32 of the SHA-1 of the first certificate.
    tubid: String,
    /// That of the account that is everybody's.
    swissnum: String,
    /// From which the others are derived, base 32.
    secret: String,
    /// An Ed25519 key, PKCS #8 in base 64: who this is in no community.
    identity_key: String,
}

/// A server's keys.
pub struct Identity {
    /// Who holds the key of this hash is this server.
    pub hash: [u8; 32],
    /// See guifi-storage-record(5).
    pub tubid: [u8; 20],
    /// Public key of its own.
    pub own: [u8; 32],
    /// Opens the account that is everybody's.
    pub swissnum: String,
    secret: hmac::Key,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the keys in a directory, or makes them.
    ///
    /// # Errors
    /// If they cannot be read or made; a file that is damaged is not replaced, since what
    /// clients have written would be theirs no more.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(FILE);
        let wrong = |what: &dyn std::fmt::Display| {
            Error::failed(format!("cannot use {}: {what}", path.display()))
                .hint("put it back from a backup: guifi-backup; without it clients cannot write what they have here")
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = make().map_err(|e| Error::failed(format!("cannot make keys: {e}")))?;
                let text = serde_json::to_string_pretty(&made).map_err(|e| wrong(&e))?;
                write_atomic(&path, text.as_bytes(), 0o600)
                    .map_err(|e| Error::failed(format!("cannot write {}: {e}", path.display())))?;
                text
            }
            Err(e) => return Err(wrong(&e)),
        };
        let written: Written = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
        Self::read(&written).ok_or_else(|| wrong(&"it is damaged"))
    }

    fn read(written: &Written) -> Option<Self> {
        let decode = |text: &str| BASE64.decode(text.as_bytes()).ok();
        let key = decode(&written.certificate_key)?;
        let pair = KeyPair::try_from(key.as_slice()).ok()?;
        let own = KeyPair::try_from(decode(&written.identity_key)?).ok()?;
        let secret = base32::decode_array::<32>(&written.secret)?;
        Some(Self {
            hash: Sha256::digest(pair.subject_public_key_info()).into(),
            tubid: base32::decode_array(&written.tubid)?,
            own: own.public_key_raw().try_into().ok()?,
            swissnum: written.swissnum.clone(),
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            certificate: CertificateDer::from(decode(&written.certificate)?),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
        })
    }

    /// The swissnum of an owner's account.
    #[must_use]
    pub fn swissnum_of(&self, owner: &str) -> String {
        let tag = hmac::sign(&self.secret, format!("account/{owner}").as_bytes());
        base32::encode(tag.as_ref().get(..SWISSNUM).unwrap_or_default())
    }

    /// What TLS needs.
    ///
    /// # Errors
    /// If the keys do not fit together.
    pub fn tls(&self) -> Result<ServerConfig, Error> {
        let provider = rustls::crypto::ring::default_provider();
        let mut config = ServerConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            })
            .map_err(|e| Error::failed(format!("cannot use the certificate: {e}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn make() -> io::Result<Written> {
    let pair = KeyPair::generate().map_err(io::Error::other)?;
    let own = KeyPair::generate_for(&PKCS_ED25519).map_err(io::Error::other)?;
    let certificate = CertificateParams::new([NAME.to_owned()])
        .and_then(|params| params.self_signed(&pair))
        .map_err(io::Error::other)?;
    Ok(Written {
        certificate: BASE64.encode(certificate.der()),
        certificate_key: BASE64.encode(&pair.serialize_der()),
        tubid: base32::encode(&Sha1::digest(certificate.der())),
        swissnum: base32::encode(&random::<SWISSNUM>()?),
        secret: base32::encode(&random::<32>()?),
        identity_key: BASE64.encode(&own.serialize_der()),
    })
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_made_once_and_a_damaged_one_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(dir.path()).unwrap();
        let again = Identity::open(dir.path()).unwrap();
        assert_eq!(
            (first.hash, first.tubid, first.own, &first.swissnum),
            (again.hash, again.tubid, again.own, &again.swissnum)
        );
        assert_eq!(first.swissnum_of("a"), again.swissnum_of("a"));
        assert_ne!(first.swissnum_of("a"), first.swissnum_of("b"));
        assert_eq!(first.swissnum_of("a").len(), 32);
        first.tls().unwrap();
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("tubid\": \"", "tubid\": \"1")).unwrap();
        assert!(Identity::open(dir.path()).is_err());
        fs::write(&path, "").unwrap();
        assert!(Identity::open(dir.path()).is_err());
    }
}
