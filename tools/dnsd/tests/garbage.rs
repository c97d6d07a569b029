//! Garbage for every method on the bus: the daemon lives, and answers after it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Bus, Daemon};
use guifi_testing::fuzz::{Target, calls, inputs};
use guifi_testing::interface;

#[test]
fn no_call_ends_the_daemon() {
    let bus = Bus::new();
    let _daemon = Daemon::start(&bus, "listen = ['127.0.0.1']\n");
    let target = Target {
        name: guifi_bus::DNS.name,
        path: guifi_bus::DNS.path,
        interface: &interface("net.guifi.Dns1"),
        without: &[],
        slow: &[],
        samples: &["10.in-addr.arpa", "vic.osona.internal", ".", "\\032a\\.b"],
    };
    calls(&bus.address(), target, inputs());
}
