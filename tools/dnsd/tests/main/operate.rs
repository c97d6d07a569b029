//! What an administrator sees of the running daemon.

use crate::common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use common::{Bus, Daemon, SOON, Upstream, until};
use hickory_proto::rr::RecordType;
use serde_json::Value;

#[test]
fn questions_are_shown_to_who_asks_for_them() {
    let bus = Bus::new();
    let daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let mut reading = daemon
        .command(env!("CARGO_BIN_EXE_guifi-dns"))
        .args([
            "log",
            "--json",
            "--for",
            "1m",
            "--name",
            "localhost",
            "--client",
            "127.0.0.0/8",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(reading.stdout.take().unwrap()).lines();
    let (shown, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines {
            let _ = shown.send(line.unwrap());
        }
    });
    let line = until("a question is shown", || {
        daemon.ask("10.in-addr.arpa", RecordType::SOA).unwrap();
        daemon.ask_tcp(&[("x.LocalHost", RecordType::AAAA)]);
        seen.try_recv().ok()
    });
    let question: Value = serde_json::from_str(&line).unwrap();
    for (key, value) in [
        ("client", "127.0.0.1"),
        ("name", "x.localhost."),
        ("type", "AAAA"),
        ("transport", "tcp"),
        ("outcome", "answer"),
    ] {
        assert_eq!(question[key], value, "{line}");
    }
    reading.kill().unwrap();
    reading.wait().unwrap();
    daemon.ask("localhost", RecordType::A).unwrap();
    // It ends by itself as well.
    let output = daemon.dns(&["log", "--for", "1s"]);
    assert!(output.status.success(), "{output:?}");
    let output = daemon.dns(&["log", "--client", "x"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("'x' is not a network"));
}

/// Sends octets to the socket of the metrics and takes what comes back.
fn metrics(daemon: &Daemon, request: &[u8]) -> String {
    let path = daemon.directory.path().join("run/guifi/dnsd/metrics.sock");
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let _ = stream.write_all(request); // it may be closed before the end
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn numbers_are_told_to_people_and_to_prometheus() {
    let bus = Bus::new();
    let upstream = Upstream::start();
    let text = format!(
        "listen = ['127.0.0.1']\n[upstream]\nservers = ['{}']\n",
        upstream.address
    );
    let daemon = Daemon::start(&bus, &text);
    for _ in 0..3 {
        daemon.ask("www.example.", RecordType::A).unwrap();
    }
    daemon.ask_tcp(&[("localhost", RecordType::AAAA)]);
    let output = daemon.dns(&["stats", "--json"]);
    let stats: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(stats["transports"], serde_json::json!({"udp": 3, "tcp": 1}));
    assert_eq!(
        (&stats["types"]["a"], &stats["types"]["aaaa"]),
        (&3.into(), &1.into())
    );
    assert_eq!(stats["cache"]["hits"], 2);
    assert_eq!(stats["upstreams"][0]["answers"], 1);
    assert!(stats["memory_bytes"].as_u64() > Some(1 << 20));
    let people = String::from_utf8(daemon.dns(&["stats"]).stdout).unwrap();
    assert!(people.contains("types      3 A, 1 AAAA\n"), "{people}");

    let page = metrics(&daemon, GET);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    for line in [
        "guifi_dnsd_queries_total{transport=\"udp\"} 3",
        "guifi_dnsd_questions_total{type=\"A\"} 3",
        "guifi_dnsd_outcomes_total{outcome=\"forwarded\"} 3",
        "guifi_dnsd_lookups_total{from=\"cache\"} 2",
        &format!(
            "guifi_dnsd_upstream_up{{server=\"{}\"}} 1",
            upstream.address
        ),
    ] {
        assert!(
            page.contains(&format!("\n{line}\n")),
            "{line} is not in {page}"
        );
    }
    let body = page.split_once("\r\n\r\n").unwrap().1;
    sound(body);

    let flushed = daemon.dns(&["flush", "example"]);
    assert!(flushed.status.success(), "{flushed:?}");
    assert_eq!(daemon.describe()["cache"]["entries"], 0);
    assert_eq!(daemon.dns(&["flush", "a..b"]).status.code(), Some(2));
}

/// Whether a page keeps to the format: each family is declared once before its values, counters
/// end in `_total`, and all values are numbers.
fn sound(page: &str) {
    let mut declared = Vec::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(!declared.contains(&name), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            declared.push(name);
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap();
            assert_eq!(declared.last(), Some(&name), "{line}");
            value.parse::<f64>().unwrap();
        }
    }
}

#[test]
fn garbage_on_the_socket_of_the_metrics_harms_nobody() {
    let bus = Bus::new();
    let mut daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let many = [
        b"GET /metrics HTTP/1.1\r\nX: ".to_vec(),
        vec![b'x'; 100_000],
    ]
    .concat();
    let post = b"POST /metrics HTTP/1.1\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde";
    let other = b"GET /../etc/passwd HTTP/1.1\r\nConnection: close\r\n\r\n";
    for (request, code) in [
        (&many[..], "431"),
        (post, "405"),
        (other, "404"),
        (b"\0\xff\r\n\r\n", "400"),
    ] {
        let answer = metrics(&daemon, request);
        let begin = format!("HTTP/1.1 {code} ");
        assert!(answer.is_empty() || answer.starts_with(&begin), "{answer}");
    }
    // Those who say nothing take no more than their few places.
    let path = daemon.directory.path().join("run/guifi/dnsd/metrics.sock");
    let silent: Vec<_> = (0..20)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    daemon.ask("localhost", RecordType::A).unwrap();
    drop(silent);
    until("there is a place again", || {
        metrics(&daemon, GET).contains("200 OK").then_some(())
    });
    // What a killed daemon leaves behind is replaced.
    daemon.stop("KILL");
    daemon.run();
    assert!(metrics(&daemon, GET).contains("200 OK"));
}
