//! `net.guifi.Portal1` on the system bus. Without the bus data are fetched all the same.

use std::fs::File;
use std::net::Ipv4Addr;
use std::time::Duration;

use guifi_bus::{Failure, PORTAL, sealed_file};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, connection, interface};

use crate::board::describe;
use crate::fetch::target::Target;
use crate::keeper::News;
use crate::service::Parts;
use crate::store::{find, list};

/// How long the start waits for the bus.
const START: Duration = Duration::from_secs(5);
/// The longest pause between attempts to come back to the bus.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest name, address or kind that is looked for.
const MAX_WORD: usize = 256;

struct Reads(Parts);

struct Admin(Parts);

fn short(word: &str) -> Result<(), Failure> {
    if word.len() > MAX_WORD {
        return Err(Failure::Invalid("that is too long".into()));
    }
    Ok(())
}

impl Reads {
    /// Lines in a file for the caller.
    async fn lines(
        &self,
        missing: impl FnOnce() -> String,
        ask: impl FnOnce(&rusqlite::Connection) -> list::Lines + Send + 'static,
    ) -> Result<OwnedFd, Failure> {
        let lines = self.0.library.ask(ask).await?;
        let lines = lines.ok_or_else(|| Failure::NotFound(missing()))?;
        Ok(sealed_file(&lines)?)
    }
}

#[interface(name = "net.guifi.Portal1")]
impl Reads {
    fn describe(&self) -> String {
        describe(&self.0.board.get(), Timestamp::now()).to_string()
    }

    async fn node(&self, which: String) -> Result<String, Failure> {
        short(&which)?;
        let wanted = which.clone();
        let found = self.0.library.ask(move |c| find::node(c, &wanted)).await?;
        let found = found.map(|node| node.to_string());
        found.ok_or_else(|| {
            Failure::NotFound(format!("no node '{}' is known", which.escape_debug()))
        })
    }

    async fn zone_of(&self, address: String) -> Result<String, Failure> {
        short(&address)?;
        let wrong = || format!("'{}' is not an IPv4 address", address.escape_debug());
        let wanted: Ipv4Addr = address
            .trim()
            .parse()
            .map_err(|_| Failure::Invalid(wrong()))?;
        let found = self
            .0
            .library
            .ask(move |c| find::zone_of(c, wanted))
            .await?;
        let found = found.map(|zone| zone.to_string());
        found.ok_or_else(|| Failure::NotFound(format!("no interface with {wanted} is known")))
    }

    async fn zones(&self) -> Result<OwnedFd, Failure> {
        self.lines(String::new, list::zones).await
    }

    async fn services(&self, kind: String, zone: u64) -> Result<OwnedFd, Failure> {
        short(&kind)?;
        self.lines(|| no_zone(zone), move |c| list::services(c, &kind, zone))
            .await
    }

    async fn links(&self, zone: u64) -> Result<OwnedFd, Failure> {
        self.lines(|| no_zone(zone), move |c| list::links(c, zone))
            .await
    }

    async fn proxies(&self, zone: u64) -> Result<OwnedFd, Failure> {
        self.lines(|| no_zone(zone), move |c| list::proxies(c, zone))
            .await
    }

    async fn domains(&self, service: u64) -> Result<OwnedFd, Failure> {
        let missing = || format!("the domains of service {service} were never fetched");
        self.lines(missing, move |c| list::domains(c, service))
            .await
    }

    async fn federation(&self, service: u64) -> Result<OwnedFd, Failure> {
        let missing = || format!("the federation of proxy {service} was never fetched");
        self.lines(missing, move |c| list::federation(c, service))
            .await
    }

    async fn addresses(&self) -> Result<OwnedFd, Failure> {
        self.lines(String::new, list::addresses).await
    }

    #[zbus(signal)]
    async fn refreshed(emitter: &SignalEmitter<'_>, what: &str, id: u64) -> zbus::Result<()>;
}

fn no_zone(zone: u64) -> String {
    format!("no zone {zone} is known")
}

#[interface(name = "net.guifi.Portal1.Admin")]
impl Admin {
    /// Returns once it is queued.
    async fn fetch(&self, what: String) -> Result<(), Failure> {
        short(&what)?;
        let (reply, told) = oneshot::channel();
        self.ask(News::Fetch(what, reply), told).await
    }

    /// Returns once it is safe.
    async fn import(&self, file: OwnedFd) -> Result<String, Failure> {
        let file = File::from(std::os::fd::OwnedFd::from(file));
        let (reply, told) = oneshot::channel();
        self.ask(News::Import(file, reply), told).await
    }
}

impl Admin {
    async fn ask<T>(
        &self,
        news: News,
        told: oneshot::Receiver<Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let gone = || Failure::Unavailable("the daemon is stopping".into());
        self.0.news.send(news).map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

/// Comes on the bus and stays there; returns after the first attempt.
pub(crate) async fn start(parts: &Parts, signals: mpsc::UnboundedReceiver<Target>) {
    let first = match timeout(START, serve(parts)).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(e)) => {
            log::warn!("cannot come on the bus: {e}; fetching without it");
            None
        }
        Err(_) => {
            log::warn!("the bus does not answer; fetching without it");
            None
        }
    };
    tokio::spawn(stay(parts.clone(), signals, first));
}

async fn serve(parts: &Parts) -> zbus::Result<Connection> {
    connection::Builder::system()
        .serve_at(PORTAL.path, Reads(parts.clone()))
        .serve_at(PORTAL.path, Admin(parts.clone()))
        .name(PORTAL.name)
        .build()
        .await
}

async fn stay(
    parts: Parts,
    mut signals: mpsc::UnboundedReceiver<Target>,
    mut bus: Option<Connection>,
) {
    let mut pause = Duration::from_secs(1);
    loop {
        if let Some(connection) = bus.take() {
            tokio::select! {
                () = connection.closed() => {}
                () = tell(&connection, &mut signals) => return,
            }
            log::warn!("the bus is gone; fetching without it");
            pause = Duration::from_secs(1);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
        if let Ok(Ok(connection)) = timeout(START, serve(&parts)).await {
            log::info!("on the bus");
            bus = Some(connection);
        }
    }
}

/// Tells of what is new until the keeper ends.
async fn tell(connection: &Connection, signals: &mut mpsc::UnboundedReceiver<Target>) {
    let emitter = match SignalEmitter::new(connection, PORTAL.path) {
        Ok(emitter) => emitter.into_owned(),
        Err(e) => {
            log::warn!("cannot signal: {e}; readers have to ask");
            return std::future::pending().await;
        }
    };
    while let Some(target) = signals.recv().await {
        if let Err(e) = Reads::refreshed(&emitter, target.kind.word(), target.id).await {
            log::debug!("cannot signal: {e}");
        }
    }
}
