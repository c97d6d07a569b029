//! Client of `net.guifi.Discovery1`.
#![allow(missing_docs)] // the manual page net.guifi.Discovery1(5) documents each call

use std::collections::HashMap;

use zbus::{OwnedFd, OwnedVariant, proxy};

#[proxy(
    interface = "net.guifi.Discovery1",
    default_service = "net.guifi.Discovery1",
    default_path = "/net/guifi/Discovery1"
)]
pub trait Discovery {
    fn describe(&self) -> zbus::Result<String>;
    fn browse(&self, r#type: &str, scope: &str, zone: &str) -> zbus::Result<OwnedFd>;
    #[zbus(signal)]
    fn changed(&self, sequence: u64) -> zbus::Result<()>;
}

#[proxy(
    interface = "net.guifi.Discovery1.Admin",
    default_service = "net.guifi.Discovery1",
    default_path = "/net/guifi/Discovery1"
)]
pub trait DiscoveryAdmin {
    fn publish(
        &self,
        name: &str,
        r#type: &str,
        port: u16,
        txt: &[&str],
        options: HashMap<&str, OwnedVariant>,
    ) -> zbus::Result<String>;
    fn unpublish(&self, name: &str, r#type: &str) -> zbus::Result<u32>;
}
