//! The daemon as a program: options, configuration, signals, socket activation; and the manuals.

use crate::bed;

use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};

use bed::*;
use clap::CommandFactory as _;
use guifi_streams::{Client, ClientError, Reason};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};

fn with(configuration: &str, words: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("etc/guifi")).unwrap();
    fs::write(dir.path().join("etc/guifi/peerd.toml"), configuration).unwrap();
    Command::new(env!("CARGO_BIN_EXE_guifi-peerd"))
        .args(words)
        .env("GUIFI_ROOT", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_wrong_configuration_is_named_and_ends_with_78() {
    let output = with("port = 7656\nprot = 1\n", &[]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("peerd.toml: line 2"), "{said}");
    assert_eq!(with("port = 1", &["--check"]).status.code(), Some(0));
    assert_eq!(with("port = 0", &["--check"]).status.code(), Some(78));
    assert_eq!(with("", &["--nonsense"]).status.code(), Some(2));
}

#[test]
fn a_reload_changes_rights_and_keeps_the_old_ones_if_it_is_wrong() {
    let place = Box::with("[protocol.kv]\nusers = []\n", &[], &[]);
    let path = place.dir.path().join("etc/guifi/peerd.toml");
    let key = place.client().own_key();
    fs::write(&path, "nonsense").unwrap();
    place.signal("HUP");
    let port = free_port();
    fs::write(&path, format!("port = {port}\n")).unwrap();
    place.signal("HUP");
    // The port of the new configuration is used once the box joins.
    until("the new port", SOON, || {
        let client = place.client();
        client.configure(&community(vec![])).unwrap();
        let address = format!("127.0.0.1:{port}");
        let found = client.who(&address, SOON).ok().map(|w| w.key);
        client.configure(&Default::default()).unwrap();
        found.filter(|found| *found == key)
    });
}

#[test]
fn a_second_daemon_does_not_take_the_socket_of_the_first() {
    let place = Box::new();
    let output = Command::new(env!("CARGO_BIN_EXE_guifi-peerd"))
        .env("GUIFI_ROOT", place.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    place.client();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let place = Box::new();
    let _taken = std::net::UdpSocket::bind(("0.0.0.0", place.port)).unwrap();
    match place.client().configure(&community(vec![])) {
        Err(ClientError::Refused(Reason::Failed, text)) => {
            let wanted = format!("cannot use UDP port {}", place.port);
            assert!(text.contains(&wanted), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_socket_of_the_service_manager_is_used_and_may_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("activated.sock");
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&socket, 8).unwrap();
    // Connecting works before the daemon runs.
    let connect = move || Client::connect(&path).unwrap();
    let early = std::thread::spawn(connect.clone());
    // Reloading a unit has the service manager do this.
    let reload = move |socket: &OwnedFd| rustix::io::ioctl_fionbio(socket, false).unwrap();
    let shared = socket.try_clone().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_guifi-peerd"))
        .env("GUIFI_ROOT", dir.path())
        .env("GUIFI_LOG", "error")
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .stdin(Stdio::from(socket))
        .spawn()
        .unwrap();
    let early = early.join().unwrap();
    reload(&shared);
    let late = connect();
    for client in [early, late] {
        let nobody = client.who("127.0.0.1:1", SOON);
        assert!(
            matches!(nobody, Err(ClientError::Refused(Reason::Unreachable, _))),
            "{nobody:?}"
        );
    }
    assert!(!dir.path().join("run/guifi/peerd.sock").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_manuals_name_everything_and_nothing_else() {
    let none: Vec<String> = Vec::new();
    let page = guifi_testing::page;
    let daemon = guifi_peerd::cli::Cli::command();
    let command = guifi_peerd::command::Cli::command();
    let faults = guifi_testing::command_faults(&page("guifi-peerd.8"), &daemon);
    assert_eq!(faults, none);
    let faults = guifi_testing::command_faults(&page("guifi-peer.1"), &command);
    assert_eq!(faults, none);
    let keys = [
        "port",
        "relay",
        "relay_port",
        "relay_mbit",
        "announce",
        "max_streams",
        "protocol.NAME.users",
        "protocol.NAME.activate",
    ];
    let faults = guifi_testing::key_faults(&page("guifi-peerd.toml.5"), keys);
    assert_eq!(faults, none);
    let contract = guifi_testing::interface("net.guifi.Peer1");
    let faults = guifi_testing::member_faults(&page("net.guifi.Peer1.5"), &contract);
    assert_eq!(faults, none);
}
