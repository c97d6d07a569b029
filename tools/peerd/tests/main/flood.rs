//! One member, or stranger, takes all that it can get; another goes on as if nothing were.

use crate::bed;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bed::*;
use futures_util::future::join_all;
use guifi_streams::{Client, Key, Reason, Stream};
use guifi_testing::bus::Bus;
use iroh::SecretKey;
use iroh::endpoint::Connection;

/// Where the mad one is.
const THERE: [u8; 4] = [127, 0, 0, 2];

/// A box that is flooded, a member that is not to notice, and the key of a member gone mad.
struct Town {
    b: Box,
    cb: Client,
    bus: Bus,
    _a: Box,
    ca: Client,
    secret: SecretKey,
    over: Arc<AtomicBool>,
    served: Vec<JoinHandle<()>>,
}

impl Town {
    fn new(more: &str) -> Self {
        raise_own_limit();
        let bus = Bus::new();
        let b = Box::with(more, &[], &[("DBUS_SYSTEM_BUS_ADDRESS", &*bus.address())]);
        let a = Box::new();
        let (ca, cb) = (a.client(), b.client());
        let secret = SecretKey::generate();
        let members = community(vec![
            member(ca.own_key(), vec![a.address()]),
            member(cb.own_key(), vec![b.address()]),
            member(Key(*secret.public().as_bytes()), vec![]),
        ]);
        ca.configure(&members).unwrap();
        cb.configure(&members).unwrap();
        Self {
            b,
            cb,
            bus,
            _a: a,
            ca,
            secret,
            over: Arc::default(),
            served: Vec::new(),
        }
    }

    /// A program on the flooded box that sends back whatever comes on `sync`.
    fn echo(&mut self) {
        let listener = self.cb.listen("sync", 32).unwrap();
        let over = self.over.clone();
        self.served.push(std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let Ok(stream) = listener.accept_within(Duration::from_millis(100)) else {
                    continue;
                };
                std::thread::spawn(move || back(&stream));
            }
        }));
    }

    /// The streams of the member that is not to notice; how many there were when `flood` ended.
    fn goes_on<T>(&self, flood: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut streams = 0;
                while streams < 100 || !over.load(Ordering::Relaxed) {
                    self.small_stream();
                    streams += 1;
                }
            });
            let found = flood();
            over.store(true, Ordering::Relaxed);
            other.join().unwrap();
            found
        })
    }

    fn small_stream(&self) {
        let mut stream = self
            .ca
            .open(self.cb.own_key(), "sync", &[], SOON)
            .expect("the other member is refused");
        stream.write_all(&[5; 100]).unwrap();
        let mut answer = [0; 100];
        stream
            .read_exact(&mut answer)
            .expect("the other member's stream ended");
        assert_eq!(answer, [5; 100]);
    }

    fn counter(&self, name: &str) -> u64 {
        stats(&self.bus)["counters"][name].as_u64().unwrap()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for program in self.served.drain(..) {
            // It may be why the test fails.
            let _ = program.join();
        }
    }
}

fn back(stream: &Stream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = (&stream.socket).read(&mut buffer) {
        if (&stream.socket).write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

#[test]
fn a_member_that_opens_all_it_can_is_refused_and_another_is_not() {
    let mut town = Town::new("max_streams = 256");
    town.echo();
    let (runtime, secret) = (mad::runtime(), town.secret.clone());
    let ([taken, busy, reset, lost], open) = town.goes_on(|| {
        runtime.block_on(async {
            let (_endpoint, connection) = mad::connect_as(secret, THERE, &town.b, &town.cb)
                .await
                .unwrap();
            let answers = join_all((0..600).map(|_| mad::open(&connection, "sync"))).await;
            let mut found = [0; 4];
            let mut held = Vec::new();
            for answer in answers {
                match answer {
                    Ok((0, send, recv)) => {
                        found[0] += 1;
                        held.push((send, recv));
                    }
                    Ok((reason, ..)) => {
                        assert_eq!(reason, Reason::Busy.number());
                        found[1] += 1;
                    }
                    // The program's reset was faster than the answer.
                    Err(Some(guifi_streams::reset::BUSY)) => found[2] += 1,
                    Err(_) => found[3] += 1,
                }
            }
            (found, stats(&town.bus)["streams"].as_u64().unwrap())
        })
    });
    // Some are taken, and reset at once by a program that has others of it to take first.
    assert!(taken > 0 && busy > 0, "{taken} taken, {busy} refused");
    assert_eq!((taken + busy + reset, lost), (600, 0));
    // As many as are left for others, and what the other has not quite closed.
    assert!(open <= 128 + 32, "{open} open");
    assert!(town.counter("streams_refused") >= busy);
}

#[test]
fn headers_that_never_come_hold_up_their_own_connection_only() {
    let mut town = Town::new("");
    town.echo();
    let (runtime, secret) = (mad::runtime(), town.secret.clone());
    town.goes_on(|| {
        runtime.block_on(async {
            let (_endpoint, connection) = mad::connect_as(secret, THERE, &town.b, &town.cb)
                .await
                .unwrap();
            let mut held = Vec::new();
            for _ in 0..1000 {
                let (mut send, recv) = connection.open_bi().await.unwrap();
                send.write_all(&[1]).await.unwrap();
                held.push((send, recv));
            }
            let ended = held[0].1.read_to_end(16);
            let ended = tokio::time::timeout(SOON * 2, ended).await.unwrap();
            assert!(ended.is_err(), "{ended:?}");
        });
    });
}

#[test]
fn what_nobody_reads_is_bounded_and_closes_the_door_to_its_sender_only() {
    let mut town = Town::new("");
    town.echo();
    // A program that takes streams and reads none.
    let _holder = town.cb.listen("hold", 1024).unwrap();
    let before = town.b.private_kib();
    let (runtime, secret) = (mad::runtime(), town.secret.clone());
    let again = secret.clone();
    town.goes_on(|| {
        runtime.block_on(async {
            let (_endpoint, connection) = mad::connect_as(secret, THERE, &town.b, &town.cb)
                .await
                .unwrap();
            let mut streams = Vec::new();
            for _ in 0..200 {
                let (status, send, recv) = mad::open(&connection, "hold").await.unwrap();
                assert_eq!(status, 0);
                streams.push((send, recv));
            }
            let writers: Vec<_> = streams
                .into_iter()
                .map(|(mut send, recv)| {
                    tokio::spawn(async move {
                        let block = [7; 65536];
                        while send.write_all(&block).await.is_ok() {}
                        recv
                    })
                })
                .collect();
            // Its first connection is full, and nothing more goes through that one.
            let (_endpoint, second) = mad::connect_as(again, THERE, &town.b, &town.cb)
                .await
                .unwrap();
            let refused = async {
                loop {
                    if let Ok((reason @ 1.., ..)) = mad::open(&second, "hold").await {
                        return reason;
                    }
                }
            };
            let refused = tokio::time::timeout(SOON * 3, refused).await.unwrap();
            assert_eq!(refused, Reason::Busy.number());
            let grown = town.b.private_kib().saturating_sub(before);
            assert!(grown < 64 << 10, "{grown} KiB");
            for writer in writers {
                writer.abort();
            }
        });
    });
}

#[test]
fn a_member_that_dials_in_a_loop_is_refused_and_another_can_still_come() {
    let mut town = Town::new("");
    town.echo();
    let (runtime, secret) = (mad::runtime(), town.secret.clone());
    let (living, refused) = town.goes_on(|| {
        runtime.block_on(async {
            let mut endpoints = Vec::new();
            let mut made: Vec<Connection> = Vec::new();
            let mut refused = 0;
            for turn in 0..150 {
                // Each as if it were started anew.
                match mad::connect_as(secret.clone(), THERE, &town.b, &town.cb).await {
                    Ok((endpoint, connection)) => {
                        endpoints.push(endpoint);
                        made.push(connection);
                    }
                    Err(_) => refused += 1,
                }
                if turn == 100 {
                    let (_endpoint, connection) = stranger([127, 0, 0, 3], &town).await.unwrap();
                    assert!(mad::open(&connection, PING).await.is_ok());
                }
            }
            // What the box thinks of them comes a moment later.
            let settled = async {
                loop {
                    let living = made.iter().filter(|c| c.close_reason().is_none()).count();
                    if living <= 4 {
                        return living;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            (
                tokio::time::timeout(SOON, settled).await.unwrap(),
                refused + made.len(),
            )
        })
    });
    assert!((1..=4).contains(&living), "{living} of {refused}");
    assert!(town.counter("connections_refused") > 0);
}

/// A protocol that the daemon answers itself; to strangers it says no.
const PING: &str = "ping";

async fn stranger(at: [u8; 4], town: &Town) -> Result<(iroh::Endpoint, Connection), String> {
    mad::connect_as(SecretKey::generate(), at, &town.b, &town.cb).await
}

#[test]
fn strangers_of_one_address_leave_room_for_one_of_another_and_get_four_streams() {
    let town = Town::new("");
    let listener = town.cb.listen("join", 64).unwrap();
    mad::runtime().block_on(async {
        let mut here = Vec::new();
        for _ in 0..20 {
            if let Ok(found) = stranger(THERE, &town).await {
                here.push(found);
            }
        }
        let settled = async {
            loop {
                let living = here.iter().filter(|(_, c)| c.close_reason().is_none());
                if living.count() <= 4 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, settled).await.unwrap();
        let (_endpoint, connection) = stranger([127, 0, 0, 3], &town).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(mad::open(&connection, "join").await.unwrap());
        }
        assert!(streams.iter().all(|(status, ..)| *status == 0));
        let fifth = connection.open_bi();
        let patience = Duration::from_secs(1);
        assert!(tokio::time::timeout(patience, fifth).await.is_err());
    });
    drop(listener);
    assert!(town.counter("connections_refused") >= 16);
}

/// A connection to the relay from an address, and whether the relay keeps it.
async fn at_the_relay(at: [u8; 4], port: u16) -> (tokio::net::TcpStream, bool) {
    use tokio::io::AsyncReadExt as _;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((at, 0).into()).unwrap();
    let mut stream = socket.connect((LOCAL, port).into()).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0])).await;
    (stream, ended.is_err())
}

#[test]
fn strangers_that_say_nothing_to_the_relay_leave_room_for_others() {
    let town = Town::new("relay = true\n");
    let port = town.b.relay_port;
    mad::runtime().block_on(async {
        let many = join_all((0..100).map(|_| at_the_relay(THERE, port))).await;
        let kept = many.iter().filter(|(_, kept)| *kept).count();
        assert_eq!(kept, 16);
        assert!(at_the_relay([127, 0, 0, 3], port).await.1);
        // Who says nothing goes; then there is room again.
        let room = async { while !at_the_relay(THERE, port).await.1 {} };
        tokio::time::timeout(SOON * 3, room).await.unwrap();
    });
    assert!(town.counter("relay_refused") >= 84);
}

/// Whether a box with this key is let wait at the relay; what the relay says if not.
async fn waits_at_the_relay(secret: SecretKey, port: u16) -> Result<(), String> {
    use iroh::{Watcher as _, tls::CaTlsConfig};
    let url: iroh::RelayUrl = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let endpoint = iroh::Endpoint::builder(iroh::endpoint::presets::Minimal)
        .secret_key(secret)
        .relay_mode(iroh::RelayMode::Custom(url.into()))
        .ca_tls_config(CaTlsConfig::custom_server_cert_verifier(Arc::new(|_| {
            Ok(Arc::new(mad::Gullible) as _)
        })))
        .bind()
        .await
        .unwrap();
    let mut statuses = endpoint.home_relay_status();
    loop {
        for status in statuses.get() {
            if status.is_connected() {
                return Ok(());
            }
            if let Some(reason) = status.auth_denied_reason() {
                return Err(reason.to_string());
            }
        }
        tokio::time::timeout(SOON, statuses.updated())
            .await
            .expect("the relay says nothing")
            .unwrap();
    }
}

#[test]
fn the_relay_takes_members_and_no_strangers() {
    let town = Town::new("relay = true\n");
    let port = town.b.relay_port;
    mad::runtime().block_on(async {
        waits_at_the_relay(town.secret.clone(), port).await.unwrap();
        let no = waits_at_the_relay(SecretKey::generate(), port).await;
        assert_eq!(no.unwrap_err(), "not a member");
    });
}
