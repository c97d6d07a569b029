//! The part of Avahi's bus interface that several tools use (avahi 0.8, `org.freedesktop.Avahi`).
#![allow(missing_docs)] // Avahi's own introspection files are the documentation

mod entry_group;

pub use entry_group::{AvahiEntryGroupProxy, StateChanged as EntryGroupStateChanged};

use zbus::{OwnedObjectPath, proxy};

/// Avahi's bus name.
pub const AVAHI: &str = "org.freedesktop.Avahi";

#[proxy(
    interface = "org.freedesktop.Avahi.Server2",
    default_service = "org.freedesktop.Avahi",
    default_path = "/"
)]
pub trait AvahiServer {
    fn get_state(&self) -> zbus::Result<i32>;
    fn get_host_name_fqdn(&self) -> zbus::Result<String>;
    fn get_alternative_service_name(&self, name: &str) -> zbus::Result<String>;
    fn entry_group_new(&self) -> zbus::Result<OwnedObjectPath>;
    fn service_type_browser_prepare(
        &self,
        interface: i32,
        protocol: i32,
        domain: &str,
        flags: u32,
    ) -> zbus::Result<OwnedObjectPath>;
    fn service_browser_prepare(
        &self,
        interface: i32,
        protocol: i32,
        r#type: &str,
        domain: &str,
        flags: u32,
    ) -> zbus::Result<OwnedObjectPath>;
    #[allow(clippy::too_many_arguments)] // Avahi's signature
    fn service_resolver_prepare(
        &self,
        interface: i32,
        protocol: i32,
        name: &str,
        r#type: &str,
        domain: &str,
        address_protocol: i32,
        flags: u32,
    ) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn state_changed(&self, state: i32, error: String) -> zbus::Result<()>;
}
