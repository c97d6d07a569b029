//! Connections: accepted, counted, wrapped in TLS, and ended when they stand still.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::door::Door;
use crate::http::{Shop, Who};
use crate::pulse::Pulse;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;
/// How long the handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// The longest head of a request, and what is read at once, in bytes.
const BUFFER: usize = 64 << 10;
/// How many headers a request may have.
const HEADERS: usize = 32;

/// Bounds of connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bounds {
    /// At once, in all and of one client.
    pub(crate) connections: [usize; 2],
    /// How long one may stand still.
    pub(crate) idle: Duration,
}

/// Serves those who come over TCP, until dropped; their connections end with it.
pub(crate) async fn over_tcp(
    shop: &Arc<Shop>,
    tls: &TlsAcceptor,
    door: &Door,
    listener: &TcpListener,
    bounds: Bounds,
) {
    let mut inside = JoinSet::new();
    loop {
        while inside.try_join_next().is_some() {}
        let (socket, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                // Descriptors are short, or the client went: neither lasts.
                log::debug!("cannot accept a connection: {e}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Those who find it full come back.
        if let Some(pass) = door.enter(client.ip().into(), bounds.connections) {
            let (shop, tls) = (shop.clone(), tls.clone());
            inside.spawn(async move {
                let who = Who::Bearer(client.ip().into());
                encrypted(&shop, &tls, socket, who, bounds.idle).await;
                drop(pass);
            });
        }
    }
}

async fn encrypted(
    shop: &Arc<Shop>,
    tls: &TlsAcceptor,
    socket: TcpStream,
    who: Who,
    idle: Duration,
) {
    // Small answers must not wait for the next ones; without it they are only slower.
    let _ = socket.set_nodelay(true);
    match timeout(HANDSHAKE, tls.accept(socket)).await {
        Ok(Ok(stream)) => attend(shop, who, stream, idle).await,
        Ok(Err(e)) => log::debug!("no TLS: {e}"),
        Err(_) => log::debug!("no TLS in time"),
    }
}

/// Answers the requests of one connection.
pub(crate) async fn attend<S>(shop: &Arc<Shop>, who: Who, stream: S, idle: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pulse = Pulse::new(idle);
    let service = service_fn(|request| {
        pulse.beat();
        let (shop, who, pulse) = (shop.clone(), who.clone(), pulse.clone());
        async move { Ok::<_, io::Error>(shop.answer(&who, request, &pulse).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            // An error is the client's: it went, or spoke no HTTP.
            _ = connection.as_mut() => return,
            () = sleep(idle) => if pulse.is_still() { return },
        }
    }
}

/// The addresses to bind: those that were asked for, or all of both families with one socket.
pub(crate) fn addresses(listen: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    if listen.is_empty() {
        return vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
    }
    listen
        .iter()
        .map(|address| SocketAddr::new(*address, port))
        .collect()
}

/// Listens on an address; that of all also without IPv6 in the kernel.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let all = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match bind_one(address) {
        Err(e) if all && e.kind() != io::ErrorKind::AddrInUse => {
            bind_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        bound => bound,
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
