//! A stand-in for the registry.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use zbus::{Connection, OwnedFd, interface, object_server::SignalEmitter};

use super::Bus;

#[derive(Default)]
struct Book {
    epoch: u64,
    sequence: u64,
    joined: bool,
    zone: String,
    /// Each record with the number of its last change.
    records: Vec<(u64, Value)>,
}

struct Interface(Arc<Mutex<Book>>);

#[interface(name = "net.guifi.Registry1")]
impl Interface {
    fn describe(&self) -> String {
        let book = self.0.lock().unwrap();
        let community = json!({"id": "x", "name": "osona", "domain": "osona.internal"});
        json!({
            "joined": book.joined, "community": book.joined.then_some(community),
            "key": "own", "name": "vic-01", "zone": book.zone,
        })
        .to_string()
    }

    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn list(
        &self,
        kinds: Vec<String>,
        filter: std::collections::HashMap<String, String>,
        epoch: String,
        sequence: u64,
    ) -> (String, u64, bool, OwnedFd) {
        assert!(filter.is_empty());
        let book = self.0.lock().unwrap();
        let whole = epoch != book.epoch.to_string();
        let mut text = String::new();
        for (changed, record) in book.records.iter().filter(|_| book.joined) {
            let kind = record["kind"].as_str().unwrap();
            let asked = kinds.is_empty() || kinds.iter().any(|k| k == kind);
            let removed = record["removed"] == true;
            if asked && (*changed > sequence || whole) && !(whole && removed) {
                text += &format!("{record}\n");
            }
        }
        let fd = guifi_bus::sealed_file(text.as_bytes()).unwrap();
        (book.epoch.to_string(), book.sequence, whole, fd)
    }

    #[zbus(signal)]
    async fn changed(
        emitter: &SignalEmitter<'_>,
        epoch: &str,
        sequence: u64,
        kinds: &[&str],
    ) -> zbus::Result<()>;
}

/// A stand-in for guifi-registryd.
pub struct Registry {
    book: Arc<Mutex<Book>>,
    connection: Option<Connection>,
    runtime: tokio::runtime::Handle,
    address: String,
}

impl Registry {
    pub fn start(bus: &Bus, joined: bool) -> Self {
        let built = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let runtime = built.handle().clone();
        // Drives the connection until the test ends.
        std::thread::spawn(move || built.block_on(std::future::pending::<()>()));
        let book = Book {
            epoch: 1,
            joined,
            zone: "vic".into(),
            ..Book::default()
        };
        let mut registry = Self {
            book: Arc::new(Mutex::new(book)),
            connection: None,
            runtime,
            address: bus.address(),
        };
        registry.appear();
        registry
    }

    /// Comes on the bus, with the records it had and a new epoch.
    pub fn appear(&mut self) {
        self.book.lock().unwrap().epoch += 1;
        let interface = Interface(self.book.clone());
        let connection = self.runtime.block_on(async {
            zbus::connection::Builder::address(self.address.as_str())
                .serve_at(guifi_bus::REGISTRY.path, interface)
                .name(guifi_bus::REGISTRY.name)
                .build()
                .await
                .unwrap()
        });
        self.connection = Some(connection);
    }

    /// Leaves the bus.
    pub fn vanish(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime
                .block_on(async { connection.close().await.unwrap() });
        }
    }

    pub fn join(&self, joined: bool) {
        self.book.lock().unwrap().joined = joined;
        self.tell();
    }

    /// Writes a record, or with a null body removes it; one signal for all.
    pub fn put(&self, records: &[(&str, &str, &str, &str, Value)]) {
        {
            let mut book = self.book.lock().unwrap();
            for (owner, zone, kind, name, body) in records {
                book.sequence += 1;
                let number = book.sequence;
                let key = format!("key-of-{owner}");
                let same =
                    |r: &Value| r["owner"] == key && r["kind"] == *kind && r["name"] == *name;
                book.records.retain(|(_, record)| !same(record));
                let record = if body.is_null() {
                    json!({"owner": key, "kind": kind, "name": name, "removed": true})
                } else {
                    let witnessed = if *kind == "box" {
                        body["spine"]["addresses"].clone()
                    } else {
                        json!([])
                    };
                    json!({
                        "witnessed": witnessed, "owner": key, "owner_name": owner, "owner_zone": zone, "kind": kind,
                        "name": name, "version": 1, "state": "live", "own": *owner == "vic-01",
                        "written_at": "2026-01-01T00:00:00Z", "seen_at": "2026-01-01T00:00:00Z",
                        "expires_at": "2100-01-01T00:00:00Z", "body": body,
                    })
                };
                book.records.push((number, record));
            }
        }
        self.tell();
    }

    pub fn boxed(&self, owner: &str, zone: &str, address: &str) {
        let body = json!({"spine": {"name": owner, "addresses": [address]}});
        self.put(&[(owner, zone, "box", "box", body)]);
    }

    pub fn service(&self, owner: &str, zone: &str, kind: &str, instance: &str) {
        let body = json!({"instance": instance, "type": kind, "port": 8080, "txt": ["path=/"]});
        let name = format!("{kind}/{instance}");
        self.put(&[(owner, zone, "service", &name, body)]);
    }

    fn tell(&self) {
        let Some(connection) = &self.connection else {
            return;
        };
        let (epoch, sequence) = {
            let book = self.book.lock().unwrap();
            (book.epoch.to_string(), book.sequence)
        };
        self.runtime.block_on(async {
            let emitter = SignalEmitter::new(connection, guifi_bus::REGISTRY.path).unwrap();
            Interface::changed(&emitter, &epoch, sequence, &[])
                .await
                .unwrap();
        });
    }
}
