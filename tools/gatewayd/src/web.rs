//! The gateway over HTTP: Tahoe's web API, on loopback and on a Unix socket.
//!
//! Source: `docs/frontends/webapi.rst`. A cap is the authority; who has none learns nothing.

mod body;
mod change;
mod checks;
mod content;
mod guard;
mod json;
mod page;
mod patient;
mod reply;
mod request;
mod route;
mod unlinked;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::socket::Listener;

use guard::Door;
pub(crate) use page::PLAIN;
use patient::Patient;

/// Bytes of a request's head: long paths and caps in the query are within it.
const HEAD: usize = 64 << 10;

/// Serves clients that come to a TCP socket, until dropped.
pub(crate) async fn serve_tcp(engine: Engine, listener: TcpListener, places: Arc<Semaphore>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => attend(&engine, socket, Door::Web, &places).await,
            Err(e) => pause(&e).await,
        }
    }
}

/// Serves clients that come to the Unix socket, until dropped.
pub(crate) async fn serve_unix(engine: Engine, listener: Listener, places: Arc<Semaphore>) {
    loop {
        match listener.accept().await {
            Ok(socket) => attend(&engine, socket, Door::Socket, &places).await,
            Err(e) => pause(&e).await,
        }
    }
}

/// Descriptors are short, or the client went: neither lasts.
async fn pause(error: &std::io::Error) {
    log::debug!("cannot accept a connection: {error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn attend(
    engine: &Engine,
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    door: Door,
    places: &Arc<Semaphore>,
) {
    // Who finds it full waits to be let in.
    let Ok(place) = places.clone().acquire_owned().await else {
        return;
    };
    let engine = engine.clone();
    engine.keys.wake();
    tokio::spawn(async move {
        let idle = engine.settings.borrow().limits.idle;
        let service = service_fn(move |request: Request<Incoming>| {
            let engine = engine.clone();
            async move { Ok::<_, Infallible>(route::answer(&engine, door, request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(Patient::new(socket, idle)), service);
        // An error is the client's: it went, or spoke no HTTP.
        let _ = connection.await;
        drop(place);
    });
}
