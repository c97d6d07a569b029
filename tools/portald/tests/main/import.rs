//! Files in place of the portal, and power that fails while they are taken in.

use crate::common;

use std::io::Write as _;

use common::{DETAIL, DOMAINS, FEDERATION, IPS, PROXIES, Place, until};
use serde_json::json;

#[test]
fn each_kind_of_file_is_known_by_its_content() {
    let place = Place::start("");
    for (name, text, what, id) in [
        ("a", DETAIL, "cnml", 900),
        ("b", DOMAINS, "domains", 9503),
        ("c", FEDERATION, "federation", 9502),
        ("d", PROXIES, "proxies", 0),
        ("e", IPS, "addresses", 0),
    ] {
        let file = place.write(name, text);
        let document = place.json(&["import", file.to_str().unwrap()]);
        assert_eq!(
            (&document["what"], &document["id"]),
            (&json!(what), &json!(id))
        );
        assert!(place.source(what, id).is_some());
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed
        .write_all(DETAIL.replace("AltaCasa\"", "NovaCasa\"").as_bytes())
        .unwrap();
    let file = place.write("f.gz", packed.finish().unwrap());
    let said = place.says(&["import", file.to_str().unwrap()]);
    assert!(
        said.starts_with("taken as cnml/900: 7 devices, 9 interfaces"),
        "{said}"
    );
    assert!(
        place
            .says(&["node", "NovaCasa"])
            .starts_with("NovaCasa 9102 Working")
    );
}

#[test]
fn a_file_with_faults_is_explained_and_not_taken() {
    let place = Place::start("");
    let file = place.write("bad.xml", DETAIL.replace("</device>", "</devic>"));
    let file = file.to_str().unwrap();
    let done = place.portal(&["import", file]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(
        said.contains("line 23, column 6: </devic> where </device> should be"),
        "{said}"
    );
    let done = place.portal(&["check", file]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(
        said.contains("bad.xml: refused: line 23, column 6: "),
        "{said}"
    );
    assert!(done.stderr.is_empty());
    assert_eq!(place.json(&["status"])["sources"], json!([]));
    for words in [
        &["import", "/nonexistent"][..],
        &["check", "/nonexistent"],
        &["import", "/dev/zero"],
        &["check", "/"],
    ] {
        let done = place.portal(words);
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        assert_eq!(String::from_utf8(done.stderr).unwrap().lines().count(), 1);
    }
}

#[test]
fn an_empty_file_takes_a_confirmation() {
    let place = Place::start("");
    let full = place.write("full.xml", DETAIL);
    place.says(&["import", full.to_str().unwrap()]);
    let empty = "<cnml version='0.1'><class network_description='detail'/><network><zone id='900' title='x'/></network></cnml>";
    let empty = place.write("empty.xml", empty);
    let empty = empty.to_str().unwrap();
    let done = place.portal(&["import", empty]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(
        said.contains("it is empty and what is kept is not") && said.contains("\nhint: "),
        "{said}"
    );
    place.says(&["import", "--confirm", empty]);
    assert_eq!(place.source("cnml", 900).unwrap()["entries"], 0);
    // Once is once.
    place.says(&["import", full.to_str().unwrap()]);
    assert_eq!(place.portal(&["import", empty]).status.code(), Some(1));
}

/// A zone like the example's, so large that taking it in lasts.
fn large() -> String {
    let head = &DETAIL[..DETAIL.find("    <node id=\"9101\"").unwrap()];
    let tail = &DETAIL[DETAIL.find("   </zone>\n   <zone id=\"902\"").unwrap()..];
    let node = |n: u64| {
        format!(
            "<node id=\"{}\" title=\"n{n}\" lat=\"42\" lon=\"2\" status=\"Working\"><device id=\"{}\" title=\"d{n}\" type=\"radio\"><interface id=\"{}\"/></device></node>\n",
            100_000 + n,
            200_000 + n,
            300_000 + n
        )
    };
    let nodes: String = (0..40_000).map(node).collect();
    format!("{head}{nodes}{tail}")
}

#[test]
fn killed_while_taking_in_the_last_good_data_stay() {
    let mut place = Place::start("");
    let first = place.write("first.xml", DETAIL);
    place.says(&["import", first.to_str().unwrap()]);
    let second = place.write("second.xml", large());
    let log = place.path("var/lib/guifi/portald/portal.db-wal");
    let size = || std::fs::metadata(&log).map_or(0, |m| m.len());
    let quiet = size();
    let mut import = std::process::Command::new(env!("CARGO_BIN_EXE_guifi-portal"))
        .args(["import", second.to_str().unwrap()])
        .env("DBUS_SYSTEM_BUS_ADDRESS", place.bus.address())
        .env("GUIFI_ROOT", place.dir.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // In the middle: much of it is in the log, and nothing of it counts.
    until("it is being written", || {
        (size() > quiet + (1 << 20)).then_some(())
    });
    assert!(import.try_wait().unwrap().is_none(), "it was done already");
    place.end("-KILL");
    assert!(!import.wait().unwrap().success());
    place.run();
    assert_eq!(place.source("cnml", 900).unwrap()["entries"], 6);
    assert!(
        place
            .says(&["node", "10.90.1.1"])
            .starts_with("AltaTorre 9101")
    );
    assert!(!place.portal(&["node", "n5"]).status.success());
    // And the second time it is left to finish; others are answered meanwhile.
    place.says(&["import", second.to_str().unwrap()]);
    assert_eq!(place.source("cnml", 900).unwrap()["entries"], 40_003);
    place.end("-KILL");
    place.run();
    assert!(place.portal(&["node", "n5"]).status.success());
}
