//! The daemon against its contract: interface, manuals, and the registry.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::CommandFactory as _;
use guifi_bus::{REGISTRY, STORAGE, StorageAdminProxy, StorageProviderProxy, StorageProxy};
use guifi_storaged::{cli, config};
use guifi_tahoe::announcement::Announcement;
use guifi_testing::bus::{Bus, contract};
use guifi_testing::fuzz::{Target, calls, inputs};
use guifi_testing::{command_faults, document_faults, interface, key_faults, member_faults, page};
use serde_json::{Value, json};
use zbus::{OwnedFd, interface as bus_interface};

use crate::client::{Client, SI};
use crate::place::{Place, SOON};

/// A key of a box.
const KEY: &str = "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa";

/// What the stand-in for the registry knows.
#[derive(Default)]
struct Book {
    joined: bool,
    record: Option<Value>,
}

struct Reads(Arc<Mutex<Book>>);

#[bus_interface(name = "net.guifi.Registry1")]
impl Reads {
    fn describe(&self) -> String {
        let joined = self.0.lock().unwrap().joined;
        if !joined {
            return json!({"joined": false, "key": null, "peerd": false}).to_string();
        }
        json!({"joined": true, "key": KEY, "zone": "vic", "name": "vic-01",
            "addresses": ["127.0.0.1", "fd00::1"]})
        .to_string()
    }

    #[allow(clippy::needless_pass_by_value)] // the shape of the bus interface
    fn list(
        &self,
        kinds: Vec<String>,
        filter: HashMap<String, String>,
        _epoch: String,
        _sequence: u64,
    ) -> (String, u64, bool, OwnedFd) {
        assert_eq!(kinds, ["storage"]);
        assert_eq!(filter["owner"], KEY);
        let line = |body: &Value| {
            json!({"owner": KEY, "kind": "storage", "name": "storage", "own": true, "body": body})
                .to_string()
                + "\n"
        };
        let text = self.0.lock().unwrap().record.as_ref().map(line);
        let text = guifi_bus::sealed_file(text.unwrap_or_default().as_bytes()).unwrap();
        ("1".into(), 1, true, text)
    }

    #[zbus(signal)]
    async fn changed(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        epoch: String,
        sequence: u64,
        kinds: Vec<String>,
    ) -> zbus::Result<()>;
}

struct Provider(Arc<Mutex<Book>>);

#[bus_interface(name = "net.guifi.Registry1.Provider")]
impl Provider {
    fn put(&self, kind: &str, name: &str, body: &str, _lifetime: u32) -> u64 {
        assert_eq!((kind, name), ("storage", "storage"));
        self.0.lock().unwrap().record = Some(serde_json::from_str(body).unwrap());
        1
    }

    fn remove(&self, _kind: &str, _name: &str) {
        self.0.lock().unwrap().record = None;
    }
}

pub(crate) fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(task)
}

/// The daemon on a bus of its own, with a stand-in for the registry.
pub(crate) struct Town {
    bus: Bus,
    book: Arc<Mutex<Book>>,
    pub(crate) place: Place,
    registry: zbus::Connection,
}

impl Town {
    fn new(joined: bool) -> Self {
        Self::with(joined, |_| ())
    }

    /// With something done before the daemon starts.
    pub(crate) fn with(joined: bool, first: impl FnOnce(&Place)) -> Self {
        let (bus, book) = (Bus::new(), Arc::new(Mutex::new(Book::default())));
        book.lock().unwrap().joined = joined;
        let registry = serve(bus.address(), book.clone());
        let mut place = Place::on_bus(&bus.address(), "");
        first(&place);
        place.spawn();
        Self {
            bus,
            book,
            place,
            registry,
        }
    }

    /// The box joins or leaves.
    fn join(&self, joined: bool) {
        self.book.lock().unwrap().joined = joined;
        block_on(async {
            let object = self.registry.object_server();
            let reads = object.interface::<_, Reads>(REGISTRY.path).await.unwrap();
            Reads::changed(reads.signal_emitter(), "1".into(), 2, Vec::new())
                .await
                .unwrap();
        });
    }

    fn record(&self) -> Option<Value> {
        self.book.lock().unwrap().record.clone()
    }

    pub(crate) fn describe(&self) -> Option<Value> {
        block_on(async {
            let connection = self.bus.connect().await;
            let proxy = StorageProxy::new(&connection).await.unwrap();
            let text = proxy.describe().await.ok()?;
            serde_json::from_str(&text).ok()
        })
    }
}

/// The stand-in, in a thread of its own.
fn serve(address: String, book: Arc<Mutex<Book>>) -> zbus::Connection {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        block_on(async {
            let connection = zbus::connection::Builder::address(address.as_str())
                .serve_at(REGISTRY.path, Reads(book.clone()))
                .serve_at(REGISTRY.path, Provider(book))
                .name(REGISTRY.name)
                .build()
                .await
                .unwrap();
            tell.send(connection).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv_timeout(SOON).unwrap()
}

pub(crate) fn wait<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

#[test]
fn it_serves_and_announces_in_a_community_and_nowhere_else() {
    let town = Town::new(false);
    let document = wait("the daemon", || {
        town.describe().filter(|d| d["joined"] == false)
    });
    assert_eq!(
        (&document["open"], &document["listen"]),
        (&json!(false), &json!([]))
    );
    assert!(std::net::TcpStream::connect(town.place.address()).is_err());

    town.join(true);
    let record = wait("the record", || town.record());
    let record = Announcement::from_body(&record).unwrap();
    assert_eq!(record.server.to_string(), format!("v0-{KEY}"));
    assert_eq!(
        (record.nurls.len(), record.nickname.as_str()),
        (2, "vic-01")
    );
    assert_eq!(record.nurls[1].host, "fd00::1");
    assert!(record.given_bytes > 0);
    assert_eq!(record.nurls[0].swissnum, town.place.swissnum());
    let mut client = town.place.client();
    client.allocate(SI, &[0], 5);
    assert_eq!(client.patch(SI, 0, 0, b"share").unwrap().code, 201);

    let document = town.describe().unwrap();
    let faults = document_faults(
        &(page("net.guifi.Storage1.5") + &page("guifi-storage-record.5")),
        &document,
    );
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(document["shares"], 1);
    assert_eq!(document["announced"], true);

    // Shares are kept when the community is left; nobody is served.
    town.join(false);
    wait("no listener", || {
        std::net::TcpStream::connect(town.place.address())
            .is_err()
            .then_some(())
    });
    assert!(
        client
            .try_ask("GET", "/storage/v1/version", "", b"")
            .is_err()
    );
    town.join(true);
    wait("the listener", || {
        std::net::TcpStream::connect(town.place.address()).ok()
    });
    town.place.signal("TERM");
    wait("no record", || town.record().is_none().then_some(()));
}

#[test]
fn the_account_of_a_box_is_opened_by_its_own_swissnum() {
    let town = Town::new(true);
    wait("the record", || town.record());
    let account = block_on(async {
        let connection = town.bus.connect().await;
        let proxy = StorageProviderProxy::new(&connection).await.unwrap();
        let account: Value = serde_json::from_str(&proxy.account().await.unwrap()).unwrap();
        account
    });
    assert_eq!(account["owner"], KEY);
    let swissnum = account["swissnum"].as_str().unwrap();
    assert!(account["nurls"][0].as_str().unwrap().contains(swissnum));
    let mut client = Client::new(town.place.address(), town.place.certificate(), swissnum);
    client.allocate(SI, &[0], 5);
    assert_eq!(client.patch(SI, 0, 0, b"share").unwrap().code, 201);
    let admin = |what: &'static str| {
        block_on(async {
            let connection = town.bus.connect().await;
            let admin = StorageAdminProxy::new(&connection).await.unwrap();
            match what {
                "accounts" => admin.accounts().await.unwrap(),
                "collect" => admin.collect().await.unwrap(),
                _ => admin.scrub().await.map(|()| "null".to_owned()).unwrap(),
            }
        })
    };
    let accounts: Value = serde_json::from_str(&admin("accounts")).unwrap();
    assert_eq!(accounts[0]["owner"], Value::Null);
    assert_eq!(
        (
            &accounts[1]["owner"],
            &accounts[1]["shares"],
            &accounts[1]["size_bytes"]
        ),
        (&json!(KEY), &json!(1), &json!(5))
    );
    assert!(document_faults(&page("net.guifi.Storage1.5"), &accounts[1]).is_empty());
    let collected: Value = serde_json::from_str(&admin("collect")).unwrap();
    assert_eq!(collected["files"], 0);
    assert!(document_faults(&page("net.guifi.Storage1.5"), &collected).is_empty());

    // A share whose bytes are others is found when all are looked at.
    let share = town
        .place
        .state()
        .join(format!("shares/{}/{SI}/0", &SI[..2]));
    fs::remove_file(&share).unwrap();
    fs::write(&share, b"sharE").unwrap();
    let found = wait("the damage", || {
        admin("scrub");
        town.describe().filter(|d| d["advisories"]["count"] == 1)
    });
    assert_eq!(found["advisories"]["latest"][0]["storage_index"], SI);
    assert!(client.shares("immutable", SI).is_empty());
}

#[test]
fn the_daemon_introspects_its_interface() {
    let town = Town::new(false);
    wait("the daemon", || town.describe());
    let seen = block_on(town.bus.introspect(STORAGE.name, STORAGE.path));
    assert_eq!(contract(&seen), contract(&interface("net.guifi.Storage1")));
}

#[test]
fn no_call_ends_the_daemon() {
    let town = Town::new(false);
    wait("the daemon", || town.describe());
    let target = Target {
        name: STORAGE.name,
        path: STORAGE.path,
        interface: &interface("net.guifi.Storage1"),
        without: &[],
        slow: &[],
        samples: &["guifi"],
    };
    calls(&town.bus.address(), target, inputs());
}

#[test]
fn the_manuals_name_every_option_key_and_member() {
    let mut faults = command_faults(&page("guifi-storaged.8"), &cli::Cli::command());
    faults.extend(key_faults(&page("guifi-storaged.toml.5"), config::KEYS));
    faults.extend(member_faults(
        &page("net.guifi.Storage1.5"),
        &interface("net.guifi.Storage1"),
    ));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_wrong_configuration_is_refused_and_a_later_one_does_not_end_the_daemon() {
    let place = Place::new("nickname = 'a'");
    let check = || place.command().arg("--check").output().unwrap();
    assert_eq!(check().status.code(), Some(0));
    place.configure("spcae = '10%'\n");
    let output = check();
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("spcae"), "{words}");
    place.signal("HUP");
    let mut client = place.client();
    assert!(!client.allocate(SI, &[0], 1).allocated.is_empty());
    place.configure("standalone = true\nspace = 0\n");
    place.signal("HUP");
    wait("no space", || {
        client
            .allocate(SI, &[1], 1)
            .allocated
            .is_empty()
            .then_some(())
    });
}
