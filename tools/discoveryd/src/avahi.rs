//! Calls to Avahi that have no proxy: its browsers and resolvers are objects made on demand,
//! whose signals are told apart by path. One match rule is installed before any object is
//! made, since avahi 0.8 may speak before a caller can listen (issues 9, 446, 619).

use std::num::NonZeroUsize;

use guifi_bus::avahi::AVAHI;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath};

/// Any interface, any protocol.
pub(crate) const ANY: i32 = -1;
/// Server state: names are settled, services may be added.
pub(crate) const RUNNING: i32 = 2;
/// The result is of this host, or of this program.
pub(crate) const OWN: u32 = 8 | 16;
/// The address of a service's host is not to be found by its number.
pub(crate) const NO_REVERSE: u32 = 16;

/// States of an entry group.
pub(crate) mod group {
    /// Its names are announced.
    pub(crate) const ESTABLISHED: i32 = 2;
    /// Somebody else has the name.
    pub(crate) const COLLISION: i32 = 3;
    /// It will not be announced.
    pub(crate) const FAILURE: i32 = 4;
}

/// Every signal that Avahi sends.
pub(crate) async fn signals(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(AVAHI)
        .build()?;
    MessageStream::for_match_rule(rule, connection, NonZeroUsize::new(4096)).await
}

/// Starts or frees an object.
pub(crate) async fn tell(
    connection: &Connection,
    path: &OwnedObjectPath,
    interface: &str,
    member: &str,
) -> zbus::Result<()> {
    let interface = format!("org.freedesktop.Avahi.{interface}");
    connection
        .call_method(
            Some(AVAHI),
            path.as_str(),
            Some(interface.as_str()),
            member,
            &(),
        )
        .await
        .map(|_| ())
}
