//! An Avahi on private buses that knows one link: what is announced is heard by all.
#![allow(clippy::too_many_arguments)] // Avahi's signatures

use std::sync::{Arc, Mutex};

use guifi_testing::bus::Bus;
use zbus::object_server::{ObjectServer, SignalEmitter};
use zbus::{OwnedObjectPath, interface};

/// One announcement: name, port, texts.
type Announced = (String, u16, Vec<Vec<u8>>);

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    number: u32,
    announced: Vec<Announced>,
    browsers: Vec<(zbus::Connection, String)>,
}

impl Shared {
    fn path(&self, what: &str) -> String {
        let mut state = self.0.lock().unwrap();
        state.number += 1;
        format!("/{what}/n{}", state.number)
    }

    fn announced(&self) -> Vec<Announced> {
        self.0.lock().unwrap().announced.clone()
    }
}

struct Server(Shared);
struct Group(Shared);
struct Browser(Shared, String);
struct Resolver(Shared, String);

#[interface(name = "org.freedesktop.Avahi.Server2")]
impl Server {
    async fn entry_group_new(
        &self,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> OwnedObjectPath {
        let path = self.0.path("group");
        server
            .at(path.as_str(), Group(self.0.clone()))
            .await
            .unwrap();
        path.try_into().unwrap()
    }

    async fn service_browser_prepare(
        &self,
        _interface: i32,
        _protocol: i32,
        r#type: &str,
        _domain: &str,
        _flags: u32,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> OwnedObjectPath {
        assert_eq!(r#type, "_guifi-peer._udp");
        let path = self.0.path("browser");
        let browser = Browser(self.0.clone(), path.clone());
        server.at(path.as_str(), browser).await.unwrap();
        path.try_into().unwrap()
    }

    async fn service_resolver_prepare(
        &self,
        _interface: i32,
        _protocol: i32,
        name: String,
        _type: &str,
        _domain: &str,
        _address_protocol: i32,
        _flags: u32,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> OwnedObjectPath {
        let path = self.0.path("resolver");
        let resolver = Resolver(self.0.clone(), name);
        server.at(path.as_str(), resolver).await.unwrap();
        path.try_into().unwrap()
    }
}

#[interface(name = "org.freedesktop.Avahi.EntryGroup")]
impl Group {
    async fn add_service(
        &self,
        _interface: i32,
        _protocol: i32,
        _flags: u32,
        name: String,
        _type: &str,
        _domain: &str,
        _host: &str,
        port: u16,
        txt: Vec<Vec<u8>>,
    ) {
        self.0
            .0
            .lock()
            .unwrap()
            .announced
            .push((name.clone(), port, txt));
        let browsers = self.0.0.lock().unwrap().browsers.clone();
        for (connection, path) in browsers {
            let emitter = SignalEmitter::new(&connection, path).unwrap();
            tell(&emitter, &name).await;
        }
    }

    async fn commit(&self) {}

    async fn free(&self) {}
}

#[interface(name = "org.freedesktop.Avahi.ServiceBrowser")]
impl Browser {
    async fn start(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        let browser = (emitter.connection().clone(), self.1.clone());
        self.0.0.lock().unwrap().browsers.push(browser);
        for (name, ..) in self.0.announced() {
            tell(&emitter, &name).await;
        }
    }

    async fn free(&self) {
        self.0.0.lock().unwrap().browsers.retain(|b| b.1 != self.1);
    }

    #[zbus(signal)]
    async fn item_new(
        emitter: &SignalEmitter<'_>,
        interface: i32,
        protocol: i32,
        name: &str,
        r#type: &str,
        domain: &str,
        flags: u32,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn item_remove(
        emitter: &SignalEmitter<'_>,
        interface: i32,
        protocol: i32,
        name: &str,
        r#type: &str,
        domain: &str,
        flags: u32,
    ) -> zbus::Result<()>;
}

async fn tell(emitter: &SignalEmitter<'_>, name: &str) {
    Browser::item_new(emitter, 2, 0, name, "_guifi-peer._udp", "local", 0)
        .await
        .unwrap();
}

#[interface(name = "org.freedesktop.Avahi.ServiceResolver")]
impl Resolver {
    async fn start(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        let announced = self.0.announced();
        let Some((name, port, txt)) = announced.into_iter().find(|(n, ..)| *n == self.1) else {
            return;
        };
        Self::found(
            &emitter,
            2,
            0,
            &name,
            "_guifi-peer._udp",
            "local",
            "somewhere.local",
            0,
            "127.0.0.1",
            port,
            txt,
            0,
        )
        .await
        .unwrap();
    }

    async fn free(&self) {}

    #[zbus(signal)]
    async fn found(
        emitter: &SignalEmitter<'_>,
        interface: i32,
        protocol: i32,
        name: &str,
        r#type: &str,
        domain: &str,
        host: &str,
        address_protocol: i32,
        address: &str,
        port: u16,
        txt: Vec<Vec<u8>>,
        flags: u32,
    ) -> zbus::Result<()>;
}

/// One Avahi on several buses, as if each were a box on the same link. Gone when dropped.
pub(crate) struct Avahi {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Avahi {
    pub(crate) fn new(buses: &[&Bus]) -> Self {
        let addresses: Vec<_> = buses.iter().map(|b| b.address()).collect();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let shared = Shared::default();
                let mut connections = Vec::new();
                for address in &addresses {
                    let connection = zbus::connection::Builder::address(address.as_str())
                        .serve_at("/", Server(shared.clone()))
                        .name("org.freedesktop.Avahi")
                        .build()
                        .await
                        .unwrap();
                    connections.push(connection);
                }
                let _ = stopped.await;
                for connection in connections {
                    let _ = connection.close().await;
                }
            });
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Avahi {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}
