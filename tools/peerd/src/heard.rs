//! What is announced on the link, by whomever: only what names a member is looked at, and of one
//! member only so much.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use guifi_streams::Key;

use crate::members::Members;

/// How many announcements are kept.
const MAX: usize = 1024;
/// How many of one member: it has one for each link and protocol.
const MAX_MEMBER: usize = 8;
/// How many are resolved at once: those that nobody answers for hold up no others.
const MAX_ASKED: usize = 16;
/// How much of the key is in the name.
const PREFIX: usize = 16;

/// Where an announcement was heard: name, interface, protocol.
pub(crate) type Place = (String, i32, i32);

#[derive(Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Asked,
    Found(Key, SocketAddr),
    Nothing,
}

/// The announcements.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    all: HashMap<Place, (String, State)>,
    known: Arc<Members>,
    /// The beginnings of their keys.
    members: HashSet<String>,
}

/// The name under which a box is announced: no other box can have it, so that Avahi never has to
/// change it.
pub(crate) fn name(key: Key) -> String {
    format!("b-{}", &key.to_string()[..PREFIX])
}

/// The part of an announced name that is made of the key.
fn prefix(name: &str) -> Option<&str> {
    name.strip_prefix("b-")?.get(..PREFIX)
}

impl Heard {
    /// Learns who the members are; repeating it costs nothing.
    pub(crate) fn know(&mut self, members: Arc<Members>) {
        if Arc::ptr_eq(&self.known, &members) {
            return;
        }
        let keys = members.by_key.keys();
        self.members = keys.map(|k| k.to_string()[..PREFIX].to_owned()).collect();
        self.known = members;
    }

    fn is_member(&self, place: &Place) -> bool {
        prefix(&place.0).is_some_and(|p| self.members.contains(p))
    }

    /// An announcement came, in a domain. When there are too many, members' displace others.
    pub(crate) fn come(&mut self, place: Place, domain: String) {
        if self.all.len() >= MAX {
            let other = self.all.keys().find(|p| !self.is_member(p)).cloned();
            match other.filter(|_| self.is_member(&place)) {
                Some(other) => drop(self.all.remove(&other)),
                None => return,
            }
        }
        self.all.entry(place).or_insert((domain, State::Waiting));
    }

    /// An announcement went.
    pub(crate) fn go(&mut self, place: &Place) {
        self.all.remove(place);
    }

    /// The next to resolve, with its domain.
    pub(crate) fn next(&mut self) -> Option<(Place, String)> {
        let mut asked = 0;
        let mut taken: HashMap<&str, usize> = HashMap::new();
        for ((name, ..), (_, state)) in &self.all {
            if let (Some(prefix), State::Asked | State::Found(..)) = (prefix(name), state) {
                asked += usize::from(*state == State::Asked);
                *taken.entry(prefix).or_default() += 1;
            }
        }
        if asked >= MAX_ASKED {
            return None;
        }
        let (place, domain) = self.all.iter().find_map(|(place, (domain, state))| {
            let own = taken.get(prefix(&place.0)?).copied().unwrap_or_default();
            let next = *state == State::Waiting && self.is_member(place) && own < MAX_MEMBER;
            next.then(|| (place.clone(), domain.clone()))
        })?;
        if let Some((_, state)) = self.all.get_mut(&place) {
            *state = State::Asked;
        }
        Some((place, domain))
    }

    /// What resolving gave. It counts only if it is who its name says.
    pub(crate) fn found(&mut self, place: &Place, found: Option<(Key, SocketAddr)>) {
        if let Some((_, state)) = self.all.get_mut(place) {
            let named = |key: &Key| prefix(&place.0) == Some(&key.to_string()[..PREFIX]);
            *state = match found.filter(|(key, _)| named(key)) {
                Some((key, address)) => State::Found(key, address),
                None => State::Nothing,
            };
        }
    }

    /// Where members were heard.
    pub(crate) fn addresses(&self) -> HashMap<Key, Vec<SocketAddr>> {
        let mut addresses: HashMap<Key, Vec<SocketAddr>> = HashMap::new();
        for (_, state) in self.all.values() {
            if let State::Found(key, address) = state {
                addresses.entry(*key).or_default().push(*address);
            }
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use guifi_streams::{Configuration, Member};

    fn heard(members: &[Key]) -> Heard {
        let mut heard = Heard::default();
        heard.know(Arc::new(Members::new(Configuration {
            members: members
                .iter()
                .map(|k| Member::new(*k, Vec::new()))
                .collect(),
            ..Configuration::default()
        })));
        heard
    }

    fn at(name: &str, interface: i32) -> Place {
        (name.to_owned(), interface, 0)
    }

    #[test]
    fn a_link_full_of_strangers_hides_no_member() {
        let member = Key([1; 32]);
        let mut heard = heard(&[member]);
        for i in 0..5000 {
            heard.come(at(&format!("b-{i:016}"), 1), "local".to_owned());
        }
        assert_eq!(heard.next(), None, "strangers are not looked at");
        let place = at(&name(member), 1);
        heard.come(place.clone(), "local".to_owned());
        assert_eq!(heard.all.len(), MAX);
        assert_eq!(heard.next(), Some((place.clone(), "local".to_owned())));
        let address = SocketAddr::from(([192, 0, 2, 1], 7656));
        heard.found(&place, Some((member, address)));
        assert_eq!(heard.addresses(), HashMap::from([(member, vec![address])]));
        heard.go(&place);
        assert!(heard.addresses().is_empty());
    }

    #[test]
    fn who_is_announced_a_thousand_times_is_resolved_a_few_times() {
        let [member, other] = [Key([1; 32]), Key([2; 32])];
        let mut heard = heard(&[member, other]);
        for i in 0..1000 {
            heard.come(at(&format!("{} {i}", name(member)), 1), "local".to_owned());
        }
        let first: Vec<_> = std::iter::from_fn(|| heard.next()).collect();
        assert_eq!(first.len(), MAX_MEMBER);
        heard.come(at(&name(other), 1), "local".to_owned());
        assert_eq!(heard.next().unwrap().0, at(&name(other), 1));
        // One that names another key than it is counts for nothing.
        let address = SocketAddr::from(([192, 0, 2, 1], 7656));
        heard.found(&first[0].0, Some((other, address)));
        assert!(heard.addresses().is_empty());
    }

    #[test]
    fn who_becomes_a_member_was_heard_before() {
        let later = Key([3; 32]);
        let mut none = heard(&[]);
        none.come(at(&name(later), 1), "local".to_owned());
        assert_eq!(none.next(), None);
        none.members = heard(&[later]).members;
        assert!(none.next().is_some());
    }
}
