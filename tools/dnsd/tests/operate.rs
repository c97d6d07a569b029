//! What an administrator sees of the running daemon.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use common::{Bus, Daemon, until};
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
