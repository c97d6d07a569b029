//! Rights, and the file.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;

use guifi_bus::Failure;
use guifi_core::Root;

use super::*;
use crate::board::Board;
use crate::encode::rtype::{A, AAAA, TXT};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap().lower()
}

fn new(name: &str) -> New {
    New {
        name: name.into(),
        algorithm: "hmac-sha256".into(),
        ..New::default()
    }
}

#[test]
fn a_grant_says_which_names_and_types() {
    let allows = |text: &str, at: &str, rtype| {
        let grant: Grant = text.parse().unwrap();
        assert_eq!(grant.to_string(), text);
        assert_eq!(grant.zone(), &name("vall.example"));
        grant.allows(&name(at), rtype)
    };
    for (grant, at, rtype, expected) in [
        ("Vall.example", "vall.example", A, true),
        ("vall.example:*", "a.b.vall.example", TXT, true),
        ("vall.example:host", "host.vall.example", A, true),
        (
            "vall.example:host.vall.example.",
            "host.vall.example",
            A,
            true,
        ),
        ("vall.example:host", "a.host.vall.example", A, false),
        ("vall.example:HOST", "other.vall.example", A, false),
        ("vall.example:*.dhcp", "dhcp.vall.example", A, false),
        ("vall.example:*.dhcp", "a.b.dhcp.vall.example", A, true),
        ("vall.example:*.dhcp", "xdhcp.vall.example", A, false),
        ("vall.example:@:TXT", "vall.example", TXT, true),
        ("vall.example:*:A,aaaa", "x.vall.example", AAAA, true),
        ("vall.example:*:A,AAAA", "x.vall.example", TXT, false),
        ("vall.example:*:TYPE16", "x.vall.example", TXT, true),
    ] {
        assert_eq!(allows(grant, at, rtype), expected, "{grant} {at} {rtype}");
    }
    for wrong in [
        "",
        ".",
        "a..b",
        "a:",
        "a:x.b.",
        "a:*:",
        "a:*:NONE-SUCH",
        "a:*:ANY",
        "a:b:A:d",
    ] {
        assert!(wrong.parse::<Grant>().is_err(), "{wrong}");
    }
}

#[test]
fn keys_are_made_kept_and_revoked_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (root, board) = (Root::new(directory.path()), Arc::new(Board::default()));
    std::fs::create_dir_all(root.join("/var/lib/guifi/dnsd")).unwrap();
    let keyring = Keyring::open(&root, &board);
    let dhcp = New {
        update: vec!["vall.example:*.dhcp:A".into()],
        transfer: vec!["vall.example".into()],
        ..new("DHCP.")
    };
    let made = keyring.add(dhcp.clone()).unwrap();
    assert_eq!(keyring.show("dhcp").unwrap(), made);
    assert!(matches!(keyring.add(dhcp), Err(Failure::Taken(_))));
    let listed = keyring.list().unwrap();
    assert_eq!(listed[0]["name"], "dhcp");
    assert_eq!(listed[0].get("secret"), None);
    let mode = std::fs::metadata(root.join("/var/lib/guifi/dnsd/keys.json")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    // As after a restart.
    let again = Arc::new(Board::default());
    Keyring::open(&root, &again);
    for board in [&board, &again] {
        let keys = board.get().keys.clone();
        let entry = keys.get(&name("dhcp")).unwrap();
        let zone = name("vall.example");
        assert!(entry.updates(&zone) && keys.transfers(&name("dhcp"), &zone));
        assert!(entry.allows(&zone, &name("a.dhcp.vall.example"), A));
        assert!(!entry.allows(&name("example"), &name("a.dhcp.vall.example"), A));
    }
    keyring.revoke("dhcp").unwrap();
    assert!(board.get().keys.get(&name("dhcp")).is_none());
    assert!(matches!(keyring.revoke("dhcp"), Err(Failure::NotFound(_))));
    assert!(matches!(keyring.show("dhcp"), Err(Failure::NotFound(_))));
}

#[test]
fn what_is_no_key_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (root, board) = (Root::new(directory.path()), Arc::new(Board::default()));
    let file = root.join("/var/lib/guifi/dnsd/keys.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let keyring = Keyring::open(&root, &board);
    for (wrong, word) in [
        (new(""), "name of a key"),
        (
            New {
                algorithm: "hmac-md5".into(),
                ..new("k")
            },
            "hmac-sha256",
        ),
        (
            New {
                secret: "c2hvcnQ=".into(),
                ..new("k")
            },
            "16 to 512",
        ),
        (
            New {
                secret: "?".repeat(32),
                ..new("k")
            },
            "base64",
        ),
        (
            New {
                update: vec!["a:b:C:D".into()],
                ..new("k")
            },
            "ZONE",
        ),
        (
            New {
                transfer: vec![".".into()],
                ..new("k")
            },
            "zone",
        ),
    ] {
        let Err(Failure::Invalid(text)) = keyring.add(wrong) else {
            panic!("taken: {word}");
        };
        assert!(text.contains(word), "{text}");
    }
    assert!(!file.exists());
    std::fs::write(&file, "{ \"k\": 1 }").unwrap();
    assert!(matches!(keyring.add(new("k")), Err(Failure::Failed(_))));
    assert_eq!(std::fs::read(&file).unwrap(), b"{ \"k\": 1 }");
}
