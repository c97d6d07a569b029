//! What a member's small streams are like while another member floods the same box.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use guifi_streams::Client;
use iroh::SecretKey;
use iroh::endpoint::Connection;

use super::bed::{Box, mad};
use super::drive::{Phase, SERIAL, SINK};
use super::{PROTOCOL, Pair};

/// Where the mad one is.
const THERE: [u8; 4] = [127, 0, 0, 2];

/// What it does, until told to stop.
#[derive(Clone, Copy)]
enum Flood {
    Nothing,
    Streams,
    Headers,
    Bytes,
    Unread,
    Dials,
}

pub(crate) fn table(pair: &Pair<'_>, b: &Box, cb: &Client, secret: &SecretKey) {
    let _holder = cb.listen("hold", 1024).unwrap();
    println!(
        "{:<44}{:>10}{:>12}{:>9}",
        "small streams one at a time while another", "1/s", "median us", "99 % us"
    );
    for (what, flood) in [
        ("does nothing", Flood::Nothing),
        ("opens and closes streams, 32 at once", Flood::Streams),
        ("leaves headers unfinished, 1,000 streams", Flood::Headers),
        ("sends all it can, and it is read", Flood::Bytes),
        ("sends all it can to who does not read", Flood::Unread),
        ("connects again and again", Flood::Dials),
    ] {
        let over = AtomicBool::new(false);
        let figures = std::thread::scope(|scope| {
            scope.spawn(|| {
                mad::runtime().block_on(async {
                    while !over.load(Ordering::Relaxed) {
                        let connected = mad::connect_as(secret.clone(), THERE, b, cb).await;
                        let Ok((_endpoint, connection)) = connected else {
                            continue;
                        };
                        run(flood, &connection, &over).await;
                    }
                });
            });
            let figures = pair.run(Phase::Serial);
            over.store(true, Ordering::Relaxed);
            figures
        });
        println!(
            "{:<44}{:>10.0}{:>12.0}{:>9.0}",
            format!("  {what}"),
            SERIAL as f64 / figures.seconds,
            figures.median_us,
            figures.slow_us
        );
    }
}

/// Until it is over or the connection is.
async fn run(flood: Flood, connection: &Connection, over: &AtomicBool) {
    let on = || !over.load(Ordering::Relaxed) && connection.close_reason().is_none();
    let (count, protocol) = match flood {
        Flood::Nothing => (0, PROTOCOL),
        Flood::Dials => return,
        Flood::Streams | Flood::Bytes => (32, PROTOCOL),
        Flood::Headers => (1000, PROTOCOL),
        Flood::Unread => (100, "hold"),
    };
    let one = || async {
        while on() {
            let small = match flood {
                Flood::Headers => {
                    let Ok((mut send, mut recv)) = connection.open_bi().await else {
                        return;
                    };
                    let _ = send.write_all(&[1]).await;
                    let _ = recv.read_to_end(1).await;
                    continue;
                }
                Flood::Streams => true,
                _ => false,
            };
            let Ok((0, mut send, _recv)) = mad::open(connection, protocol).await else {
                continue;
            };
            let block = [SINK; 65536];
            while on() && !small && send.write_all(&block).await.is_ok() {}
        }
    };
    let all = join_all((0..count).map(|_| one()));
    let watch = async {
        while on() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = all, if count > 0 => {}
        () = watch => {}
    }
}
