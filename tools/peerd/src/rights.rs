//! Which local user may do what. Users are looked up in `/etc/passwd` when a program connects,
//! since the packages that bring them may be installed later than this one.

use std::fs;

use guifi_core::Root;

use crate::config::Settings;

/// The user that keeps the registry: it may sign and say who the members are.
pub(crate) const REGISTRY: &str = "guifi-registryd";

/// A local program's user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) name: Option<String>,
    /// Root, or the user of this daemon itself.
    everything: bool,
}

impl User {
    /// The user with this number.
    pub(crate) fn new(root: &Root, uid: u32) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let passwd = fs::read_to_string(root.join("/etc/passwd")).unwrap_or_default();
        Self {
            uid,
            name: name_of(&passwd, uid).map(str::to_owned),
            everything: uid == 0 || uid == own,
        }
    }

    /// Whether it may open and serve `protocol`.
    pub(crate) fn may_speak(&self, settings: &Settings, protocol: &str) -> bool {
        self.everything
            || self.name.as_ref().is_some_and(|name| {
                settings
                    .protocols
                    .get(protocol)
                    .is_some_and(|p| p.users.contains(name))
            })
    }

    /// Whether it may sign with the key of the box and say who the members are.
    pub(crate) fn is_registry(&self) -> bool {
        self.everything || self.name.as_deref() == Some(REGISTRY)
    }
}

fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Protocol;

    #[test]
    fn a_user_may_speak_what_the_configuration_names() {
        let mut settings = Settings::default();
        let users = vec!["kv".to_owned()];
        let protocol = Protocol {
            users,
            activate: None,
        };
        settings.protocols.insert("kv-raft".to_owned(), protocol);
        let user = |name: &str| User {
            uid: 990,
            name: Some(name.to_owned()),
            everything: false,
        };
        assert!(user("kv").may_speak(&settings, "kv-raft"));
        assert!(!user("kv").may_speak(&settings, "sync"));
        assert!(!user("other").may_speak(&settings, "kv-raft"));
        assert!(!user("kv").is_registry());
        assert!(user(REGISTRY).is_registry());
    }

    #[test]
    fn users_are_found_by_number() {
        let passwd = "root:x:0:0::/:/bin/sh\nbroken\nkv:x:990:990::/:/bin/false\n";
        assert_eq!(name_of(passwd, 990), Some("kv"));
        assert_eq!(name_of(passwd, 99), None);
    }
}
