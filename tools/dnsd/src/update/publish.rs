//! Publishing updates of the community's domain: those that wait are one batch, each record of
//! this box is written once for it, and they are answered when the registry has it on the disk
//! and the names are in force here.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _};
use std::sync::Arc;
use std::time::Duration;

use guifi_bus::{RegistryProviderProxy, RegistryProxy};
use guifi_core::Error;
use hickory_proto::op::{Message, ResponseCode};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::sleep;
use zbus::Connection;

use super::Request;
use super::apply::apply;
use super::community::{Own, Records, Step, plan};
use crate::board::{Board, Snapshot};
use crate::encode::rtype;
use crate::hosted::content::Content;
use crate::hosted::draft::{Changes, Draft};
use crate::hosted::rrset::{Record, from_wire};
use crate::name::Name;
use crate::query::Question;
use crate::table::Found;
use crate::text;

/// Updates of one batch.
const BATCH: usize = 64;
/// Types that the domain has.
const TYPES: [u16; 7] = [
    rtype::SOA,
    rtype::NS,
    rtype::A,
    rtype::AAAA,
    rtype::PTR,
    rtype::SRV,
    rtype::TXT,
];
/// How long names may take to be in force, and how often they are looked at.
const FORCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(25);

/// Publishes what comes in, over the bus that there is.
pub async fn run(
    mut inbox: UnboundedReceiver<Request>,
    bus: watch::Receiver<Option<Connection>>,
    board: Arc<Board>,
) {
    while let Some(first) = inbox.recv().await {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = inbox.try_recv()
        {
            batch.push(next);
        }
        let connection = bus.borrow().clone();
        let done = match &connection {
            Some(connection) => publish(connection, &board, &batch).await,
            None => Err(Error::failed("there is no bus")),
        };
        let codes = done.unwrap_or_else(|e| {
            log::warn!("{e}; updates of the community's domain are not made");
            vec![ResponseCode::ServFail; batch.len()]
        });
        for (request, code) in batch.into_iter().zip(codes) {
            request.answer(code);
        }
    }
}

async fn publish(
    connection: &Connection,
    board: &Board,
    batch: &[Request],
) -> Result<Vec<ResponseCode>, Error> {
    let failed = |e: zbus::Error| guifi_bus::error("cannot use the registry", e);
    let registry = RegistryProxy::new(connection).await.map_err(failed)?;
    let (own, records) = own(&registry).await?;
    let snapshot = board.get();
    let names = batch.iter().flat_map(|request| names(&request.message));
    let names: BTreeSet<Name> = names.chain([own.domain.clone()]).collect();
    let content = seen(&snapshot, &own.domain, &names);
    let mut changes = Changes::new();
    let codes = batch.iter().map(|request| {
        if request.zone.0 != own.domain {
            return ResponseCode::NotAuth;
        }
        let mut draft = Draft::new(&content, Some(&changes));
        if let Err(code) = apply(&request.message, &request.rights, &mut draft) {
            return code;
        }
        let mut all = changes.clone();
        all.extend(draft.finish());
        match plan(&own, &content, &all, &records) {
            Ok(_) => changes = all,
            Err(why) => {
                let key = request.rights.key.name();
                log::info!(
                    "an update of {} with the key {key} is refused: {why}",
                    own.domain
                );
                return ResponseCode::Refused;
            }
        }
        ResponseCode::NoError
    });
    let codes: Vec<ResponseCode> = codes.collect();
    let steps = plan(&own, &content, &changes, &records).map_err(Error::failed)?;
    if steps.is_empty() {
        return Ok(codes);
    }
    let provider = RegistryProviderProxy::new(connection)
        .await
        .map_err(failed)?;
    for step in steps {
        // A lifetime of 0 is the longest; the registry renews it.
        match &step {
            Step::Put(kind, name, body) => {
                let put = provider.put(kind, name, &body.to_string(), 0).await;
                put.map(drop)
            }
            Step::Remove(kind, name) => provider.remove(kind, name).await,
        }
        .map_err(|e| guifi_bus::error("cannot publish an update", e))?;
    }
    in_force(board, &own.domain, &changes).await;
    Ok(codes)
}

/// This box, and its records.
async fn own(registry: &RegistryProxy<'_>) -> Result<(Own, Records), Error> {
    let failed = |e: zbus::Error| guifi_bus::error("cannot read the registry", e);
    let wrong = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read the registry: {e}"));
    let described = registry.describe().await.map_err(failed)?;
    let described: Value = serde_json::from_str(&described).map_err(|e| wrong(&e))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let domain = Name::parse(&text(&described["community"]["domain"]));
    let domain = domain.filter(|domain| domain.labels().count() > 0);
    let own = Own {
        domain: domain
            .ok_or_else(|| wrong(&"there is no community"))?
            .lower(),
        zone: text(&described["zone"]),
        name: text(&described["name"]),
    };
    let key = text(&described["key"]);
    let filter = HashMap::from([("owner", key.as_str())]);
    let (_, _, _, lines) = registry
        .list(&["host", "service"], filter, "", 0)
        .await
        .map_err(failed)?;
    let mut file = File::from(std::os::fd::OwnedFd::from(lines));
    file.rewind().map_err(|e| wrong(&e))?;
    let mut records = Records::new();
    for line in BufReader::new(file).lines() {
        let record: Value = line
            .map_err(|e| wrong(&e))
            .and_then(|line| serde_json::from_str(&line).map_err(|e| wrong(&e)))?;
        let name = (text(&record["kind"]), text(&record["name"]));
        records.insert(name, record["body"].clone());
    }
    Ok((own, records))
}

/// All names that an update speaks of.
fn names(message: &Message) -> impl Iterator<Item = Name> {
    let records = message.answers.iter().chain(&message.authorities);
    records.filter_map(|record| Name::from_labels(record.name.iter()))
}

/// What the domain has at these names now.
fn seen(snapshot: &Snapshot, domain: &Name, names: &BTreeSet<Name>) -> Content {
    let mut records: Vec<Record> = Vec::new();
    let apex = snapshot.zones.community.as_deref();
    for name in names {
        for kind in TYPES {
            let mut question = Question::default();
            let lower = name.lower();
            if lower.below(domain).is_none() || !question.set(lower.wire(), kind) {
                continue;
            }
            if let Some(Found::Set(set)) = apex.map(|apex| apex.find(&question)) {
                records.extend(text::records(name, set).iter().filter_map(from_wire));
            }
        }
    }
    Content::of(domain, records)
}

/// Waits until hosts and services are as they were wished.
async fn in_force(board: &Board, domain: &Name, changes: &Changes) {
    let names: BTreeSet<Name> = changes
        .values()
        .map(|(written, _)| Name::from_wire(&[written, domain.wire()].concat()))
        .collect();
    let kinds = [rtype::A, rtype::AAAA, rtype::SRV, rtype::TXT];
    let is_there = || {
        let content = seen(&board.get(), domain, &names);
        changes.iter().all(|(front, (_, wished))| {
            let there = content.get(front);
            kinds.iter().all(|kind| {
                let data = |sets: &crate::hosted::rrset::Sets| {
                    let set = sets.get(kind).map(|set| set.data.clone());
                    set.unwrap_or_default().into_iter().collect::<BTreeSet<_>>()
                };
                // The TXT record of a service is there also if nobody said anything.
                data(&there) == data(wished) || (*kind == rtype::TXT && data(wished).is_empty())
            })
        })
    };
    for _ in 0..FORCE.as_millis() / LOOK.as_millis() {
        if is_there() {
            return;
        }
        sleep(LOOK).await;
    }
    log::debug!("an update is with the registry, and not in force here yet");
}
