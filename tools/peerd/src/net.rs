//! The QUIC endpoint and what lives with it, while the box is joined to a community.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guifi_streams::{Configuration, Key, Reason};
use iroh::endpoint::{BindOpts, Incoming, IncomingAddr, PortmapperConfig, presets};
use iroh::tls::CaTlsConfig;
use iroh::{Endpoint, NetReportConfig, RelayMap, RelayMode};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::door::{Door, Verdict};
use crate::header;
use crate::limits::Source;
use crate::members::Members;
use crate::nearness;
use crate::node::{Node, Refusal, count, lock};
use crate::peers::{self, close};
use crate::reach;
use crate::relay::Relay;
use crate::relays::{self, Relays};
use crate::transport;
use crate::verifier::{Trusted, Verifier};
use crate::who;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often and for how long the port is tried while an endpoint before lets go of it.
const BIND_TRIES: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(100);

/// The endpoint of a joined box.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) endpoint: Endpoint,
    pub(crate) relay: Option<Relay>,
    pub(crate) relays: Relays,
    tasks: Vec<AbortHandle>,
}

/// Applies what registryd says. Repeating it costs nothing; connections with members who stay
/// are left alone.
pub(crate) async fn configure(
    node: &Arc<Node>,
    configuration: Configuration,
) -> Result<(), Refusal> {
    let _turn = node.configuring.lock().await;
    let wanted = configuration.community.is_some();
    let before = node.set_members(Members::new(configuration));
    if !wanted {
        offline(node).await;
    } else if node.net().is_none() {
        match online(node).await {
            Ok(net) => drop(node.set_net(Some(Arc::new(net)))),
            Err(e) => {
                node.set_members(Members::default());
                let port = node.settings().port;
                return Err(Refusal::new(
                    Reason::Failed,
                    format!("cannot use UDP port {port}: {e}"),
                ));
            }
        }
    }
    let members = node.members();
    if let Some(net) = node.net() {
        net.relays.choose(node, &net.endpoint).await;
    }
    for link in node.peers.links() {
        let (was, is) = (before.contains(link.key), members.contains(link.key));
        if members.banned.contains(&link.key) || (was && !is) {
            link.close(close::DENIED);
        } else if is && !was {
            transport::widen(&link.connection);
        }
    }
    if before.community != members.community {
        let state = if wanted { "joined" } else { "not joined" };
        guifi_core::notify::status(state);
        log::info!("{state} to a community, {} members", members.by_key.len());
    }
    node.reconfigured.notify_waiters();
    Ok(())
}

/// Closes the endpoint, telling the peers, and all that belongs to it.
pub(crate) async fn offline(node: &Arc<Node>) {
    let Some(net) = node.set_net(None) else {
        return;
    };
    for task in &net.tasks {
        task.abort();
    }
    net.endpoint.close().await;
    lock(&node.link).clear();
    *lock(&node.reached) = None;
    node.save();
}

async fn online(node: &Arc<Node>) -> io::Result<Net> {
    let settings = node.settings();
    let trusted = Arc::<Trusted>::default();
    let mut tries = 0;
    let endpoint = loop {
        match bind(node, settings.port, trusted.clone()).await {
            Ok(endpoint) => break endpoint,
            Err(e) if tries == BIND_TRIES => return Err(e),
            Err(_) => {
                tries += 1;
                sleep(BIND_PAUSE).await;
            }
        }
    };
    let relay = if settings.relay {
        match Relay::start(node, &settings).await {
            Ok(relay) => Some(relay),
            Err(e) => {
                log::error!("cannot relay on port {}: {e}", settings.relay_port);
                None
            }
        }
    } else {
        None
    };
    let mut tasks = vec![
        tokio::spawn(accept(node.clone(), endpoint.clone())).abort_handle(),
        tokio::spawn(relays::watch(node.clone(), endpoint.clone())).abort_handle(),
        tokio::spawn(nearness::run(node.clone())).abort_handle(),
        tokio::spawn(reach::watch(node.clone(), endpoint.clone())).abort_handle(),
    ];
    match who::listen(settings.port) {
        Ok(listener) => {
            tasks.push(tokio::spawn(who::serve(node.clone(), listener)).abort_handle());
        }
        Err(e) => log::error!(
            "cannot answer on TCP port {}: {e}; joining boxes cannot use this one as seed",
            settings.port
        ),
    }
    Ok(Net {
        endpoint,
        relay,
        relays: Relays::new(trusted),
        tasks,
    })
}

async fn bind(node: &Node, port: u16, trusted: Arc<Trusted>) -> io::Result<Endpoint> {
    let tls = CaTlsConfig::custom_server_cert_verifier(Arc::new(move |provider| {
        let algorithms = provider.signature_verification_algorithms;
        Ok(Arc::new(Verifier::new(trusted.clone(), algorithms)) as _)
    }));
    let mut report = NetReportConfig::minimal();
    // The one way to find a relay where UDP is blocked.
    report.https_probes = true;
    Endpoint::builder(presets::Minimal)
        .secret_key(node.identity.secret().clone())
        .alpns(vec![header::ALPN.to_vec()])
        .transport_config(transport::config())
        .relay_mode(RelayMode::Custom(RelayMap::empty()))
        .ca_tls_config(tls)
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(report)
        .clear_ip_transports()
        .bind_addr(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        .and_then(|builder| {
            let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            builder.bind_addr_with_opts(address, BindOpts::default().set_is_required(false))
        })
        .map_err(io::Error::other)?
        .bind()
        .await
        .map_err(io::Error::other)
}

async fn accept(node: Arc<Node>, endpoint: Endpoint) {
    let door = Door::new();
    while let Some(incoming) = endpoint.accept().await {
        let source = match incoming.remote_addr() {
            IncomingAddr::Ip(address) => Source::from(address),
            IncomingAddr::Relay { endpoint_id, .. } => Source::Key(Key(*endpoint_id.as_bytes())),
            _ => {
                incoming.ignore();
                continue;
            }
        };
        // A relay knows whom it serves.
        let proven = incoming.remote_addr_validated() || matches!(source, Source::Key(_));
        match door.judge(source, proven, Instant::now()) {
            Verdict::Admit(turn) => {
                let node = node.clone();
                tokio::spawn(async move {
                    welcome(&node, incoming).await;
                    drop(turn);
                });
            }
            // It fails only on callers who did so before.
            Verdict::Prove => drop(incoming.retry()),
            Verdict::Refuse => {
                incoming.refuse();
                count(&node.counters.connections_refused, 1);
                node.complaints
                    .say(source, "calls too often; refusing some of its calls");
            }
            Verdict::Ignore => {
                incoming.ignore();
                count(&node.counters.connections_refused, 1);
            }
        }
    }
}

async fn welcome(node: &Arc<Node>, incoming: Incoming) {
    if let Ok(Ok(connection)) = timeout(HANDSHAKE, incoming).await {
        peers::adopt(node, connection);
    }
}

impl Net {
    /// The addresses at which the endpoint believes to be reachable.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = self
            .endpoint
            .addr()
            .ip_addrs()
            .map(|a| peers::canonical(*a))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}
