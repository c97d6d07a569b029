//! The real daemon against a stand-in for the portal.

use crate::common;

use std::process::Command;

use common::{DETAIL, MockPortal, Place, Reply, until};
use serde_json::{Value, json};

const CNML: &str = "/guifi/cnml/900/detail";
const TOKEN: &str = "/guifi/refresh/cnml";
/// Only the zone.
const ZONE: &str = "zones = [900]\nproxies = false\n";

fn nodes(place: &Place) -> u64 {
    let zones = place.says(&["zones", "--json"]);
    let first: Value = zones
        .lines()
        .next()
        .map_or(Value::Null, |line| serde_json::from_str(line).unwrap());
    first["nodes"].as_u64().unwrap_or_default()
}

/// Has the zone fetched again.
fn again(place: &Place) {
    place.says(&["fetch", "cnml/900"]);
}

#[test]
fn everything_configured_is_fetched_one_at_a_time_mock_portal() {
    let portal = MockPortal::example();
    let settings = "zones = [900]\ndns_services = [9503]\nfederation = [9502]\naddresses = true\n";
    let place = Place::start(&(portal.line() + settings));
    for (what, id) in [
        ("cnml", 900),
        ("proxies", 900),
        ("domains", 9503),
        ("federation", 9502),
        ("addresses", 0),
    ] {
        let source = place.fetched(what, id);
        assert_eq!(source["faults"], 0, "{source}");
    }
    assert_eq!(
        portal.asked(),
        [
            TOKEN,
            CNML,
            "/guifi/refresh/dns",
            "/guifi/cnml/9503/domains",
            "/guifi/csvproxy/900",
            "/guifi/export/9502/federation",
            "/guifi/cnml/1/ips",
        ]
    );
    assert_eq!(portal.most(), 1);
    assert!(
        place
            .says(&["zones"])
            .contains("  Vall Alta   901  3 nodes"),
        "{}",
        place.says(&["zones"])
    );
    assert!(
        place
            .says(&["zone-of", "10.90.2.1"])
            .starts_with("Vall Baixa (900 › 902)")
    );
    assert!(
        place
            .says(&["node", "baixaescola"])
            .contains("service prxBaixaEscola 9505 Proxy Testing")
    );
    assert!(
        place
            .says(&["services", "dns", "--zone", "901"])
            .contains("10.90.1.10")
    );
    let status = place.says(&["status"]);
    assert!(
        status.contains("cnml/900") && !status.contains("failed"),
        "{status}"
    );
}

#[test]
fn nothing_configured_is_quiet_mock_portal() {
    let portal = MockPortal::example();
    let place = Place::start(&portal.line());
    assert_eq!(place.json(&["status"])["configured"], false);
    let done = place.portal(&["fetch"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(
        String::from_utf8(done.stderr)
            .unwrap()
            .contains("hint: name zones")
    );
    assert!(portal.asked().is_empty());
    // A configuration that is read again begins at once, and one that is wrong changes nothing.
    place.configure(&(portal.line() + ZONE));
    hang_up(&place);
    place.fetched("cnml", 900);
    place.configure("zones = 'x'\n");
    hang_up(&place);
    until("a word on the wrong configuration", || {
        place
            .log()
            .contains("keeping the old configuration")
            .then_some(())
    });
    again(&place);
    until("the second fetch", || {
        (portal.count(CNML) == 2).then_some(())
    });
}

fn hang_up(place: &Place) {
    let pid = place.pid().to_string();
    assert!(
        Command::new("kill")
            .args(["-HUP", &pid])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_token_is_kept_only_after_the_data_mock_portal() {
    let portal = MockPortal::example();
    portal.answer(CNML, Reply::Status(500, ""));
    let mut place = Place::start(&(portal.line() + ZONE));
    place.failed("cnml", 900, "500");
    // The failed fetch is made up for, though the token is the same.
    portal.body(CNML, DETAIL);
    again(&place);
    place.fetched("cnml", 900);
    assert_eq!(portal.count(CNML), 2);
    // Killed and started when the data are old: the token alone is asked for.
    place.end("-KILL");
    age(&place, 3 * 3600);
    place.run();
    until("the token is asked for", || {
        (portal.count(TOKEN) == 3).then_some(())
    });
    until("it is current", || {
        (place.fetched("cnml", 900)["age_seconds"].as_u64() < Some(60)).then_some(())
    });
    assert_eq!(portal.count(CNML), 2);
    // An announced change that cannot be had does not count as had.
    place.end("-KILL");
    age(&place, 3 * 3600);
    portal.body(TOKEN, "999");
    portal.body(CNML, &DETAIL[..2000]);
    place.run();
    place.failed("cnml", 900, "cut short");
    assert_eq!(nodes(&place), 6);
    place.end("-KILL");
    portal.body(CNML, &DETAIL.replace("BaixaMoli\"", "BaixaForn\""));
    place.run();
    until("the new data", || {
        place
            .portal(&["node", "BaixaForn"])
            .status
            .success()
            .then_some(())
    });
    assert_eq!(portal.count(CNML), 4);
}

/// Makes what is held older; the daemon does not run.
fn age(place: &Place, seconds: i64) {
    let database = place.path("var/lib/guifi/portald/portal.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection
        .execute(
            "UPDATE source SET checked = checked - ?",
            [seconds * 1_000_000],
        )
        .unwrap();
}

#[test]
fn without_tokens_requests_are_conditional_mock_portal() {
    let portal = MockPortal::example();
    portal.answer(TOKEN, Reply::Status(404, ""));
    portal.answer(CNML, Reply::Tagged(DETAIL.into(), "\"v1\""));
    let place = Place::start(&(portal.line() + ZONE));
    let first = place.fetched("cnml", 900);
    again(&place);
    let second = until("it is confirmed", || {
        Some(place.fetched("cnml", 900)).filter(|s| s["checked"] != first["checked"])
    });
    assert_eq!(second["fetched"], first["fetched"]);
    assert_eq!(portal.asked().last().unwrap(), &format!("{CNML} \"v1\""));
    assert_eq!(nodes(&place), 6);
}

#[test]
fn packed_answers_are_asked_for_and_read_mock_portal() {
    let portal = MockPortal::example();
    portal.answer(CNML, Reply::Packed(DETAIL.into()));
    let place = Place::start(&(portal.line() + ZONE));
    place.fetched("cnml", 900);
    assert_eq!(nodes(&place), 6);
}

#[test]
fn whatever_else_comes_the_last_good_data_stay_mock_portal() {
    let portal = MockPortal::example();
    let limits = "[limits]\nfile_bytes = 100000\nresponse_seconds = 2\nfetch_seconds = 4\n";
    let place = Place::start(&(portal.line() + ZONE + limits));
    place.fetched("cnml", 900);
    let bomb = format!(
        "<?xml version=\"1.0\"?><cnml>{}</cnml>",
        " ".repeat(2_000_000)
    );
    let empty = "<cnml version='0.1'><class network_description='detail'/><network/></cnml>";
    let replies = [
        (
            Reply::Body("<!DOCTYPE html>\n<html><body>Log in</body></html>".into()),
            "web page",
        ),
        (Reply::Body("<html/>".into()), "web page"),
        (Reply::Half(DETAIL.into(), 5000), "the answer broke off"),
        (Reply::Body(DETAIL[..5000].into()), "cut short"),
        (
            Reply::Body("<!DOCTYPE a [<!ENTITY b 'c'>]><cnml>&b;</cnml>".into()),
            "document type",
        ),
        (Reply::Body("<cnml>&lol;</cnml>".into()), "entity"),
        (
            Reply::Body(("<cnml>".to_owned() + &"<x>".repeat(100)).into()),
            "within each other",
        ),
        (
            Reply::Body(format!("<cnml version='{}'/>", "9".repeat(5000)).into()),
            "bytes",
        ),
        (Reply::Body("<rss/>".into()), "'rss' in place of"),
        (Reply::Body("".into()), "nothing in it"),
        (
            Reply::Body(empty.into()),
            "it is empty and what is kept is not",
        ),
        (Reply::Packed(bomb.into()), "more than 100000 bytes"),
        (Reply::Huge(10_000_000_000), "more than 100000 bytes"),
        (Reply::Flood, "more than 100000 bytes"),
        (Reply::Silence, "silent for too long"),
        (Reply::Drip, "took too long"),
        (
            Reply::Status(302, "Location: /guifi/cnml/900/detail\r\n"),
            "redirect",
        ),
        (Reply::Status(304, ""), "304"),
        (Reply::Status(503, "Retry-After: 7200\r\n"), "503"),
    ];
    for (reply, words) in replies {
        let what = format!("{reply:.40?}");
        portal.answer(CNML, reply);
        let before = place.source("cnml", 900).unwrap()["failures"].clone();
        again(&place);
        let failed = until(&format!("{what} fails"), || {
            place
                .source("cnml", 900)
                .filter(|s| s["failures"] != before)
        });
        let error = failed["error"].as_str().unwrap();
        let line = format!("cannot fetch cnml/900: {error}");
        assert!(line.to_lowercase().contains(words), "{what}: {line}");
        assert_eq!(failed["entries"], 6);
        assert!(
            place.log().contains(&format!("{line}; keeping that of 20")),
            "{line}"
        );
    }
    assert_eq!(nodes(&place), 6);
    let left = place.source("cnml", 900).unwrap()["next"]
        .as_str()
        .unwrap()
        .to_owned();
    let left: jiff::Timestamp = left.parse().unwrap();
    let wait = left.duration_since(jiff::Timestamp::now()).as_secs();
    assert!(
        (7000..8 * 3600).contains(&wait),
        "the portal asked for two hours: {wait}"
    );
    // An empty one is taken from who says that it is right.
    portal.body(CNML, empty);
    place.says(&["fetch", "--confirm", "cnml/900"]);
    until("the zone is empty", || {
        (place.fetched("cnml", 900)["entries"] == 0).then_some(())
    });
    assert_eq!(nodes(&place), 0);
}

#[test]
fn a_token_that_is_a_web_page_is_no_token_mock_portal() {
    let portal = MockPortal::example();
    portal.body(TOKEN, "<html>Maintenance</html>");
    let place = Place::start(&(portal.line() + ZONE));
    let failed = place.failed("cnml", 900, "web page in place of a token");
    assert_eq!((&failed["checked"], portal.count(CNML)), (&Value::Null, 0));
}

#[test]
fn data_are_there_at_once_after_a_start_with_the_portal_away_mock_portal() {
    let portal = MockPortal::example();
    let mut place = Place::start(&(portal.line() + ZONE));
    place.fetched("cnml", 900);
    assert_eq!(place.end("-TERM"), Some(0));
    age(&place, 9 * 86_400);
    place.configure(&format!("portal = \"http://127.0.0.1:1\"\n{ZONE}"));
    place.run();
    assert_eq!(nodes(&place), 6);
    let failed = place.failed("cnml", 900, "");
    assert!(
        failed["age_seconds"].as_u64() > Some(8 * 86_400),
        "{failed}"
    );
    assert!(place.says(&["status"]).contains("9 days"));
    let again = place.says(&["node", "AltaTorre", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&again).unwrap()["zone"]["path"],
        json!([900, 901])
    );
}

#[test]
fn over_https_the_authorities_of_the_machine_count_mock_portal() {
    let (portal, certificate) = MockPortal::secure();
    let mut place = Place::start(&(portal.line() + ZONE));
    let failed = place.failed("cnml", 900, "certificate");
    assert_eq!(
        (&failed["checked"], portal.asked().len()),
        (&Value::Null, 0)
    );
    place.end("-TERM");
    place.write("trusted.pem", certificate);
    place.run();
    place.fetched("cnml", 900);
    // And nobody is led away from there to where anyone may listen in.
    let open = MockPortal::example();
    let away = format!("Location: {}{CNML}\r\n", open.url());
    portal.answer(CNML, Reply::Status(302, Box::leak(away.into_boxed_str())));
    again(&place);
    place.failed("cnml", 900, "https only");
    assert!(open.asked().is_empty());
}
