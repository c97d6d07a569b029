//! Client of `net.guifi.Storage1`.
#![allow(missing_docs)] // the manual page net.guifi.Storage1(5) documents each call

use zbus::proxy;

#[proxy(
    interface = "net.guifi.Storage1",
    default_service = "net.guifi.Storage1",
    default_path = "/net/guifi/Storage1"
)]
pub trait Storage {
    fn describe(&self) -> zbus::Result<String>;
}

#[proxy(
    interface = "net.guifi.Storage1.Provider",
    default_service = "net.guifi.Storage1",
    default_path = "/net/guifi/Storage1"
)]
pub trait StorageProvider {
    fn account(&self) -> zbus::Result<String>;
}

#[proxy(
    interface = "net.guifi.Storage1.Admin",
    default_service = "net.guifi.Storage1",
    default_path = "/net/guifi/Storage1"
)]
pub trait StorageAdmin {
    fn accounts(&self) -> zbus::Result<String>;
    fn collect(&self) -> zbus::Result<String>;
    fn scrub(&self) -> zbus::Result<()>;
}
