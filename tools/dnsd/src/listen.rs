//! The addresses we answer on: bound one by one, so that an address that another server holds
//! is left to it, followed as they change and tried again.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guifi_core::Root;
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::JoinHandle;

use crate::board::Board;
use crate::config::Settings;
use crate::forward::Forwarder;
use crate::links;
use crate::tcp::Tcp;
use crate::udp::Worker;

/// How long until an address that could not be had is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// Address changes come in bursts.
const SETTLE: Duration = Duration::from_millis(300);
/// Octets for questions that wait; as much as the kernel gives without being told otherwise.
const QUEUE: usize = 1 << 20;

/// How it stands with one address.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Listen {
    /// The address, with the port.
    pub address: String,
    /// `listening`, `taken` or `failed`.
    pub state: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The listening side of the service.
pub struct Listener {
    root: Root,
    board: Arc<Board>,
    forwarder: Arc<Forwarder>,
    tcp: Arc<Tcp>,
    workers: Arc<Vec<Worker>>,
    bound: BTreeMap<SocketAddr, JoinHandle<()>>,
    report: Report,
}

/// The state of all addresses, shared with the bus.
#[derive(Clone, Debug, Default)]
pub struct Report(Arc<Mutex<Vec<Listen>>>);

impl Report {
    /// The present state.
    pub fn get(&self) -> Vec<Listen> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, new: Vec<Listen>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl Listener {
    /// Nothing is bound yet.
    pub fn new(
        root: &Root,
        board: &Arc<Board>,
        forwarder: &Arc<Forwarder>,
        tcp: &Arc<Tcp>,
        workers: Arc<Vec<Worker>>,
    ) -> Self {
        Self {
            root: root.clone(),
            board: board.clone(),
            forwarder: forwarder.clone(),
            tcp: tcp.clone(),
            workers,
            bound: BTreeMap::new(),
            report: Report::default(),
        }
    }

    /// The state of the addresses.
    pub fn report(&self) -> Report {
        self.report.clone()
    }

    /// Binds what should be bound and is not, lets go of the rest. Gives the addresses that
    /// other boxes can reach, and whether one is missing.
    pub fn bind(&mut self, settings: &Settings) -> (Vec<IpAddr>, bool) {
        let addresses = links::addresses().unwrap_or_else(|e| {
            log::warn!("cannot list the addresses of this box: {e}; going on with loopback only");
            Vec::new()
        });
        let mut networks = links::networks(&addresses);
        networks.extend(&settings.allow);
        let zones = settings.zones.keys().cloned().collect();
        let limit = settings.limit.clone();
        let policy = crate::board::Policy {
            networks,
            zones,
            limit,
        };
        if *self.board.get().policy != policy {
            self.board
                .change(|snapshot| snapshot.policy = Arc::new(policy));
        }
        let wanted: Vec<IpAddr> = if settings.listen.is_empty() {
            let loopback = [
                IpAddr::from(Ipv4Addr::LOCALHOST),
                IpAddr::from(Ipv6Addr::LOCALHOST),
            ];
            loopback
                .into_iter()
                .chain(addresses.iter().map(|a| a.ip))
                .collect()
        } else {
            settings.listen.clone()
        };
        let wanted: Vec<SocketAddr> = wanted
            .into_iter()
            .map(|ip| SocketAddr::new(ip, settings.port))
            .collect();
        let gone: Vec<_> = self
            .bound
            .keys()
            .filter(|a| !wanted.contains(a))
            .copied()
            .collect();
        for address in gone {
            self.release(address);
        }
        let before = self.report.get();
        let mut report = Vec::new();
        for address in wanted {
            let stands = if self.bound.contains_key(&address) {
                Ok(())
            } else {
                self.take(address)
            };
            // A box without IPv6 has no ::1, and nobody misses it.
            let absent = |e: &io::Error| {
                e.kind() == io::ErrorKind::AddrNotAvailable
                    || e.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
            };
            match &stands {
                Err(e) if absent(e) && settings.listen.is_empty() => continue,
                _ => report.push(self.stand(address, stands.err())),
            }
        }
        for listen in report.iter().filter(|new| !before.contains(new)) {
            match &listen.reason {
                None => log::info!("listening on {}", listen.address),
                Some(reason) => log::warn!(
                    "cannot listen on {}: {reason}; going on without it, trying again",
                    listen.address
                ),
            }
        }
        let missing = report.iter().any(|listen| listen.state != "listening");
        self.report.set(report);
        self.forwarder.own(self.bound.keys().copied().collect());
        let own = self
            .bound
            .keys()
            .map(SocketAddr::ip)
            .filter(|ip| !ip.is_loopback());
        (own.collect(), missing)
    }

    fn stand(&self, address: SocketAddr, error: Option<io::Error>) -> Listen {
        let (state, reason) = match error {
            None => ("listening", None),
            Some(e) if e.kind() == io::ErrorKind::AddrInUse => {
                let holder = links::holder(&self.root, address);
                let holder = holder.unwrap_or_else(|| "another program".to_owned());
                (
                    "taken",
                    Some(format!("port {} is taken by {holder}", address.port())),
                )
            }
            Some(e) => ("failed", Some(e.to_string())),
        };
        let address = address.to_string();
        Listen {
            address,
            state,
            reason,
        }
    }

    /// Binds one socket for each worker and one for TCP, all or none.
    fn take(&mut self, address: SocketAddr) -> io::Result<()> {
        let tcp = socket(address, Type::STREAM)?;
        tcp.set_reuse_address(true)?;
        tcp.bind(&address.into())?;
        // Without REUSEPORT first: two services of one user would share the questions.
        let probe = socket(address, Type::DGRAM)?;
        probe.bind(&address.into())?;
        drop(probe);
        let mut sockets = Vec::new();
        for _ in self.workers.iter() {
            let udp = socket(address, Type::DGRAM)?;
            udp.set_reuse_port(true)?;
            udp.bind(&address.into())?;
            // The kernel gives what it allows.
            let _ = udp.set_recv_buffer_size(QUEUE);
            sockets.push(Arc::new(UdpSocket::from(udp)));
        }
        tcp.listen(64)?;
        let listener = tokio::net::TcpListener::from_std(tcp.into())?;
        let task = tokio::spawn(self.tcp.clone().listen(listener));
        for (worker, socket) in self.workers.iter().zip(sockets) {
            worker.attach(socket, address);
        }
        self.bound.insert(address, task);
        Ok(())
    }

    fn release(&mut self, address: SocketAddr) {
        if let Some(task) = self.bound.remove(&address) {
            task.abort();
            for worker in self.workers.iter() {
                worker.detach(address);
            }
            log::info!("no longer listening on {address}");
        }
    }

    /// Follows addresses and settings for ever; says which addresses others can reach.
    pub async fn follow(
        mut self,
        mut settings: tokio::sync::watch::Receiver<Settings>,
        tell: impl Fn(Vec<IpAddr>),
        mut missing: bool,
    ) {
        let watch = links::Watch::start();
        if let Err(e) = &watch {
            log::warn!("cannot watch addresses: {e}; looking only at reload");
        }
        loop {
            let changed = async {
                match &watch {
                    Ok(watch) => {
                        watch.changed().await;
                        tokio::time::sleep(SETTLE).await;
                    }
                    Err(_) => std::future::pending().await,
                }
            };
            let retry = async {
                if missing {
                    tokio::time::sleep(RETRY).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = changed => {}
                () = retry => {}
                new = settings.changed() => if new.is_err() { return },
            }
            let now = settings.borrow_and_update().clone();
            let (own, still) = self.bind(&now);
            missing = still;
            tell(own);
        }
    }
}

fn socket(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM {
        Protocol::TCP
    } else {
        Protocol::UDP
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
