//! The entries of other links' services in Avahi. They have a connection to the bus of their
//! own: Avahi counts the objects of each program, and withdraws them with its connection.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use guifi_bus::avahi::AVAHI;
use zbus::{Connection, OwnedObjectPath};

use crate::avahi::group;
use crate::entry::{self, Entry};
use crate::import::{Id, Wanted};

/// Entries that are added in one go: each is probed for and announced by multicast.
const BATCH: usize = 50;
/// Names that are tried for one entry.
const MAX_NAMES: u32 = 6;

/// An entry as it is.
#[derive(Debug)]
struct Shown {
    wanted: Wanted,
    group: Option<OwnedObjectPath>,
    name: String,
    /// Names that others had.
    taken: u32,
}

impl Shown {
    fn new(wanted: Wanted) -> Self {
        Self {
            name: wanted.name.clone(),
            wanted,
            group: None,
            taken: 0,
        }
    }

    /// Given up: every name was another's, or Avahi would not have it.
    fn is_lost(&self) -> bool {
        self.taken >= MAX_NAMES
    }
}

/// A machine on a link: interface, name, addresses.
type Machine = (i32, String, Vec<IpAddr>);

fn machine(id: &Id, wanted: &Wanted) -> Machine {
    (id.0, wanted.host.clone(), wanted.addresses.clone())
}

/// All entries.
pub(crate) struct Importer {
    connection: Connection,
    /// The machines of the entries, each in a group.
    machines: BTreeMap<Machine, OwnedObjectPath>,
    shown: BTreeMap<Id, Shown>,
}

impl Importer {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            machines: BTreeMap::new(),
            shown: BTreeMap::new(),
        }
    }

    /// Entries that Avahi has.
    pub(crate) fn count(&self) -> usize {
        self.shown.values().filter(|s| s.group.is_some()).count()
    }

    /// Avahi is gone, and with it all entries; names may be free again.
    pub(crate) fn clear(&mut self) {
        self.machines.clear();
        self.shown.clear();
    }

    /// Brings the entries nearer to what is wanted; says whether there is more to do.
    pub(crate) async fn approach(&mut self, wanted: &BTreeMap<Id, Wanted>) -> bool {
        let old: Vec<Id> = self
            .shown
            .iter()
            .filter(|(id, shown)| wanted.get(*id) != Some(&shown.wanted))
            .map(|(id, _)| id.clone())
            .collect();
        for id in old {
            let Some(Shown {
                group: Some(path), ..
            }) = self.shown.remove(&id)
            else {
                continue;
            };
            entry::free(&self.connection, &path).await;
        }
        let needed: BTreeSet<Machine> = wanted.iter().map(|(id, w)| machine(id, w)).collect();
        let unneeded = self.machines.extract_if(.., |m, _| !needed.contains(m));
        for (_, path) in unneeded.collect::<Vec<_>>() {
            entry::free(&self.connection, &path).await;
        }
        let missing: Vec<Id> = wanted
            .keys()
            .filter(|id| {
                let shown = self.shown.get(*id);
                shown.is_none_or(|s| s.group.is_none() && !s.is_lost())
            })
            .cloned()
            .collect();
        for id in missing.iter().take(BATCH) {
            if let Some(wanted) = wanted.get(id) {
                let fresh = || Shown::new(wanted.clone());
                self.shown.entry(id.clone()).or_insert_with(fresh);
                self.show(id).await;
            }
        }
        missing.len() > BATCH
    }

    async fn show(&mut self, id: &Id) {
        let Some(shown) = self.shown.get_mut(id) else {
            return;
        };
        let place = machine(id, &shown.wanted);
        if !self.machines.contains_key(&place) {
            let (interface, host, addresses) = &place;
            match entry::add_machine(&self.connection, *interface, host, addresses).await {
                Ok(path) => drop(self.machines.insert(place, path)),
                Err(e) => {
                    log::warn!("cannot show '{host}' on this link: {e}");
                    shown.taken = MAX_NAMES;
                    return;
                }
            }
        }
        while !shown.is_lost() {
            let wanted = &shown.wanted;
            let entry = Entry {
                interface: id.0,
                name: &shown.name,
                kind: &wanted.kind,
                host: Some((wanted.host.clone(), &[])),
                port: wanted.port,
                txt: &wanted.txt,
            };
            match entry::add(&self.connection, shown.group.take(), &entry).await {
                Ok(Some(path)) => {
                    shown.group = Some(path);
                    return;
                }
                Ok(None) => rename(&self.connection, shown).await,
                Err(e) => {
                    log::warn!("cannot show '{}' on this link: {e}", shown.name);
                    shown.taken = MAX_NAMES;
                }
            }
        }
    }

    /// Takes the news of an entry group.
    pub(crate) async fn group_changed(&mut self, path: &str, state: i32, error: &str) {
        let of_machine = self.machines.iter().find(|(_, p)| p.as_str() == path);
        if let Some(place) = of_machine.map(|(place, _)| place.clone()) {
            if matches!(state, group::COLLISION | group::FAILURE) {
                self.lose(&place).await;
            }
            return;
        }
        let is_it = |s: &Shown| s.group.as_ref().is_some_and(|g| g.as_str() == path);
        let mut all = self.shown.iter_mut();
        let Some((id, shown)) = all.find(|(_, s)| is_it(s)) else {
            return;
        };
        match state {
            group::COLLISION => {
                let id = id.clone();
                rename(&self.connection, shown).await;
                self.show(&id).await;
            }
            group::FAILURE => {
                log::warn!("'{}' is not shown on this link: {error}", shown.name);
                shown.taken = MAX_NAMES;
                if let Some(path) = shown.group.take() {
                    entry::free(&self.connection, &path).await;
                }
            }
            _ => {}
        }
    }
}

impl Importer {
    /// A machine's name is another's on its link, as while a box there has not heard of a new
    /// address: its services are shown with the next change.
    async fn lose(&mut self, place: &Machine) {
        log::warn!(
            "'{}' is another's on this link: its services are not shown for now",
            place.1
        );
        if let Some(path) = self.machines.remove(place) {
            entry::free(&self.connection, &path).await;
        }
        for (id, shown) in &mut self.shown {
            if machine(id, &shown.wanted) == *place {
                shown.taken += 1;
                if let Some(path) = shown.group.take() {
                    entry::free(&self.connection, &path).await;
                }
            }
        }
    }
}

/// The next name of an entry: that with its box, then what Avahi proposes. The same on every
/// box, so that the next one to import keeps it.
async fn rename(connection: &Connection, shown: &mut Shown) {
    shown.taken += 1;
    let second = &shown.wanted.second;
    let next = if shown.taken == 1 && shown.name != *second {
        Some(second.clone())
    } else {
        entry::give_way(connection, &shown.name).await
    };
    match next {
        Some(name) => shown.name = name,
        None => shown.taken = MAX_NAMES,
    }
    if shown.is_lost() {
        log::warn!(
            "'{}' is not shown on this link: its names are others'",
            shown.wanted.name
        );
        if let Some(path) = shown.group.take() {
            entry::free(connection, &path).await;
        }
    }
}

/// The news of entry groups on a connection.
pub(crate) fn group_news(message: &zbus::Message) -> Option<(String, i32, String)> {
    let header = message.header();
    let interface = format!("{AVAHI}.EntryGroup");
    let is_news = header.interface().map(|i| i.as_str()) == Some(interface.as_str())
        && header.member().map(|m| m.as_str()) == Some("StateChanged");
    let path = header.path().filter(|_| is_news)?.to_string();
    let (state, error) = message.body().deserialize().ok()?;
    Some((path, state, error))
}
