//! Error names on the bus, and the [`Kind`] each of them means to a command.

use guifi_core::{Error, Kind};

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

/// Turns a failed call into an error of this program; `attempt` says what was wanted.
pub fn error(attempt: &str, error: zbus::Error) -> Error {
    let zbus::Error::MethodError(name, detail, _) = &error else {
        return Error::new(Kind::Unavailable, format!("{attempt}: {error}"));
    };
    let detail = detail.as_deref().unwrap_or("no reason given");
    let (detail, hint) = match detail.split_once(" (hint: ") {
        Some((detail, hint)) => (detail, Some(hint.trim_end_matches(')'))),
        None => (detail, None),
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
        "net.guifi.Error.TryLater" => Kind::TryLater,
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
