//! Clients that want too much.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use guifi_tahoe::base32;
use guifi_tahoe::gbs::{ReadTestWrite, TestWrite, Write};

use crate::client::{SI, lease, upload};
use crate::place::{Place, SOON};

#[test]
fn the_quota_holds_also_for_uploads_that_run_at_once() {
    let place = Place::new("space = 1000000");
    let done: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8_u8)
            .map(|n| {
                let mut client = place.client();
                scope.spawn(move || {
                    let index = base32::encode(&[n; 16]);
                    let bytes = vec![n; 50_000];
                    let allocated = client.allocate(&index, &[0, 1, 2, 3], 50_000).allocated;
                    for number in &allocated {
                        assert_eq!(client.patch(&index, *number, 0, &bytes).unwrap().code, 201);
                    }
                    allocated.len()
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    // 50,000 bytes take 14 blocks of 4 KiB.
    assert_eq!(done, 1_000_000 / (14 * 4096));
    let mut client = place.client();
    let mut wish = ReadTestWrite::default();
    let vector = TestWrite {
        writes: vec![Write {
            offset: 900_000,
            data: vec![0],
        }],
        ..TestWrite::default()
    };
    wish.vectors.insert(0, vector);
    assert_eq!(client.change(SI, "e", &wish).unwrap(), Err(507));
    let files = std::process::Command::new("du")
        .args(["-s", "-B1"])
        .arg(place.state().join("shares"))
        .output()
        .unwrap();
    let text = String::from_utf8(files.stdout).unwrap();
    let taken: u64 = text.split('\t').next().unwrap().parse().unwrap();
    assert!(taken <= 1_000_000 + 100_000, "{taken}");
}

#[test]
fn a_change_may_be_as_long_as_a_large_share_and_no_longer() {
    let place = Place::new("");
    let mut client = place.client();
    let mut change = |length: usize| {
        let mut wish = ReadTestWrite::default();
        let vector = TestWrite {
            writes: vec![Write {
                offset: 0,
                data: vec![5; length],
            }],
            ..TestWrite::default()
        };
        wish.vectors.insert(0, vector);
        client.change(SI, "e", &wish)
    };
    assert!(change(36 << 20).unwrap().unwrap().success);
    // Refused before it is sent; whether the client reads that is its own affair.
    assert!(matches!(change(49 << 20), Err(_) | Ok(Err(413))));
    assert!(change(1).unwrap().unwrap().success);
    let answer = place
        .client()
        .get(&format!("/storage/v1/mutable/{SI}/0"), "");
    assert_eq!(answer.body.len(), 36 << 20);
}

#[test]
fn what_is_reserved_stays_free() {
    let place = Place::new("space = '100%'\nreserved = '1000T'");
    assert!(place.client().allocate(SI, &[0], 1).allocated.is_empty());
}

#[test]
fn thousands_of_half_open_uploads_stay_within_their_limits() {
    let place =
        Place::new("[limits]\nuploads = 1000\nuploads_per_account = 800\nuploads_per_client = 800");
    let mut client = place.client();
    let shares: Vec<u8> = (0..=255).collect();
    let mut count = 0;
    for n in 0..20 {
        let index = base32::encode(&[n; 16]);
        count += client.allocate(&index, &shares, 1000).allocated.len();
    }
    assert_eq!(count, 800);
    for number in 0..100 {
        let answer = client
            .patch(&base32::encode(&[0; 16]), number, 0, b"half")
            .unwrap();
        assert_eq!(answer.code, 200);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", place.pid())).unwrap();
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", place.pid())).unwrap();
    assert!(descriptors.count() < 40, "{status}");
}

/// Says it aloud: a test that cannot run is no success.
fn skipped(why: &str) {
    let line = format!("the_disk_may_be_full is skipped: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

#[test]
fn the_disk_may_be_full() {
    let root = std::fs::read_to_string("/proc/self/status").unwrap();
    if !root.contains("\nUid:\t0\t") {
        return skipped("only root mounts a small disk");
    }
    let mut place = Place::on_bus(
        "unix:path=/nonexistent/bus",
        "standalone = true\nspace = '100%'\nreserved = 0",
    );
    let state = place.state();
    std::fs::create_dir_all(&state).unwrap();
    let mount = |words: &[&str]| {
        let done = std::process::Command::new(words[0])
            .args(&words[1..])
            .arg(&state)
            .output();
        done.unwrap().status.success()
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "small"]) {
        return skipped("no disk can be mounted here");
    }
    place.start();
    let mut client = place.client();
    // Others fill what was promised.
    assert_eq!(client.allocate(SI, &[0, 1], 600_000).allocated.len(), 2);
    let whole = client.patch(SI, 0, 0, &[7; 600_000]).unwrap();
    assert_eq!(whole.code, 201);
    std::fs::write(state.join("filler"), vec![0; 4 << 20]).unwrap_err();
    let full = client.patch(SI, 1, 0, &[7; 600_000]);
    assert!(full.is_err() || [507, 500].contains(&full.unwrap().code));
    let mut client = place.client();
    assert_eq!(client.get("/storage/v1/version", "").code, 200);
    let path = format!("/storage/v1/immutable/{SI}/0");
    assert_eq!(client.get(&path, "").body, [7; 600_000]);
    std::fs::remove_file(state.join("filler")).unwrap();
    let again = client.patch(SI, 1, 0, &[7; 600_000]).unwrap();
    assert!([201, 404].contains(&again.code), "{again:?}");
    place.kill();
    assert!(mount(&["umount"]));
}

#[test]
fn connections_are_bounded_and_the_silent_ones_end() {
    let place = Place::new("[limits]\nper_client = 3\nidle_seconds = 1");
    let mut silent: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(place.address()).unwrap())
        .collect();
    let mut fourth = TcpStream::connect(place.address()).unwrap();
    fourth.set_read_timeout(Some(SOON)).unwrap();
    assert!(matches!(fourth.read(&mut [0]), Ok(0) | Err(_)));
    for socket in &mut silent {
        // No TLS.
        let _ = socket.write_all(b"GET / HTTP/1.1\r\n\r\n");
    }
    let end = Instant::now() + SOON;
    while place
        .client()
        .try_ask("GET", "/storage/v1/version", "", b"")
        .is_err()
    {
        assert!(Instant::now() < end, "places are not given back");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // A body that does not come.
    let mut client = place.client();
    let head = format!(
        "POST /storage/v1/immutable/{SI} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{}{}Content-Length: 100\r\n\r\n",
        client.authorization,
        lease(),
        upload()
    );
    assert_eq!(client.raw(head.as_bytes()).unwrap().code, 408);
    // Half a share, and then nothing: the next one goes on.
    let mut client = place.client();
    client.allocate(SI, &[0], 8);
    let half = format!(
        "PATCH /storage/v1/immutable/{SI}/0 HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{}Content-Range: bytes 0-7/*\r\nContent-Length: 8\r\n\r\nhalf",
        client.authorization,
        upload()
    );
    assert_eq!(client.raw(half.as_bytes()).unwrap().code, 408);
    let mut client = place.client();
    assert_eq!(client.patch(SI, 0, 0, b"half and").unwrap().code, 201);
}
