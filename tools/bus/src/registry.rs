//! Client of `net.guifi.Registry1`.
#![allow(missing_docs)] // the manual page net.guifi.Registry1(5) documents each call

use std::collections::HashMap;

use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::{Connection, OwnedFd, OwnedVariant, proxy};

use crate::REGISTRY;

/// Starts and ends of the registry, and its signal `Changed`: watch them before asking anything,
/// so that no change falls in between.
///
/// # Errors
/// Those of the bus.
pub async fn watch_registry(
    connection: &Connection,
) -> zbus::Result<(NameOwnerChangedStream, ChangedStream)> {
    let owners = DBusProxy::new(connection)
        .await?
        .receive_name_owner_changed_with_args(&[(0, REGISTRY.name)])
        .await?;
    let changes = RegistryProxy::new(connection)
        .await?
        .receive_changed()
        .await?;
    Ok((owners, changes))
}

#[proxy(
    interface = "net.guifi.Registry1",
    default_service = "net.guifi.Registry1",
    default_path = "/net/guifi/Registry1"
)]
pub trait Registry {
    fn describe(&self) -> zbus::Result<String>;
    fn get(&self, owner: &str, kind: &str, name: &str) -> zbus::Result<String>;
    fn list(
        &self,
        kinds: &[&str],
        filter: HashMap<&str, &str>,
        epoch: &str,
        sequence: u64,
    ) -> zbus::Result<(String, u64, bool, OwnedFd)>;
    #[zbus(signal)]
    fn changed(&self, epoch: String, sequence: u64, kinds: Vec<String>) -> zbus::Result<()>;
    #[zbus(signal)]
    fn synced(&self) -> zbus::Result<()>;
}

#[proxy(
    interface = "net.guifi.Registry1.Provider",
    default_service = "net.guifi.Registry1",
    default_path = "/net/guifi/Registry1"
)]
pub trait RegistryProvider {
    fn put(&self, kind: &str, name: &str, body: &str, lifetime_seconds: u32) -> zbus::Result<u64>;
    fn set_part(&self, kind: &str, name: &str, part: &str, body: &str) -> zbus::Result<u64>;
    fn remove(&self, kind: &str, name: &str) -> zbus::Result<()>;
}

#[proxy(
    interface = "net.guifi.Registry1.Admin",
    default_service = "net.guifi.Registry1",
    default_path = "/net/guifi/Registry1"
)]
pub trait RegistryAdmin {
    fn join(&self, options: HashMap<&str, OwnedVariant>) -> zbus::Result<String>;
    fn leave(&self) -> zbus::Result<()>;
    fn probe(&self, seed: &str) -> zbus::Result<String>;
    fn put(&self, kind: &str, name: &str, body: &str, lifetime_seconds: u32) -> zbus::Result<u64>;
    fn remove(&self, kind: &str, name: &str) -> zbus::Result<()>;
    fn read_invitation(&self, invitation: &str) -> zbus::Result<String>;
    fn invite(&self, uses: u32, lifetime_seconds: u64) -> zbus::Result<String>;
    fn invitations(&self) -> zbus::Result<String>;
    fn revoke(&self, which: &str) -> zbus::Result<String>;
    fn pending(&self) -> zbus::Result<String>;
    fn approve(&self, who: &str) -> zbus::Result<String>;
    fn refuse(&self, who: &str) -> zbus::Result<String>;
    fn sponsored(&self, key: &str) -> zbus::Result<String>;
    fn ban(&self, key: &str, with_sponsored: bool) -> zbus::Result<String>;
    fn appoint(&self, key: &str) -> zbus::Result<String>;
    fn dismiss(&self, key: &str) -> zbus::Result<String>;
    fn rotate(&self) -> zbus::Result<String>;
    fn confirm_key(&self, key: &str) -> zbus::Result<String>;
    fn confirm_name(&self, name: &str, zone: &str, key: &str) -> zbus::Result<String>;
    fn verify(&self) -> zbus::Result<String>;
}
