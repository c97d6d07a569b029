//! `net.guifi.Dns1` on the system bus; the daemon answers questions without the bus too, and
//! comes back to it when it returns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use guifi_bus::{DNS, Failure, sealed_file};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use zbus::{Connection, OwnedFd, connection, interface};

use crate::config::network;
use crate::hosted::holder::Order;
use crate::keys::{Keyring, New};
use crate::name::Name;
use crate::portal::Feed;
use crate::querylog::Filter;
use crate::service::Parts;
use crate::stats::TYPES;
use crate::{feed, text};

/// How long the start waits for the bus.
const START: Duration = Duration::from_secs(5);
/// The longest pause between attempts to come back to the bus.
const LONGEST: Duration = Duration::from_secs(30);

struct Reads(Arc<Parts>);

struct Admin(Arc<Parts>);

#[interface(name = "net.guifi.Dns1")]
impl Reads {
    fn describe(&self) -> String {
        describe(&self.0).to_string()
    }

    fn show(&self, zone: &str) -> Result<OwnedFd, Failure> {
        let text = text::show(&self.0.board.get(), zone)
            .ok_or_else(|| Failure::NotFound(format!("there is no zone '{zone}' here")))?;
        Ok(sealed_file(text.as_bytes())?)
    }
}

#[interface(name = "net.guifi.Dns1.Admin")]
impl Admin {
    fn flush(&self) {
        self.0.forwarder.flush();
    }

    fn flush_name(&self, name: &str) -> Result<(), Failure> {
        let name =
            Name::parse(name).ok_or_else(|| Failure::Invalid(format!("'{name}' is not a name")))?;
        self.0.forwarder.forget(&name.lower());
        Ok(())
    }

    fn log_queries(
        &self,
        seconds: u32,
        sample: u32,
        client: &str,
        name: &str,
    ) -> Result<OwnedFd, Failure> {
        let filter = Filter {
            sample: sample.max(1),
            client: given(client, "a network", network)?,
            name: given(name, "a name", |name| Some(Name::parse(name)?.lower()))?,
        };
        let time = Duration::from_secs(u64::from(seconds));
        let reading = self.0.log.read(filter, time);
        Ok(reading
            .map_err(|e| Failure::Failed(format!("cannot show questions: {e}")))?
            .into())
    }

    async fn take(&self, zone: String) -> Result<u32, Failure> {
        let name = Name::parse(&zone).map(|name| name.lower());
        let name = name.ok_or_else(|| Failure::Invalid(format!("'{zone}' is not a name")))?;
        let (reply, answer) = oneshot::channel();
        let _ = self.0.orders.send(Order::Take { name, reply }); // the end: there is no answer
        let taken = answer.await;
        let taken = taken.map_err(|_| Failure::Unavailable("the daemon ends".into()))?;
        taken.map_err(Failure::Failed)
    }

    fn refresh(&self, zone: &str, whole: bool) -> Result<(), Failure> {
        let name = Name::parse(zone).map(|name| name.lower());
        let register = self.0.board.get().followed.clone();
        let zones = name.as_ref().map(|name| register.get(name));
        let zones = zones.filter(|zones| !zones.is_empty()).ok_or_else(|| {
            Failure::NotFound(format!("'{zone}' is no copy of another server's zone"))
        })?;
        zones.iter().for_each(|zone| zone.ring(whole));
        Ok(())
    }

    async fn list_keys(&self) -> Result<String, Failure> {
        let listed = self.keyring(Keyring::list).await?;
        Ok(listed.to_string())
    }

    async fn show_key(&self, name: String) -> Result<String, Failure> {
        let shown = self.keyring(move |keyring| keyring.show(&name)).await?;
        Ok(shown.to_string())
    }

    async fn add_key(
        &self,
        name: String,
        algorithm: String,
        secret: String,
        update: Vec<String>,
        transfer: Vec<String>,
    ) -> Result<String, Failure> {
        let new = New {
            name,
            algorithm,
            secret,
            update,
            transfer,
        };
        let added = self.keyring(move |keyring| keyring.add(new)).await?;
        Ok(added.to_string())
    }

    async fn revoke_key(&self, name: String) -> Result<(), Failure> {
        self.keyring(move |keyring| keyring.revoke(&name)).await
    }
}

impl Admin {
    /// Does something with the keys, apart from the thread that answers: it waits for the disk.
    async fn keyring<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keyring) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let keyring = self.0.keyring.clone();
        let done = tokio::task::spawn_blocking(move || work(&keyring)).await;
        done.map_err(|e| Failure::Failed(format!("cannot use the keys: {e}")))?
    }
}

/// What a text that is not empty stands for.
fn given<T>(
    text: &str,
    what: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let value = read(text).ok_or_else(|| Failure::Invalid(format!("'{text}' is not {what}")))?;
    Ok(Some(value))
}

/// The document of `Describe` and of `guifi-dns status --json`; see net.guifi.Dns1(5).
pub(crate) fn describe(parts: &Parts) -> serde_json::Value {
    let snapshot = parts.board.get();
    let zones = &snapshot.zones;
    let overview = parts.overview();
    let listed: Vec<_> = zones
        .built
        .iter()
        .map(|(zone, built)| {
            json!({
                "zone": zone,
                "domain": built.apex.to_string(),
                "serial": overview.serials.get(zone),
                "parts": built.table.parts,
                "boxes": built.boxes,
                "instances": built.instances,
                "names": built.table.names,
                "records": built.table.records,
                "size_bytes": built.table.size(),
            })
        })
        .collect();
    let upstreams = parts.forwarder.upstreams();
    let (totals, [udp, tcp]) = (parts.totals(), parts.by_transport());
    let types = TYPES.map(str::to_ascii_lowercase).into_iter();
    let types: BTreeMap<_, _> = types.zip(totals.types).collect();
    let ((entries, bytes), cache) = parts.forwarder.numbers();
    let servers: Vec<_> = upstreams.servers.iter().map(ToString::to_string).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen": parts.report.get(),
        "registry": parts.standing.get(),
        "community": overview.community.as_ref().map(|c| json!({
            "name": c.name,
            "domain": c.domain.to_string().trim_end_matches('.'),
        })),
        "serial": zones.community.as_ref().map(|apex| apex.serial),
        "registry_records": overview.records,
        "zones": listed,
        "hosted": parts.hosted(),
        "upstreams": { "servers": servers, "source": upstreams.source, "health": parts.forwarder.health() },
        "counters": totals,
        "transports": { "udp": udp.queries, "tcp": tcp.queries },
        "types": types,
        "cache": {
            "entries": entries,
            "size_bytes": bytes,
            "hits": cache.hits,
            "misses": cache.misses,
            "stale": cache.stale,
            "failures": cache.failures,
        },
    })
}

/// Comes on the bus and stays there, and tells `connected` of it; returns after the first attempt.
pub(crate) async fn start(
    parts: &Arc<Parts>,
    portal: Feed,
    connected: watch::Sender<Option<Connection>>,
) {
    let first = match timeout(START, serve(parts)).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(e)) => {
            log::warn!("cannot come on the bus: {e}; answering the last data without it");
            None
        }
        Err(_) => {
            log::warn!("the bus does not answer; answering the last data without it");
            None
        }
    };
    tokio::spawn(stay(parts.clone(), portal, connected, first));
}

async fn serve(parts: &Arc<Parts>) -> zbus::Result<Connection> {
    connection::Builder::system()
        .serve_at(DNS.path, Reads(parts.clone()))
        .serve_at(DNS.path, Admin(parts.clone()))
        .name(DNS.name)
        .build()
        .await
}

async fn stay(
    parts: Arc<Parts>,
    portal: Feed,
    connected: watch::Sender<Option<Connection>>,
    mut bus: Option<Connection>,
) {
    let mut pause = Duration::from_secs(1);
    loop {
        if let Some(connection) = bus.take() {
            connected.send_replace(Some(connection.clone()));
            tokio::select! {
                () = connection.closed() => {}
                () = feed::follow(&connection, &parts.news, &parts.standing) => {}
                () = portal.clone().follow(&connection) => {}
            }
            log::warn!("the bus is gone; answering the last data without it");
            connected.send_replace(None);
            parts.standing.set(feed::Registry::Absent);
            pause = Duration::from_secs(1);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
        match timeout(START, serve(&parts)).await {
            Ok(Ok(connection)) => {
                log::info!("on the bus");
                bus = Some(connection);
            }
            Ok(Err(e)) => log::debug!("cannot come on the bus: {e}"),
            Err(_) => log::debug!("the bus does not answer"),
        }
    }
}
