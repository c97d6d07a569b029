//! Witnesses for the own addresses: a neighbour that sees this box at one of them says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use guifi_streams::Key;
use serde_json::Value;

use super::{Effect, Favour, Node, Now};
use crate::witness::{MAX, Statement};

/// From a new neighbour, or a new address, to the first request.
const FIRST: Duration = Duration::from_secs(3);
/// Between the requests to one neighbour and to the next, and the first pause when all have
/// been asked; each further pause is twice as long.
const NEXT: Duration = Duration::from_secs(10);
/// The longest pause, while an address has no witness or every one has.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// After this a statement is made anew, in milliseconds: 30 days.
const RENEW_MS: u64 = 30 * 24 * 3600 * 1000;

/// What is known of the own witnesses, beyond the own `box` record.
#[derive(Debug)]
pub(super) struct Witnessing {
    next: Instant,
    pause: Duration,
    /// Neighbours asked since the last pause.
    asked: BTreeSet<Key>,
    /// Statements that came, by address.
    met: BTreeMap<IpAddr, Statement>,
}

impl Witnessing {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now + FIRST,
            pause: NEXT,
            asked: BTreeSet::new(),
            met: BTreeMap::new(),
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// There is a new neighbour.
    pub(super) fn neighbour(&mut self, peer: Key, now: Instant) {
        if !self.asked.contains(&peer) {
            self.next = self.next.min(now + FIRST);
        }
    }

    /// The own addresses are others.
    pub(super) fn moved(&mut self, now: Instant) {
        *self = Self {
            met: std::mem::take(&mut self.met),
            ..Self::new(now)
        };
    }
}

impl Node {
    /// The statements that the own `box` record carries when it is written now: at most
    /// [`MAX`], in the order of the addresses.
    pub(super) fn own_witnesses(&self, now: Now) -> Vec<Statement> {
        let (ruling, time) = (self.book.ruling(), self.community_time(now));
        let listed = self.book.witnesses(self.own);
        let mut newest: BTreeMap<IpAddr, &Statement> = BTreeMap::new();
        for statement in listed.chain(self.witnessing.met.values()) {
            let held = newest.entry(statement.address).or_insert(statement);
            if statement.counts(ruling, self.own) && statement.time >= held.time {
                *held = statement;
            }
        }
        let addresses = self.reach.addresses.iter();
        addresses
            .filter_map(|address| newest.get(address))
            .filter(|s| s.counts(ruling, self.own) && s.is_timely(time))
            .take(MAX)
            .map(|s| (*s).clone())
            .collect()
    }

    /// Whether an address should get a witness, or a new one, and there is room for it.
    fn lacks_witnesses(&self, now: Now) -> bool {
        let time = self.community_time(now);
        let fresh = self.own_witnesses(now);
        let fresh = fresh.iter().filter(|s| s.time + RENEW_MS > time).count();
        fresh < self.reach.addresses.len().min(MAX)
    }

    /// Asks a neighbour whether it sees this box at an address, if it is time and one lacks a
    /// witness.
    pub(super) fn seek_witness(&mut self, now: Now) {
        if self.witnessing.next > now.at {
            return;
        }
        let lacks = self.lacks_witnesses(now);
        let linked: BTreeSet<Key> = self.linked().collect();
        let left: Vec<Key> = linked
            .difference(&self.witnessing.asked)
            .filter(|key| self.book.ruling().is_member(**key))
            .copied()
            .collect();
        let peer = if lacks { self.pick(&left) } else { None };
        let state = &mut self.witnessing;
        if let Some(peer) = peer {
            state.asked.insert(peer);
            state.next = now.at + NEXT;
            self.effects.push(Effect::Ask(peer, Favour::Witness));
            return;
        }
        // Everybody has been asked, or nothing is missing.
        if lacks {
            state.next = now.at + state.pause;
            state.pause = (state.pause * 2).min(LONGEST);
        } else {
            state.next = now.at + LONGEST;
            state.pause = NEXT;
        }
        state.asked.clear();
    }

    /// A member says that it met this box. Of an address that has a witness it is no news: where
    /// another address never gets one, all neighbours are asked again and again.
    pub fn witnessed(&mut self, statement: Statement, now: Now) {
        let time = self.community_time(now);
        let known = self.own_witnesses(now).into_iter();
        if known
            .filter(|held| held.time + RENEW_MS > time)
            .any(|held| held.address == statement.address)
        {
            return;
        }
        let good = self.reach.addresses.contains(&statement.address)
            && statement.counts(self.book.ruling(), self.own)
            && statement.is_timely(self.community_time(now))
            && statement.verify(&self.community(), self.own);
        if !good {
            log::debug!(
                "{} met this box at {}, which is no address of it, or the statement is not sound",
                statement.by,
                statement.address
            );
            return;
        }
        self.witnessing.met.insert(statement.address, statement);
        self.renew_soon(now);
    }

    /// The statements as the own record carries them.
    pub(super) fn witness_list(&self, now: Now) -> Vec<Value> {
        let statements = self.own_witnesses(now);
        statements.iter().map(Statement::json).collect()
    }
}
