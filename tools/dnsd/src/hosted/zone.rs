//! A hosted zone as it is answered from, and the search in it (RFC 1034 section 4.3.2,
//! RFC 4592 for wildcards).

use std::sync::Arc;

use super::View;
use super::content::{Content, Cuts, shard};
use super::rrset::{Soa, name_at, stored, write_tail};
use super::spec::Access;
use crate::encode::rtype;
use crate::name::Name;
use crate::query::Question;
use crate::table::{Found as Node, Set, Table};

/// One state of a hosted zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name, lower case.
    pub name: Name,
    /// Number of the name's labels.
    pub labels: usize,
    /// The SOA record of negative answers, from its type on.
    pub soa: Box<[u8]>,
    /// Serial.
    pub serial: u32,
    /// Who may have all of it.
    pub transfer: Access,
    /// Under which view its changes are kept.
    pub kept_as: View,
    /// Whether it is a copy too old to answer from (RFC 1034 section 4.3.5).
    pub expired: bool,
    shards: Box<[Arc<Table>]>,
    cuts: Arc<Cuts>,
    wild: bool,
}

/// What a question finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found<'a> {
    /// The set asked for.
    Set(Set<'a>),
    /// The name stands for another one.
    Alias(Set<'a>),
    /// Others answer for the name: how many labels of it their zone has, and their servers.
    Referral(usize, Set<'a>),
    /// The name exists, or something below it, but no such set.
    NoData,
    /// There is no such name.
    Missing,
}

impl Zone {
    /// The zone as `content` has it now; `None` without SOA.
    pub fn new(content: &Content, transfer: Access, kept_as: View) -> Option<Self> {
        let apex = content.node(b"")?;
        let Node::Set(set) = apex.find(rtype::SOA) else {
            return None;
        };
        let (ttl, data) = stored(set.answer).next()?;
        let soa = Soa::read(data)?;
        let mut tail = Vec::new();
        write_tail(&mut tail, rtype::SOA, ttl.min(soa.minimum), data);
        Some(Self {
            name: content.origin().clone(),
            labels: content.origin().labels().count(),
            soa: tail.into(),
            serial: soa.serial,
            transfer,
            kept_as,
            expired: false,
            shards: content.shards().into(),
            cuts: content.cuts().clone(),
            wild: content.wild(),
        })
    }

    /// The tables, for those who want everything.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.shards
    }

    /// Time to live and data of the SOA record.
    pub fn start(&self) -> Option<(u32, Box<[u8]>)> {
        match self.node(b"")?.find(rtype::SOA) {
            Node::Set(set) => stored(set.answer)
                .next()
                .map(|(ttl, data)| (ttl, data.into())),
            _ => None,
        }
    }

    fn node(&self, name: &[u8]) -> Option<crate::table::Node<'_>> {
        self.shards[shard(name, self.shards.len())].node(name)
    }

    /// The set of a name anywhere in the zone, also below a cut: for additional records.
    pub fn glue(&self, question: &Question, rtype: u16) -> Option<Set<'_>> {
        let own = question.labels().checked_sub(self.labels)?;
        match self.node(question.between(0, own))?.find(rtype) {
            Node::Set(set) => Some(set),
            _ => None,
        }
    }

    /// Looks up a question whose name is at or below the apex.
    pub fn find(&self, question: &Question) -> Found<'_> {
        let own = question.labels().saturating_sub(self.labels);
        if !self.cuts.is_empty()
            && let Some(found) = self.referral(question, own)
        {
            return found;
        }
        if let Some(node) = self.node(question.between(0, own)) {
            return at(node, question.rtype);
        }
        if self.wild {
            // The closest name that exists decides (RFC 4592 section 3.3.1).
            for from in 1..=own {
                let encloser = question.between(from, own);
                if self.node(encloser).is_some() {
                    let mut name = [0; crate::name::MAX_NAME + 2];
                    name[..2].copy_from_slice(b"\x01*");
                    name[2..2 + encloser.len()].copy_from_slice(encloser);
                    return self
                        .node(&name[..2 + encloser.len()])
                        .map_or(Found::Missing, |node| at(node, question.rtype));
                }
            }
        }
        Found::Missing
    }

    fn referral(&self, question: &Question, own: usize) -> Option<Found<'_>> {
        for from in (0..own).rev() {
            let name = question.between(from, own);
            if !self.cuts.contains(name) {
                continue;
            }
            // The keys of the zone below are told by the zone above (RFC 4035 section 3.1.4.1).
            if from == 0 && question.rtype == rtype::DS {
                return None;
            }
            return match self.node(name)?.find(rtype::NS) {
                Node::Set(set) => Some(Found::Referral(self.labels + own - from, set)),
                _ => None,
            };
        }
        None
    }
}

fn at(node: crate::table::Node<'_>, asked: u16) -> Found<'_> {
    match node.find(asked) {
        Node::Set(set) => Found::Set(set),
        _ => match node.find(rtype::CNAME) {
            Node::Set(set) if asked != rtype::CNAME => Found::Alias(set),
            _ => Found::NoData,
        },
    }
}

/// The name that an alias stands for.
pub fn alias(set: Set<'_>) -> Option<&[u8]> {
    name_at(stored(set.answer).next()?.1, 0)
}
