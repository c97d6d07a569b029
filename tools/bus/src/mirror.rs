//! Client of `net.guifi.Mirror1`.
#![allow(missing_docs)] // the manual page net.guifi.Mirror1(5) documents each call

use zbus::proxy;

#[proxy(
    interface = "net.guifi.Mirror1",
    default_service = "net.guifi.Mirror1",
    default_path = "/net/guifi/Mirror1"
)]
pub trait Mirror {
    fn describe(&self) -> zbus::Result<String>;
}

#[proxy(
    interface = "net.guifi.Mirror1.Admin",
    default_service = "net.guifi.Mirror1",
    default_path = "/net/guifi/Mirror1"
)]
pub trait MirrorAdmin {
    fn update(&self) -> zbus::Result<String>;
}
