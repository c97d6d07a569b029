//! Client of `net.guifi.Dns1`.
#![allow(missing_docs)] // the manual page net.guifi.Dns1(5) documents each call

use zbus::{OwnedFd, proxy};

#[proxy(
    interface = "net.guifi.Dns1",
    default_service = "net.guifi.Dns1",
    default_path = "/net/guifi/Dns1"
)]
pub trait Dns {
    fn describe(&self) -> zbus::Result<String>;
    fn show(&self, zone: &str) -> zbus::Result<OwnedFd>;
}

#[proxy(
    interface = "net.guifi.Dns1.Admin",
    default_service = "net.guifi.Dns1",
    default_path = "/net/guifi/Dns1"
)]
pub trait DnsAdmin {
    fn flush(&self) -> zbus::Result<()>;
    fn take(&self, zone: &str) -> zbus::Result<u32>;
    fn list_keys(&self) -> zbus::Result<String>;
    fn show_key(&self, name: &str) -> zbus::Result<String>;
    fn add_key(
        &self,
        name: &str,
        algorithm: &str,
        secret: &str,
        update: &[&str],
        transfer: &[&str],
    ) -> zbus::Result<String>;
    fn revoke_key(&self, name: &str) -> zbus::Result<()>;
    fn flush_name(&self, name: &str) -> zbus::Result<()>;
    fn log_queries(
        &self,
        seconds: u32,
        sample: u32,
        client: &str,
        name: &str,
    ) -> zbus::Result<OwnedFd>;
    fn refresh(&self, zone: &str, whole: bool) -> zbus::Result<()>;
}
