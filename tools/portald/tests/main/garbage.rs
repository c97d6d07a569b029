//! Garbage for every method on the bus: the daemon lives, and answers after it.

use crate::common;

use common::{DETAIL, DOMAINS, FEDERATION, Place};
use guifi_bus::PORTAL;
use guifi_testing::fuzz::{Target, calls, inputs};
use guifi_testing::interface;

#[test]
fn no_call_ends_the_daemon() {
    let place = Place::start("portal = \"http://127.0.0.1:1\"\nzones = [900]\n");
    let file = place.write("a", DETAIL);
    place.says(&["import", file.to_str().unwrap()]);
    let target = Target {
        name: PORTAL.name,
        path: PORTAL.path,
        interface: &interface("net.guifi.Portal1"),
        without: &[],
        slow: &[],
        samples: &[
            "9101",
            "AltaTorre",
            "10.90.1.1",
            "Proxy",
            "cnml",
            "cnml/900!",
            "addresses",
            DETAIL,
            DOMAINS,
            FEDERATION,
        ],
    };
    calls(&place.bus.address(), target, inputs());
}
