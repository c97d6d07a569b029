//! A stand-in for the registry and for peerd of several boxes, which know the same at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use guifi_streams::Key;
use guifi_testing::bus::Bus;
use serde_json::{Value, json};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, interface};

use super::block_on;

type Id = (u8, String, String);

#[derive(Default)]
struct Book {
    sequence: u64,
    /// Each record with the number of its last change; a null record is removed.
    records: BTreeMap<Id, (u64, Value)>,
    /// Boxes that answer, and their addresses.
    alive: BTreeMap<u8, String>,
}

/// The community: what its members have published.
#[derive(Clone, Default)]
pub struct Community {
    book: Arc<Mutex<Book>>,
    connections: Arc<Mutex<Vec<Connection>>>,
    runtime: Arc<Mutex<Option<tokio::runtime::Handle>>>,
}

/// The key of a box by its number.
pub fn key(number: u8) -> String {
    Key([number; 32]).to_string()
}

/// The zone of a box, one of forty.
pub fn zone(number: u8) -> String {
    format!("zone-{}", number % 40)
}

struct Registry(u8, Community);
struct Provider(u8, Community);
struct Peer(u8, Community);

#[interface(name = "net.guifi.Registry1")]
impl Registry {
    fn describe(&self) -> String {
        json!({"joined": true, "key": key(self.0), "community": {"name": "osona"}, "boxes": 9})
            .to_string()
    }

    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn list(
        &self,
        kinds: Vec<String>,
        filter: HashMap<String, String>,
        epoch: String,
        sequence: u64,
    ) -> (String, u64, bool, OwnedFd) {
        assert!(filter.is_empty());
        let book = self.1.book.lock().unwrap();
        let whole = epoch != "one";
        let wanted = book
            .records
            .iter()
            .filter(|((_, kind, _), (changed, record))| {
                kinds.contains(kind)
                    && (if whole {
                        !record.is_null()
                    } else {
                        *changed > sequence
                    })
            });
        let lines: String = wanted
            .map(|((owner, kind, name), (_, record))| {
                let mut line = record.clone();
                if line.is_null() {
                    line =
                        json!({"owner": key(*owner), "kind": kind, "name": name, "removed": true});
                } else {
                    line["own"] = (*owner == self.0).into();
                }
                format!("{line}\n")
            })
            .collect();
        let fd = guifi_bus::sealed_file(lines.as_bytes()).unwrap();
        ("one".to_owned(), book.sequence, whole, fd)
    }

    #[zbus(signal)]
    async fn synced(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn changed(
        emitter: &SignalEmitter<'_>,
        epoch: &str,
        sequence: u64,
        kinds: &[&str],
    ) -> zbus::Result<()>;
}

#[interface(name = "net.guifi.Registry1.Provider")]
impl Provider {
    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn put(&self, kind: String, name: String, body: String, _lifetime_seconds: u32) -> u64 {
        self.1
            .write(self.0, &kind, &name, serde_json::from_str(&body).unwrap());
        self.1.tell_later();
        1
    }

    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn set_part(&self, kind: String, name: String, part: String, body: String) -> u64 {
        let mut whole = self.1.body(self.0, &kind, &name);
        whole[part] = serde_json::from_str(&body).unwrap();
        self.1.write(self.0, &kind, &name, whole);
        self.1.tell_later();
        1
    }

    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn remove(&self, kind: String, name: String) {
        self.1.write(self.0, &kind, &name, Value::Null);
        self.1.tell_later();
    }
}

#[interface(name = "net.guifi.Peer1")]
impl Peer {
    fn ping(&self, key: &str) -> zbus::fdo::Result<u32> {
        let book = self.1.book.lock().unwrap();
        match book.alive.keys().any(|n| self::key(*n) == key) {
            true => Ok(1),
            false => Err(zbus::fdo::Error::Failed("it does not answer".into())),
        }
    }

    fn describe(&self) -> String {
        let book = self.1.book.lock().unwrap();
        let others = book.alive.iter().filter(|(n, _)| **n != self.0);
        let peers = others.map(|(n, address)| {
            json!({"key": key(*n), "path": "direct", "address": format!("{address}:7656")})
        });
        json!({"peers": peers.collect::<Vec<_>>()}).to_string()
    }
}

impl Community {
    /// Puts the registry and peerd of box `number` on a bus.
    pub fn serve(&self, number: u8, bus: &Bus) {
        let mut held = self.runtime.lock().unwrap();
        let runtime = held.get_or_insert_with(|| {
            let built = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let built = built.unwrap();
            let handle = built.handle().clone();
            // Drives the connections until the test ends.
            std::thread::spawn(move || built.block_on(std::future::pending::<()>()));
            handle
        });
        let address = bus.address();
        let connection = runtime.block_on(async {
            zbus::connection::Builder::address(address.as_str())
                .serve_at(guifi_bus::REGISTRY.path, Registry(number, self.clone()))
                .serve_at(guifi_bus::REGISTRY.path, Provider(number, self.clone()))
                .serve_at(guifi_bus::PEER.path, Peer(number, self.clone()))
                .name(guifi_bus::REGISTRY.name)
                .name(guifi_bus::PEER.name)
                .build()
                .await
                .unwrap()
        });
        self.connections.lock().unwrap().push(connection);
    }

    fn body(&self, owner: u8, kind: &str, name: &str) -> Value {
        let book = self.book.lock().unwrap();
        let id = (owner, kind.to_owned(), name.to_owned());
        book.records
            .get(&id)
            .map_or_else(|| json!({}), |(_, r)| r["body"].clone())
    }

    /// Writes a record without telling anybody; a null body removes it.
    fn write(&self, owner: u8, kind: &str, name: &str, body: Value) {
        let mut book = self.book.lock().unwrap();
        book.sequence += 1;
        let record = if body.is_null() {
            Value::Null
        } else {
            json!({"owner": key(owner), "owner_name": format!("box-{owner}"), "owner_zone": zone(owner),
                "kind": kind, "name": name, "state": "live", "seen_at": "2026-11-24T00:00:00Z", "body": body})
        };
        let sequence = book.sequence;
        let id = (owner, kind.to_owned(), name.to_owned());
        book.records.insert(id, (sequence, record));
    }

    /// A box that answers at an address.
    pub fn boxed(&self, owner: u8, address: &str) {
        self.book
            .lock()
            .unwrap()
            .alive
            .insert(owner, address.to_owned());
        let mut body = self.body(owner, "box", "box");
        body["spine"] = json!({"addresses": [address]});
        self.write(owner, "box", "box", body);
    }

    /// Services of a box, told of at once; a port of 0 removes one.
    pub fn services(&self, services: &[(u8, &str, u16)]) {
        for (owner, name, port) in services {
            let body = json!({"instance": name, "type": "_http._tcp", "port": port, "txt": ["path=/"], "healthy": true});
            let body = if *port == 0 { Value::Null } else { body };
            self.write(*owner, "service", &format!("_http._tcp/{name}"), body);
        }
        self.tell();
    }

    /// The body of a service's record, null if there is none.
    pub fn service(&self, owner: u8, name: &str) -> Value {
        let id = (owner, "service".to_owned(), format!("_http._tcp/{name}"));
        let book = self.book.lock().unwrap();
        let record = book.records.get(&id).map(|(_, r)| r["body"].clone());
        record.unwrap_or_default()
    }

    /// A box answers no more; its records stay what they are.
    pub fn dies(&self, owner: u8) {
        self.book.lock().unwrap().alive.remove(&owner);
    }

    /// Tells all registries' readers of the changes.
    pub fn tell(&self) {
        let sequence = self.book.lock().unwrap().sequence;
        let connections = self.connections.lock().unwrap().clone();
        block_on(async move {
            for connection in connections {
                let emitter = SignalEmitter::new(&connection, guifi_bus::REGISTRY.path).unwrap();
                // A killed box's bus takes nothing more.
                let _ = Registry::changed(&emitter, "one", sequence, &[]).await;
            }
        });
    }

    /// Each registry says that it is in step with others.
    pub fn synced(&self) {
        let connections = self.connections.lock().unwrap().clone();
        block_on(async move {
            for connection in connections {
                let emitter = SignalEmitter::new(&connection, guifi_bus::REGISTRY.path).unwrap();
                let _ = Registry::synced(&emitter).await; // as above
            }
        });
    }

    fn tell_later(&self) {
        let community = self.clone();
        std::thread::spawn(move || community.tell());
    }
}
