//! The relay for other members: iroh's server on one TCP port, and on the UDP port of the same
//! number the service that tells a box its address as seen from outside.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};

use guifi_core::{Root, write_atomic};
use guifi_streams::{Key, RelayPorts};
use iroh_relay::server::{
    Access, AccessControl, CertConfig, ClientRequest, QuicConfig, RelayConfig, Server,
    ServerConfig, TlsConfig,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};

use crate::identity::STATE;
use crate::node::Node;

/// The name in the certificate; nobody checks it, the hash counts.
const NAME: &str = "relay.guifi.internal";

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    server: Server,
    ports: RelayPorts,
}

/// Admits members, nobody else.
#[derive(Debug)]
struct MembersOnly(Weak<Node>);

impl AccessControl for MembersOnly {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        let key = Key(*request.endpoint_id().as_bytes());
        match self.0.upgrade() {
            Some(node) if node.members().contains(key) => Access::Allow,
            _ => Access::Deny {
                reason: Some("not a member".to_owned()),
            },
        }
    }
}

impl Relay {
    /// Starts the relay on `port`.
    pub(crate) async fn start(node: &Arc<Node>, port: u16) -> io::Result<Self> {
        let (certificate, key) = certificate(&node.root)?;
        let hash = Key(Sha256::digest(&certificate).into());
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
        })
        .map_err(io::Error::other)?;
        // A box without IPv6 cannot bind its wildcard.
        let address = match std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
            Ok(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            Err(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        };
        // The server wants a plain port too, for looking through captive portals, which is
        // switched off on our side; it is kept out of sight.
        let mut relay = RelayConfig::new((Ipv4Addr::LOCALHOST, 0));
        relay.tls = Some(TlsConfig::new(
            address,
            CertConfig::Manual { server_config: tls },
        ));
        relay.access = Arc::new(MembersOnly(Arc::downgrade(node)));
        let mut config = ServerConfig::default();
        config.relay = Some(relay);
        config.quic = Some(QuicConfig::new(address));
        let server = Server::spawn(config).await.map_err(io::Error::other)?;
        Ok(Self {
            server,
            ports: RelayPorts {
                udp: port,
                tcp: port,
                certificate: hash.to_string(),
            },
        })
    }

    /// What others need to use it.
    pub(crate) fn ports(&self) -> &RelayPorts {
        &self.ports
    }

    /// How many connections it has accepted and how many bytes it has passed on.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let metrics = &self.server.metrics().server;
        (metrics.accepts.get(), metrics.bytes_sent.get())
    }
}

/// The certificate and its key, made at the first start.
fn certificate(root: &Root) -> io::Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
    let directory = root.join(STATE);
    let (certificate_path, key_path) = (directory.join("relay.crt"), directory.join("relay.key"));
    let (certificate, key) = match (fs::read(&certificate_path), fs::read(&key_path)) {
        (Ok(certificate), Ok(key)) => (certificate, key),
        _ => {
            let made =
                rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
            let (certificate, key) = (made.cert.der().to_vec(), made.signing_key.serialize_der());
            write_atomic(&key_path, &key, 0o600)?;
            write_atomic(&certificate_path, &certificate, 0o644)?;
            (certificate, key)
        }
    };
    Ok((
        CertificateDer::from(certificate),
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
    ))
}
