//! The relay for other members: iroh's server on one TCP port, and on the UDP port of the same
//! number the service that tells a box its address as seen from outside.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use guifi_core::{Root, write_atomic};
use guifi_streams::{Key, RelayPorts};
use iroh::EndpointId;
use iroh_relay::server::http_server::{RelayService, TlsConfig};
use iroh_relay::server::{
    Access, AccessControl, ClientRateLimit, ClientRequest, ConnectionId, QuicConfig, RelayConfig,
    Server, ServerConfig,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::AbortHandle;

use crate::config::Settings;
use crate::identity::STATE;
use crate::limits::{Limiter, Rate, Source};
use crate::node::{Node, count, lock};

/// The name in the certificate; nobody checks it, the hash counts.
const NAME: &str = "relay.guifi.internal";

/// Connections from one address that are not admitted yet.
const COMERS: Rate = Rate::new(32, Duration::from_millis(200));
/// How many may be so at once,
const MAX_COMERS: usize = 64;
/// how many of one address,
const COMERS_THERE: usize = 16;
/// and for how long.
const ESTABLISH: Duration = Duration::from_secs(10);
/// How many connections a member may have; the oldest goes first: it may have forgotten it.
const MEMBER_CONNECTIONS: usize = 3;
/// How many all members may have.
const MAX_CONNECTIONS: usize = 4096;

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    server: Server,
    ports: RelayPorts,
    front: AbortHandle,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.front.abort();
    }
}

/// Admits members, nobody else, and knows their connections.
#[derive(Debug)]
struct MembersOnly {
    node: Weak<Node>,
    service: OnceLock<RelayService>,
    connections: Mutex<HashMap<EndpointId, VecDeque<ConnectionId>>>,
}

impl MembersOnly {
    fn judge(&self, id: EndpointId, connection: ConnectionId) -> Result<(), &'static str> {
        let node = self.node.upgrade().ok_or("closing")?;
        let refuse = |why| {
            count(&node.counters.relay_refused, 1);
            Err(why)
        };
        if !node.members().contains(Key(*id.as_bytes())) {
            return refuse("not a member");
        }
        if node.relayed.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
            return refuse("too many connections");
        }
        let mut connections = lock(&self.connections);
        let own = connections.entry(id).or_default();
        own.push_back(connection);
        node.relayed.fetch_add(1, Ordering::Relaxed);
        // It is forgotten when it has ended.
        if let Some(service) = self.service.get()
            && let Some(spare) = own.len().checked_sub(MEMBER_CONNECTIONS)
        {
            for oldest in own.iter().take(spare) {
                service.clients().disconnect(id, Some(*oldest));
            }
        }
        Ok(())
    }
}

impl AccessControl for MembersOnly {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        match self.judge(request.endpoint_id(), request.connection_id()) {
            Ok(()) => Access::Allow,
            Err(why) => Access::Deny {
                reason: Some(why.to_owned()),
            },
        }
    }

    fn on_disconnect(&self, id: EndpointId, connection: ConnectionId) {
        if let Entry::Occupied(mut own) = lock(&self.connections).entry(id) {
            own.get_mut().retain(|c| *c != connection);
            if own.get().is_empty() {
                own.remove();
            }
        }
        if let Some(node) = self.node.upgrade() {
            node.relayed.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Relay {
    /// Starts the relay.
    pub(crate) async fn start(node: &Arc<Node>, settings: &Settings) -> io::Result<Self> {
        let port = settings.relay_port;
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
        let (address, listener) = match bind(Ipv6Addr::UNSPECIFIED.into(), port) {
            Ok(listener) => (SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), listener),
            Err(_) => (
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
                bind(Ipv4Addr::UNSPECIFIED.into(), port)?,
            ),
        };
        // The server's own port has no limits, so it is kept out of sight, and what comes to
        // the real one is handed over here.
        let mut relay = RelayConfig::new((Ipv4Addr::LOCALHOST, 0));
        let access = Arc::new(MembersOnly {
            node: Arc::downgrade(node),
            service: OnceLock::new(),
            connections: Mutex::default(),
        });
        relay.access = access.clone();
        relay.limits.client_rx = rate(settings.relay_mbit);
        let mut quic = QuicConfig::new(address);
        quic.server_config = Some(tls.clone());
        let mut config = ServerConfig::default();
        config.relay = Some(relay);
        config.quic = Some(quic);
        let server = Server::spawn(config).await.map_err(io::Error::other)?;
        let service = server
            .relay_service()
            .ok_or_else(|| io::Error::other("the relay has no service"))?
            .clone();
        // It was not set before.
        let _ = access.service.set(service.clone());
        let front = front(
            node.clone(),
            listener,
            service,
            TlsConfig::new(Arc::new(tls)),
        );
        Ok(Self {
            server,
            ports: RelayPorts {
                udp: port,
                tcp: port,
                certificate: hash.to_string(),
            },
            front: tokio::spawn(front).abort_handle(),
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

fn bind(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let socket = match address {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address, port))?;
    socket.listen(64)
}

/// What one connection may send; a second's worth of it at once.
fn rate(mbit: u32) -> Option<ClientRateLimit> {
    let bytes = NonZeroU32::new(mbit.saturating_mul(125_000))?;
    let mut rate = ClientRateLimit::new(bytes);
    rate.max_burst_bytes = Some(bytes);
    Some(rate)
}

/// Hands connections to the relay, for as long as it runs; few of each address until it is known
/// whose they are.
async fn front(node: Arc<Node>, listener: TcpListener, service: RelayService, tls: TlsConfig) {
    let comers = Arc::new(Mutex::new(HashMap::<Source, usize>::new()));
    let mut limiter = Limiter::new(COMERS);
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, most likely: let others go first.
                log::warn!("cannot accept a connection to the relay: {e}; going on");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let source = Source::from(from);
        let there = {
            let comers = lock(&comers);
            let here = comers.get(&source).copied().unwrap_or_default();
            here < COMERS_THERE && comers.values().sum::<usize>() < MAX_COMERS
        };
        if !limiter.admits(source, Instant::now()) || !there {
            count(&node.counters.relay_refused, 1);
            let what = "connects to the relay too often; refusing some connections";
            node.complaints.say(source, what);
            continue;
        }
        *lock(&comers).entry(source).or_default() += 1;
        let (comers, service, tls) = (comers.clone(), service.clone(), tls.clone());
        tokio::spawn(async move {
            // Ends as soon as the relay has taken it over.
            service
                .handle_connection(stream, Some(tls), ESTABLISH)
                .await;
            let mut comers = lock(&comers);
            if let Entry::Occupied(mut here) = comers.entry(source) {
                *here.get_mut() -= 1;
                if *here.get() == 0 {
                    here.remove();
                }
            }
        });
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
