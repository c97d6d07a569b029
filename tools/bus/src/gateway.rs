//! Client of `net.guifi.Gateway1`.
#![allow(missing_docs)] // the manual page net.guifi.Gateway1(5) documents each call

use zbus::proxy;

#[proxy(
    interface = "net.guifi.Gateway1",
    default_service = "net.guifi.Gateway1",
    default_path = "/net/guifi/Gateway1"
)]
pub trait Gateway {
    fn describe(&self) -> zbus::Result<String>;
}

#[proxy(
    interface = "net.guifi.Gateway1.Admin",
    default_service = "net.guifi.Gateway1",
    default_path = "/net/guifi/Gateway1"
)]
pub trait GatewayAdmin {
    fn export_servers(&self) -> zbus::Result<String>;
    fn import_servers(&self, text: &str) -> zbus::Result<u32>;
}
