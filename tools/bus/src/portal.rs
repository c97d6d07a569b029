//! Client of `net.guifi.Portal1`.
#![allow(missing_docs)] // the manual page net.guifi.Portal1(5) documents each call

use zbus::{OwnedFd, proxy};

#[proxy(
    interface = "net.guifi.Portal1",
    default_service = "net.guifi.Portal1",
    default_path = "/net/guifi/Portal1"
)]
pub trait Portal {
    fn describe(&self) -> zbus::Result<String>;
    fn node(&self, which: &str) -> zbus::Result<String>;
    fn zone_of(&self, address: &str) -> zbus::Result<String>;
    fn zones(&self) -> zbus::Result<OwnedFd>;
    fn services(&self, kind: &str, zone: u64) -> zbus::Result<OwnedFd>;
    fn links(&self, zone: u64) -> zbus::Result<OwnedFd>;
    fn proxies(&self, zone: u64) -> zbus::Result<OwnedFd>;
    fn domains(&self, service: u64) -> zbus::Result<OwnedFd>;
    fn federation(&self, service: u64) -> zbus::Result<OwnedFd>;
    fn addresses(&self) -> zbus::Result<OwnedFd>;
    #[zbus(signal)]
    fn refreshed(&self, what: String, id: u64) -> zbus::Result<()>;
}

#[proxy(
    interface = "net.guifi.Portal1.Admin",
    default_service = "net.guifi.Portal1",
    default_path = "/net/guifi/Portal1"
)]
pub trait PortalAdmin {
    fn fetch(&self, what: &str) -> zbus::Result<()>;
    fn import(&self, file: OwnedFd) -> zbus::Result<String>;
}
