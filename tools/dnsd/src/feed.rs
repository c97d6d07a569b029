//! The registry's records over the bus: all of them once, then what changes. When the
//! registry or the bus goes, the last good data stays.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _};
use guifi_bus::{REGISTRY, RegistryProxy};
use guifi_core::Error;
use serde::Deserialize;
use tokio::time::sleep;
use zbus::Connection;
use zbus::fdo::DBusProxy;

use crate::keeper::News;
use crate::name::Name;
use crate::record::KINDS;
use crate::state;
use crate::zone::Community;

/// The pause after a failed question to the registry.
const RETRY: Duration = Duration::from_secs(2);
/// At most so many lists follow each other without a pause in between.
const PACE: Duration = Duration::from_millis(200);

/// How it stands with the registry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Registry {
    /// Not on the bus, or no bus.
    #[default]
    Absent,
    /// There, but this box is in no community.
    NotJoined,
    /// In step.
    Ok,
}

/// What the feed shares with the bus interface.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Registry>>);

impl Standing {
    /// How it stands.
    pub fn get(&self) -> Registry {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how it stands.
    pub fn set(&self, registry: Registry) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *own != registry {
            match registry {
                Registry::Absent => log::warn!("the registry is gone; answering the last data"),
                Registry::NotJoined => log::info!("in no community; forwarding only"),
                Registry::Ok => log::info!("in step with the registry"),
            }
        }
        *own = registry;
    }
}

/// What is needed of the registry's description of itself.
#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    joined: bool,
    #[serde(default)]
    community: Option<DescribedCommunity>,
    #[serde(default)]
    zone: Option<Box<str>>,
}

#[derive(Deserialize)]
struct DescribedCommunity {
    #[serde(default)]
    name: Box<str>,
    domain: String,
}

/// Follows the registry on `connection` for as long as the connection lives.
pub async fn follow(connection: &Connection, news: &Sender<News>, standing: &Standing) {
    loop {
        if let Err(e) = try_follow(connection, news, standing).await {
            log::debug!("{e}");
        }
        sleep(RETRY).await;
    }
}

async fn try_follow(
    connection: &Connection,
    news: &Sender<News>,
    standing: &Standing,
) -> Result<(), Error> {
    let attempt = |e: zbus::Error| guifi_bus::error("cannot follow the registry", e);
    let bus = DBusProxy::new(connection).await.map_err(attempt)?;
    let registry = RegistryProxy::new(connection).await.map_err(attempt)?;
    let watch = guifi_bus::watch_registry(connection);
    let (mut owners, mut changes) = watch.await.map_err(attempt)?;
    let name = zbus::names::BusName::try_from(REGISTRY.name)
        .map_err(|e| Error::failed(format!("bus name: {e}")))?;
    // Not started by asking: whoever installed it has it running.
    let mut present = bus
        .name_has_owner(name)
        .await
        .map_err(|e| attempt(e.into()))?;
    let mut place = Place::default();
    let mut stale = present;
    let mut listed = Instant::now();
    loop {
        if !present {
            standing.set(Registry::Absent);
        }
        if present && stale {
            listed = Instant::now();
            match update(&registry, &mut place, news, standing).await {
                Ok(()) => stale = false,
                Err(e) => log::debug!("{e}"),
            }
        }
        tokio::select! {
            owner = owners.next() => {
                let Some(owner) = owner else { return Ok(()) };
                let args = owner.args().map_err(attempt)?;
                present = args.new_owner().is_some();
                (place, stale) = (Place::default(), true);
            }
            change = changes.next() => {
                if change.is_none() {
                    return Ok(());
                }
                stale = true;
            }
            () = sleep(RETRY), if present && stale => {}
        }
        // What comes close after a list is one change.
        sleep(PACE.saturating_sub(listed.elapsed())).await;
        while let Some(Some(_)) = changes.next().now_or_never() {}
    }
}

/// Where the last list ended.
#[derive(Debug, Default)]
struct Place {
    epoch: String,
    sequence: u64,
    community: Option<Community>,
}

async fn update(
    registry: &RegistryProxy<'_>,
    place: &mut Place,
    news: &Sender<News>,
    standing: &Standing,
) -> Result<(), Error> {
    let attempt = |e: zbus::Error| guifi_bus::error("cannot read the registry", e);
    let text = registry.describe().await.map_err(attempt)?;
    let description: Description = serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("cannot read the registry's description: {e}")))?;
    let community = description
        .community
        .filter(|_| description.joined)
        .and_then(|community| {
            Some(Community {
                name: community.name,
                domain: Name::parse(&community.domain)
                    .filter(|d| d.wire().len() > 1)?
                    .lower(),
                own_zone: description.zone.unwrap_or_default(),
            })
        });
    if community.is_none() {
        *place = Place::default();
        let _ = news.send(News::Whole(None, Box::new(std::iter::empty()))); // the keeper ends last
        standing.set(Registry::NotJoined);
        return Ok(());
    }
    if place.community != community {
        *place = Place {
            community: community.clone(),
            ..Place::default()
        };
    }
    let (epoch, sequence, whole, lines) = registry
        .list(&KINDS, HashMap::new(), &place.epoch, place.sequence)
        .await
        .map_err(attempt)?;
    let mut file = File::from(std::os::fd::OwnedFd::from(lines));
    file.rewind()
        .map_err(|e| Error::failed(format!("cannot read the records: {e}")))?;
    let lines = state::read(BufReader::new(file).lines());
    let told = if whole {
        News::Whole(community, lines)
    } else {
        News::Changes(lines)
    };
    let _ = news.send(told); // the keeper ends last
    (place.epoch, place.sequence) = (epoch, sequence);
    standing.set(Registry::Ok);
    Ok(())
}
