//! Error names on the bus, and the [`Kind`] each of them means to a command.

use guifi_core::{Error, Kind};
use zbus::DBusError as _;

/// A failure that a daemon reports to its caller: `net.guifi.Error.*`.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "net.guifi.Error")]
pub enum Failure {
    /// Errors of the bus itself.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// No such record, peer, service, zone.
    NotFound(String),
    /// The arguments make no sense.
    Invalid(String),
    /// The caller may not do this.
    NotAllowed(String),
    /// The name is taken by another.
    Taken(String),
    /// Something that is needed is absent.
    Unavailable(String),
    /// It may succeed later.
    TryLater(String),
    /// It waits for somebody's decision; the same call may succeed later.
    Waiting(String),
    /// It failed.
    Failed(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            Kind::Failed => Self::Failed(text),
            Kind::Usage | Kind::Config => Self::Invalid(text),
            Kind::Unavailable => Self::Unavailable(text),
            Kind::TryLater => Self::TryLater(text),
            Kind::NotAllowed => Self::NotAllowed(text),
        }
    }
}

/// Name of [`Failure::Waiting`].
const WAITING: &str = "net.guifi.Error.Waiting";

/// Whether a call failed because somebody has to decide first.
#[must_use]
pub fn is_waiting(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..) if name.as_str() == WAITING)
}

/// Turns a failed call into an error of this program; `attempt` says what was wanted.
pub fn error(attempt: &str, error: zbus::Error) -> Error {
    // zbus gives the errors of the bus itself a type of their own.
    let (name, detail) = match &error {
        zbus::Error::MethodError(name, detail, _) => (name.to_string(), detail.clone()),
        zbus::Error::FDO(known) => (
            known.name().to_string(),
            known.description().map(str::to_owned),
        ),
        _ => return Error::new(Kind::Unavailable, format!("{attempt}: {error}")),
    };
    let detail = detail.unwrap_or_else(|| "no reason given".to_owned());
    let (detail, hint) = match detail.split_once(" (hint: ") {
        Some((detail, hint)) => (detail, Some(hint.trim_end_matches(')'))),
        None => (detail.as_str(), None),
    };
    let kind = match name.as_str() {
        "net.guifi.Error.Invalid" | "org.freedesktop.DBus.Error.InvalidArgs" => Kind::Usage,
        "net.guifi.Error.NotAllowed" | "org.freedesktop.DBus.Error.AccessDenied" => {
            Kind::NotAllowed
        }
        "net.guifi.Error.Unavailable"
        | "org.freedesktop.DBus.Error.ServiceUnknown"
        | "org.freedesktop.DBus.Error.NameHasNoOwner"
        | "org.freedesktop.DBus.Error.Spawn.ChildExited"
        | "org.freedesktop.systemd1.NoSuchUnit"
        | "org.freedesktop.DBus.Error.TimedOut"
        | "org.freedesktop.DBus.Error.NoReply" => Kind::Unavailable,
        "net.guifi.Error.TryLater" | WAITING => Kind::TryLater,
        _ => Kind::Failed,
    };
    let made = Error::new(kind, format!("{attempt}: {detail}"));
    match (hint, name.as_str()) {
        (Some(hint), _) => made.hint(hint),
        (None, "org.freedesktop.DBus.Error.AccessDenied") => made
            .hint("run it as root, or join the group: adduser USER guifi-admin, then log in again"),
        (None, "org.freedesktop.DBus.Error.ServiceUnknown") => {
            made.hint("is the daemon running? systemctl status 'guifi-*'")
        }
        (None, _) => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_the_bus(error: zbus::fdo::Error) -> Error {
        super::error("cannot leave", error.into())
    }

    #[test]
    fn errors_of_the_bus_itself_have_their_kind_and_hint() {
        let denied = of_the_bus(zbus::fdo::Error::AccessDenied("rejected".into()));
        assert_eq!(denied.kind(), Kind::NotAllowed);
        assert!(
            denied
                .to_string()
                .contains("cannot leave: rejected (hint: run it as root"),
            "{denied}"
        );
        let gone = of_the_bus(zbus::fdo::Error::ServiceUnknown("no such name".into()));
        assert_eq!(gone.kind(), Kind::Unavailable);
    }
}
