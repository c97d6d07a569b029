//! Who the members are, as registryd says; and who may speak what.

use std::collections::{HashMap, HashSet};

use guifi_streams::{Configuration, Key, Member, Reason};

/// The one protocol that a stranger may speak.
pub(crate) const JOIN: &str = "join";

/// The members of the community, or of none.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Identity of the community; none: offline.
    pub(crate) community: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// The members.
    pub(crate) by_key: HashMap<Key, Member>,
    /// Who may not speak with this box.
    pub(crate) banned: HashSet<Key>,
}

impl Members {
    pub(crate) fn new(configuration: Configuration) -> Self {
        Self {
            community: configuration.community,
            name: configuration.name,
            by_key: configuration
                .members
                .into_iter()
                .map(|member| (member.key, member))
                .collect(),
            banned: configuration.banned.into_iter().collect(),
        }
    }

    /// Whether `key` is a member that is not banned.
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.by_key.contains_key(&key) && !self.banned.contains(&key)
    }

    /// Whether `key` may speak `protocol` with this box, in either direction.
    pub(crate) fn admit(&self, key: Key, protocol: &str) -> Result<(), Reason> {
        if self.banned.contains(&key) {
            return Err(Reason::Denied);
        }
        if protocol == JOIN || self.by_key.contains_key(&key) {
            return Ok(());
        }
        Err(Reason::Denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_may_only_join_and_the_banned_nothing() {
        let [member, banned, stranger] = [Key([1; 32]), Key([2; 32]), Key([3; 32])];
        let entry = |key| Member::new(key, Vec::new());
        let members = Members::new(Configuration {
            community: Some("c".to_owned()),
            members: vec![entry(member), entry(banned)],
            banned: vec![banned],
            ..Configuration::default()
        });
        assert_eq!(members.admit(member, "sync"), Ok(()));
        assert_eq!(members.admit(stranger, "join"), Ok(()));
        assert_eq!(members.admit(stranger, "sync"), Err(Reason::Denied));
        assert_eq!(members.admit(banned, "join"), Err(Reason::Denied));
        assert!(members.contains(member) && !members.contains(banned));
    }
}
