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
    /// How often others have written.
    writes: usize,
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
            "key": "key-of-vic-01", "name": "vic-01", "zone": book.zone,
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
        let book = self.0.lock().unwrap();
        let whole = epoch != book.epoch.to_string();
        let mut text = String::new();
        for (changed, record) in book.records.iter().filter(|_| book.joined) {
            let kind = record["kind"].as_str().unwrap();
            let asked = kinds.is_empty() || kinds.iter().any(|k| k == kind);
            let removed = record["removed"] == true;
            let wanted = filter
                .get("owner")
                .is_none_or(|key| record["owner"] == **key);
            if asked && wanted && (*changed > sequence || whole) && !(whole && removed) {
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

/// Writes records of the box `vic-01`.
struct Provider(Arc<Mutex<Book>>);

#[interface(name = "net.guifi.Registry1.Provider")]
impl Provider {
    async fn put(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        kind: String,
        name: String,
        body: String,
        _lifetime_seconds: u32,
    ) -> u64 {
        let body = serde_json::from_str(&body).unwrap();
        self.write(&emitter, &kind, &name, body).await;
        1
    }

    async fn remove(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        kind: String,
        name: String,
    ) {
        self.write(&emitter, &kind, &name, Value::Null).await;
    }
}

impl Provider {
    async fn write(&self, emitter: &SignalEmitter<'_>, kind: &str, name: &str, body: Value) {
        let (epoch, sequence) = {
            let mut book = self.0.lock().unwrap();
            let zone = book.zone.clone();
            book.write("vic-01", &zone, kind, name, &body);
            book.writes += 1;
            (book.epoch.to_string(), book.sequence)
        };
        Interface::changed(emitter, &epoch, sequence, &[])
            .await
            .unwrap();
    }
}

impl Book {
    fn write(&mut self, owner: &str, zone: &str, kind: &str, name: &str, body: &Value) {
        self.sequence += 1;
        let number = self.sequence;
        let key = format!("key-of-{owner}");
        let same = |r: &Value| r["owner"] == key && r["kind"] == *kind && r["name"] == *name;
        self.records.retain(|(_, record)| !same(record));
        let record = if body.is_null() {
            json!({"owner": key, "kind": kind, "name": name, "removed": true})
        } else {
            let witnessed = if kind == "box" {
                body["spine"]["addresses"].clone()
            } else {
                json!([])
            };
            json!({
                "witnessed": witnessed, "owner": key, "owner_name": owner, "owner_zone": zone, "kind": kind,
                "name": name, "version": 1, "state": "live", "own": owner == "vic-01",
                "written_at": "2026-01-01T00:00:00Z", "seen_at": "2026-01-01T00:00:00Z",
                "expires_at": "2100-01-01T00:00:00Z", "body": body,
            })
        };
        self.records.push((number, record));
    }
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
        let provider = Provider(self.book.clone());
        let connection = self.runtime.block_on(async {
            zbus::connection::Builder::address(self.address.as_str())
                .serve_at(guifi_bus::REGISTRY.path, interface)
                .serve_at(guifi_bus::REGISTRY.path, provider)
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
                book.write(owner, zone, kind, name, body);
            }
        }
        self.tell();
    }

    /// How often others have written, and the records of the box `vic-01` by kind and name.
    pub fn written(&self) -> (usize, Vec<(String, Value)>) {
        let book = self.book.lock().unwrap();
        let own = book.records.iter().filter(|(_, record)| {
            record["owner"] == "key-of-vic-01"
                && record["kind"] != "box"
                && !record["body"].is_null()
        });
        let text = |record: &Value, word: &str| record[word].as_str().unwrap().to_owned();
        let named = own.map(|(_, record)| {
            let name = format!("{} {}", text(record, "kind"), text(record, "name"));
            (name, record["body"].clone())
        });
        (book.writes, named.collect())
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
