//! The same streams between two endpoints of the library itself, each in a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use guifi_peerd::{header, transport};
use iroh::endpoint::{Connection, PortmapperConfig, RecvStream, SendStream, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId};

use super::bed::mad;
use super::drive::*;

async fn endpoint() -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .alpns(vec![header::ALPN.to_vec()])
        .transport_config(transport::config())
        .portmapper_config(PortmapperConfig::Disabled)
        .clear_ip_transports()
        .bind_addr((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .bind()
        .await
        .unwrap()
}

/// Serves until it is killed.
pub(crate) fn serve() {
    mad::runtime().block_on(async {
        let endpoint = endpoint().await;
        let port = endpoint.bound_sockets()[0].port();
        let key: String = endpoint
            .id()
            .as_bytes()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        println!("{key} {port}");
        while let Some(incoming) = endpoint.accept().await {
            let connection = incoming.await.unwrap();
            transport::widen(&connection);
            tokio::spawn(async move {
                while let Ok((send, recv)) = connection.accept_bi().await {
                    tokio::spawn(answer(send, recv));
                }
            });
        }
    });
}

async fn answer(mut send: SendStream, mut recv: RecvStream) {
    let mut kind = [0];
    recv.read_exact(&mut kind).await.unwrap();
    let mut buffer = vec![0; 64 << 10];
    let mut taken = 0u64;
    while let Ok(Some(length)) = recv.read(&mut buffer).await {
        taken += length as u64;
        if kind == [ECHO] {
            send.write_all(&buffer[..length]).await.unwrap();
        }
    }
    if kind == [SINK] {
        send.write_all(&taken.to_be_bytes()).await.unwrap();
    }
    let _ = send.finish();
}

/// Measures a phase.
pub(crate) fn drive(phase: Phase, key: &str, port: u16) -> Figures {
    let bytes: Vec<u8> = (0..32)
        .map(|i| u8::from_str_radix(&key[i * 2..i * 2 + 2], 16).unwrap())
        .collect();
    let id = EndpointId::try_from(&bytes[..]).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    mad::runtime().block_on(async {
        let endpoint = endpoint().await;
        let target = EndpointAddr::new(id).with_ip_addr(address);
        let connection = endpoint.connect(target, header::ALPN).await.unwrap();
        transport::widen(&connection);
        small(&connection).await;
        let (begin, cpu) = (Instant::now(), own_cpu());
        let mut each = Vec::new();
        match phase {
            Phase::Bulk => bulk(open(&connection, SINK).await).await,
            Phase::Trip => {
                let mut stream = open(&connection, ECHO).await;
                for _ in 0..TRIPS {
                    each.push(trip(&mut stream).await);
                }
            }
            Phase::Serial => {
                for _ in 0..SERIAL {
                    each.push(small(&connection).await);
                }
            }
            Phase::Parallel => {
                let share = || async {
                    let mut each = Vec::new();
                    for _ in 0..PARALLEL / AT_ONCE {
                        each.push(small(&connection).await);
                    }
                    each
                };
                let all = join_all((0..AT_ONCE).map(|_| share())).await;
                each = all.into_iter().flatten().collect();
            }
        }
        Figures::since(begin, cpu, each)
    })
}

async fn open(connection: &Connection, kind: u8) -> (SendStream, RecvStream) {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(&[kind]).await.unwrap();
    (send, recv)
}

async fn bulk((mut send, mut recv): (SendStream, RecvStream)) {
    let block = vec![5; BLOCK];
    for _ in 0..BULK / BLOCK as u64 {
        send.write_all(&block).await.unwrap();
    }
    send.finish().unwrap();
    let mut taken = [0; 8];
    recv.read_exact(&mut taken).await.unwrap();
    assert_eq!(u64::from_be_bytes(taken), BULK);
}

async fn trip((send, recv): &mut (SendStream, RecvStream)) -> Duration {
    let begin = Instant::now();
    let mut bytes = [1; SMALL];
    send.write_all(&bytes).await.unwrap();
    recv.read_exact(&mut bytes).await.unwrap();
    begin.elapsed()
}

async fn small(connection: &Connection) -> Duration {
    let begin = Instant::now();
    let mut stream = open(connection, ECHO).await;
    trip(&mut stream).await;
    stream.0.finish().unwrap();
    begin.elapsed()
}
