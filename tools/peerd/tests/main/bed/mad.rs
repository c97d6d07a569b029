//! Members and strangers whose software is not ours, and does what ours would not.

use guifi_streams::Client;
use iroh::endpoint::{
    Connection, PortmapperConfig, ReadError, ReadExactError, RecvStream, SendStream, presets,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, SecretKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tokio::runtime::{Builder, Runtime};

use super::Box;

/// Believes every certificate.
#[derive(Debug)]
pub(crate) struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
        ]
    }
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// An endpoint with this key at this address.
pub(crate) async fn endpoint(secret: SecretKey, at: [u8; 4]) -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .secret_key(secret)
        .portmapper_config(PortmapperConfig::Disabled)
        .clear_ip_transports()
        .bind_addr((std::net::Ipv4Addr::from(at), 0))
        .unwrap()
        .bind()
        .await
        .unwrap()
}

/// A connection from an endpoint to a box.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    place: &Box,
    client: &Client,
) -> Result<Connection, String> {
    let id = EndpointId::from_bytes(&client.own_key().0).unwrap();
    let target = EndpointAddr::new(id).with_ip_addr(place.address());
    endpoint
        .connect(target, guifi_peerd::header::ALPN)
        .await
        .map_err(|e| format!("{e:?}"))
}

/// A connection from an endpoint of its own, which must outlive it.
pub(crate) async fn connect_as(
    secret: SecretKey,
    at: [u8; 4],
    place: &Box,
    client: &Client,
) -> Result<(Endpoint, Connection), String> {
    let endpoint = endpoint(secret, at).await;
    let connection = connect(&endpoint, place, client).await?;
    Ok((endpoint, connection))
}

/// Opens a stream as ours would; the peer's answer, or the code with which it reset the stream, if
/// it did.
pub(crate) async fn open(
    connection: &Connection,
    protocol: &str,
) -> Result<(u8, SendStream, RecvStream), Option<u32>> {
    let (mut send, mut recv) = connection.open_bi().await.map_err(|_| None)?;
    let header = guifi_peerd::header::encode(protocol);
    send.write_all(&header).await.map_err(|_| None)?;
    let mut status = [0];
    match recv.read_exact(&mut status).await {
        Ok(()) => Ok((status[0], send, recv)),
        Err(ReadExactError::ReadError(ReadError::Reset(code))) => {
            Err(u32::try_from(code.into_inner()).ok())
        }
        Err(_) => Err(None),
    }
}
