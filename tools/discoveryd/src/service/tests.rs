#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn service() -> Service {
    Service {
        name: "Fotos de l'àvia 📷 \"2026\". x".to_owned(),
        r#type: "_http._tcp".to_owned(),
        port: 8080,
        txt: vec!["path=/album".to_owned(), "flag".to_owned()],
        global: true,
        check: Check::Http("/album".to_owned()),
        host: None,
        heard: None,
    }
}

#[test]
fn names_are_what_people_write() {
    service().validate().unwrap();
}

#[test]
fn each_fault_is_named() {
    let fault = |change: &dyn Fn(&mut Service)| {
        let mut service = service();
        change(&mut service);
        service.validate().unwrap_err().to_string()
    };
    let host = |address: &str| {
        Some(Host {
            name: "printer".into(),
            addresses: vec![address.parse().unwrap()],
        })
    };
    for (text, why) in [
        (fault(&|s| s.name = String::new()), "empty"),
        (fault(&|s| s.name = "ñ".repeat(32)), "64 bytes"),
        (fault(&|s| s.name = "a\u{7}".into()), "control"),
        (fault(&|s| s.port = 0), "port"),
        (fault(&|s| s.txt = vec!["=x".into()]), "KEY=VALUE"),
        (fault(&|s| s.txt = vec!["ñ=x".into()]), "KEY=VALUE"),
        (
            fault(&|s| s.txt = vec![format!("a={}", "x".repeat(254))]),
            "256 bytes",
        ),
        (
            fault(&|s| s.txt = vec![format!("a={}", "x".repeat(250)); 6]),
            "1518 bytes",
        ),
        (fault(&|s| s.r#type = "_dns._udp".into()), "--check none"),
        (fault(&|s| s.host = host("fe80::1")), "other links"),
        (fault(&|s| s.host = host("169.254.3.4")), "other links"),
    ] {
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn types_follow_rfc_6335() {
    for good in ["_http._tcp", "_a1._udp", "_x-y-z._tcp", "_123a._tcp"] {
        check_type(good).unwrap();
    }
    for bad in [
        "",
        "http",
        "_http",
        "http._tcp",
        "_http._sctp",
        "_._tcp",
        "_1234._tcp",
        "_-a._tcp",
        "_a-._tcp",
        "_a--b._tcp",
        "_abcdefghijklmnop._tcp",
        "_a_b._tcp",
        "_http._tcp.local",
        "_ñ._tcp",
    ] {
        assert!(check_type(bad).is_err(), "{bad}");
    }
}

#[test]
fn checks_are_written_as_they_are_read() {
    for text in ["tcp", "none", "http:/", "http:/a?b=c"] {
        let check = Check::try_from(text.to_owned()).unwrap();
        assert_eq!(String::from(check), text);
    }
    for bad in ["", "udp", "http:x", "http:/a b", "http:/\r\nHost: evil"] {
        assert!(Check::try_from(bad.to_owned()).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_validation_panic(name in ".{0,80}", kind in ".{0,30}", txt in prop::collection::vec(".{0,300}", 0..6)) {
        let service = Service { name, r#type: kind, txt, ..service() };
        let _ = service.validate();
    }
}
