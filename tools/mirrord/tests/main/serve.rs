//! The server, spoken to as APT does, and as others might.

use crate::repository;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use repository::{SOON, make, package, path, serve};

/// Sends these words and reads to the end.
fn ask(server: SocketAddr, words: &str) -> String {
    let mut socket = TcpStream::connect(server).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.write_all(words.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn get(server: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    let answer = ask(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"),
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        head.to_ascii_lowercase(),
        body.to_owned(),
    )
}

fn shop() -> (tempfile::TempDir, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    make("one", &["a", "b"], dir.path());
    std::fs::write(dir.path().join("dists/.hidden"), "secret").unwrap();
    let server = serve(dir.path(), [8, 8], SOON);
    (dir, server)
}

#[test]
fn files_come_whole_in_ranges_and_only_if_newer() {
    let (_dir, server) = shop();
    let url = format!("/{}", path("a").replace('+', "%2b"));
    let (status, head, body) = get(server, &url, "");
    assert_eq!((status, body), (200, package("a")));
    let date = head
        .split("last-modified: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let (status, head, body) = get(
        server,
        &url,
        &format!("Range: bytes=10-\r\nIf-Range: {date}\r\n"),
    );
    assert_eq!((status, body.as_str()), (206, &package("a")[10..]));
    let size = package("a").len();
    assert!(
        head.contains(&format!("content-range: bytes 10-{}/{size}", size - 1)),
        "{head}"
    );
    assert_eq!(
        get(server, &url, &format!("Range: bytes={size}-\r\n")).0,
        416
    );
    let (status, _, body) = get(server, &url, &format!("If-Modified-Since: {date}\r\n"));
    assert_eq!((status, body.as_str()), (304, ""));
    let head = ask(
        server,
        &format!("HEAD {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    );
    assert!(
        head.to_ascii_lowercase()
            .contains(&format!("content-length: {size}")),
        "{head}"
    );
    assert!(head.ends_with("\r\n\r\n"));
}

#[test]
fn requests_that_are_sent_together_are_answered_in_order() {
    let (_dir, server) = shop();
    let one = |name: &str, more: &str| {
        format!(
            "GET /{} HTTP/1.1\r\nHost: x\r\n{more}\r\n",
            path(name).replace('+', "%2b")
        )
    };
    let answer = ask(server, &(one("a", "") + &one("b", "Connection: close\r\n")));
    let (a, b) = (
        answer.find("a line 1\n").unwrap(),
        answer.find("b line 4000\n").unwrap(),
    );
    assert!(a < b);
}

#[test]
fn nothing_else_is_served() {
    let (_dir, server) = shop();
    for path in [
        "/",
        "/dists",
        "/dists/guifi",
        "/dists/.hidden",
        "/../etc/passwd",
        "/dists/../pool/x",
        "/dists/%2e%2e/%2e%2e/etc/passwd",
        "/dists//guifi/InRelease",
        "/partial/x",
        "/nothing",
        "/pool/%00",
    ] {
        assert_eq!(get(server, path, "").0, 404, "{path}");
    }
    assert_eq!(get(server, "/dists/guifi/InRelease", "").0, 200);
    // The keys are no text.
    let head = ask(
        server,
        "HEAD /guifi-archive-keyring.gpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let put = ask(
        server,
        "PUT /pool/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(put.starts_with("HTTP/1.1 405"), "{put}");
    let noise = ask(server, "\x16\x03\x01 no HTTP\r\n\r\n");
    assert!(
        noise.is_empty() || noise.starts_with("HTTP/1.1 400"),
        "{noise}"
    );
    assert_eq!(get(server, "/dists/guifi/InRelease", "").0, 200);
}

/// Whether the server ends this connection without a word.
fn is_closed(mut socket: TcpStream) -> bool {
    socket.set_read_timeout(Some(SOON)).unwrap();
    match socket.read(&mut [0; 64]) {
        Ok(0) => true,
        Err(e) if e.kind() == ErrorKind::ConnectionReset => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connections_are_bounded_and_the_silent_ones_end() {
    let dir = tempfile::tempdir().unwrap();
    make("one", &["a"], dir.path());
    let server = serve(dir.path(), [8, 2], Duration::from_millis(700));
    let silent = [(); 2].map(|()| TcpStream::connect(server).unwrap());
    assert!(
        is_closed(TcpStream::connect(server).unwrap()),
        "a third of one address"
    );
    for mut socket in silent {
        socket.set_read_timeout(Some(SOON)).unwrap();
        // Closed, perhaps with a word about the time that is over.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    assert_eq!(
        get(server, "/dists/guifi/InRelease", "").0,
        200,
        "places are given back"
    );
}

#[test]
fn who_reads_nothing_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    make("one", &[], dir.path());
    std::fs::write(dir.path().join("pool/large"), vec![b'x'; 64 << 20]).unwrap();
    let server = serve(dir.path(), [1, 1], Duration::from_millis(300));
    let mut lazy = TcpStream::connect(server).unwrap();
    lazy.write_all(b"GET /pool/large HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let end = std::time::Instant::now() + SOON;
    loop {
        let mut next = TcpStream::connect(server).unwrap();
        next.set_read_timeout(Some(SOON)).unwrap();
        let asked = next.write_all(
            b"GET /dists/guifi/InRelease HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        );
        let mut answer = Vec::new();
        if asked.is_ok()
            && next.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
        {
            break;
        }
        assert!(
            std::time::Instant::now() < end,
            "the lazy one still holds the only place"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
