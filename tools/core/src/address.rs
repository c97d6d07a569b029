//! Which addresses mean one machine from everywhere.

use std::net::IpAddr;

/// Whether an address means the same machine from every link: neither loopback, link-local,
/// multicast, broadcast nor "this network", and no IPv4 address in IPv6 clothes.
#[must_use]
pub fn is_routed(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            !(a.is_loopback()
                || a.is_link_local()
                || a.is_multicast()
                || a.is_broadcast()
                || a.octets()[0] == 0)
        }
        IpAddr::V6(a) => {
            !(a.is_loopback()
                || a.is_unspecified()
                || a.is_multicast()
                || a.is_unicast_link_local()
                || a.to_ipv4_mapped().is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_means_another_machine_elsewhere_is_not_routed() {
        for no in [
            "127.0.0.1",
            "169.254.1.2",
            "224.0.0.251",
            "255.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            "fe80::1",
            "ff02::fb",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_routed(&no.parse().unwrap()), "{no}");
        }
        for yes in [
            "10.1.2.3",
            "172.16.0.1",
            "192.0.2.1",
            "fd77::1",
            "2001:db8::1",
        ] {
            assert!(is_routed(&yes.parse().unwrap()), "{yes}");
        }
    }
}
