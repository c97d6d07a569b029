//! Client of `net.guifi.Peer1`.
#![allow(missing_docs)] // the manual page net.guifi.Peer1(5) documents each call

use zbus::proxy;

#[proxy(
    interface = "net.guifi.Peer1",
    default_service = "net.guifi.Peer1",
    default_path = "/net/guifi/Peer1"
)]
pub trait Peer {
    fn describe(&self) -> zbus::Result<String>;
    fn ping(&self, key: &str) -> zbus::Result<u32>;
    #[zbus(signal)]
    fn peer_changed(&self, key: String, state: String, path: String) -> zbus::Result<()>;
    #[zbus(signal)]
    fn relay_changed(&self, url: String, connected: bool) -> zbus::Result<()>;
}

#[proxy(
    interface = "net.guifi.Peer1.Admin",
    default_service = "net.guifi.Peer1",
    default_path = "/net/guifi/Peer1"
)]
pub trait PeerAdmin {
    fn connect(&self, key: &str) -> zbus::Result<()>;
    fn disconnect(&self, key: &str) -> zbus::Result<()>;
    fn set_hint(&self, key: &str, addresses: &[&str]) -> zbus::Result<()>;
}
