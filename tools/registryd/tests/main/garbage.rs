//! Garbage for every method on the bus: the daemon lives, and answers after it.

use crate::town;

use guifi_testing::fuzz::{Target, calls, inputs};
use guifi_testing::interface;
use town::Place;

#[test]
fn no_call_ends_the_daemon() {
    let mut place = Place::new();
    // Nothing is to wait for its turn.
    place.stop_registryd();
    let settings = place.dir.path().join("etc/guifi/registryd.toml");
    let quick = "[write]\nburst = 4000000000\n";
    std::fs::write(settings, quick).unwrap();
    place.start_registryd();
    place.ready();
    place.found("osona", "one");
    let key = place.describe()["key"].as_str().unwrap().to_owned();
    let seed = format!("{key}@127.0.0.1:{}", place.port);
    let target = Target {
        name: guifi_bus::REGISTRY.name,
        path: guifi_bus::REGISTRY.path,
        interface: &interface("net.guifi.Registry1"),
        // The others are tried on a box that has joined.
        without: &["Leave"],
        slow: &["Join", "Probe", "Verify"],
        samples: &[
            &key,
            &seed,
            "127.0.0.1:9",
            "community",
            "create",
            "domain",
            "name",
            "zone",
            "seeds",
            "terms",
            "osona",
            "owner",
            "service",
            "box",
            "member",
            "dns/0",
            "claim",
            "_http._tcp/Photos",
            r#"{"port": 80, "type": "_http._tcp", "instance": "Photos"}"#,
            r#"{"key": "aaaa", "time": 1795500000000, "space": "dns", "name": "x"}"#,
            "{}",
        ],
    };
    calls(&place.bus.address(), target, inputs());
    assert_eq!(place.describe()["joined"], true);
}
