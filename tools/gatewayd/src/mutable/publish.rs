//! Writing one version: a share to each place where one is, and to new places for the others.
//!
//! All who write go to one server first, the first in the file's order that has a share. Its test
//! lets one of them through; the others have changed nothing. If they wrote everywhere at once,
//! each could overwrite a few shares, and no version would be left that can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use guifi_tahoe::cap::Write;
use guifi_tahoe::gbs::{self, ReadTestWrite, ReadTestWritten, Shares, Test, TestWrite};
use guifi_tahoe::mutable::{KeyPair, sdmf};
use guifi_tahoe::placement::happiness;
use guifi_tahoe::secrets::write_enabler;
use guifi_tahoe::{Encoding, ShareNumber};

use super::map::Map;
use crate::engine::{Engine, blocking};
use crate::problem::{Problem, Reason};
use crate::server::{Failure, Server};
use crate::upload::{shown, spread};

/// What a version is written with.
pub(crate) struct Publish<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) cap: &'a Write,
    pub(crate) key: Arc<KeyPair>,
    pub(crate) encoding: Encoding,
    /// Servers that must hold different shares.
    pub(crate) happy: usize,
}

/// What one server is to hold, with what it holds now; nothing: there is no such share yet.
type Places = BTreeMap<String, (Arc<Server>, BTreeMap<ShareNumber, Option<Bytes>>)>;

impl Publish<'_> {
    /// Writes; `false` if somebody else wrote since the map was made.
    ///
    /// # Errors
    /// If too few servers take it.
    pub(crate) async fn write(
        &self,
        map: &Map,
        sequence: u64,
        contents: Bytes,
    ) -> Result<bool, Problem> {
        let (key, encoding) = (self.key.clone(), self.encoding);
        let shares =
            blocking(move || Ok(sdmf::encode(&key, encoding, sequence, &contents)?)).await?;
        self.send(map, &shares).await
    }

    /// Sends all shares of a version.
    async fn send(&self, map: &Map, shares: &[Vec<u8>]) -> Result<bool, Problem> {
        let index = self.cap.to_readonly().storage_index();
        let candidates = if map.servers.is_empty() {
            self.engine.servers(&index)
        } else {
            map.servers.clone()
        };
        let mut places = place(map, spread(candidates.clone()), self.encoding);
        let mut held: BTreeMap<String, Shares> = BTreeMap::new();
        let mut lost: Vec<(Arc<Server>, Failure)> = Vec::new();
        for id in map.order() {
            let Some((server, tests)) = places.remove(&id) else {
                continue;
            };
            let (server, numbers, answer) = self.send_one(&index, server, tests, shares).await;
            match answer {
                Ok(written) if written.success => {
                    held.insert(id, numbers);
                    break;
                }
                Ok(_) => return Ok(false),
                // The next one decides.
                Err(e) => lost.push((server, e)),
            }
        }
        // Shares of servers that failed go to others, once.
        for _ in 0..2 {
            let sending = places
                .into_values()
                .map(|(server, tests)| self.send_one(&index, server, tests, shares));
            for (server, numbers, answer) in join_all(sending).await {
                match answer {
                    Ok(written) if written.success => {
                        held.insert(server.about.id.clone(), numbers);
                    }
                    Ok(_) => return Ok(false),
                    Err(e) => lost.push((server, e)),
                }
            }
            places = self.substitutes(&held, &candidates, &lost);
            if places.is_empty() {
                break;
            }
        }
        let held: Vec<Shares> = held.into_values().collect();
        let reached = happiness(&held);
        if reached >= self.happy {
            return Ok(true);
        }
        let mut text = format!(
            "only {reached} servers took the new version, but {} are needed",
            self.happy
        );
        for (server, why) in lost.iter().take(3) {
            text += &format!("; {}: {why}", shown(server));
        }
        Err(Problem::new(Reason::Unavailable, text))
    }

    /// Places for shares that nobody holds now, at servers that hold none.
    fn substitutes(
        &self,
        held: &BTreeMap<String, Shares>,
        candidates: &[Arc<Server>],
        lost: &[(Arc<Server>, Failure)],
    ) -> Places {
        if lost.is_empty() {
            return Places::new();
        }
        let placed: Shares = held.values().flatten().copied().collect();
        let missing = numbers(self.encoding).filter(|share| !placed.contains(share));
        let free = candidates.iter().filter(|server| {
            !held.contains_key(&server.about.id)
                && !lost
                    .iter()
                    .any(|(other, _)| other.about.id == server.about.id)
        });
        missing
            .zip(free)
            .map(|(share, server)| {
                let tests = BTreeMap::from([(share, None)]);
                (server.about.id.clone(), (server.clone(), tests))
            })
            .collect()
    }

    async fn send_one(
        &self,
        index: &guifi_tahoe::StorageIndex,
        server: Arc<Server>,
        tests: BTreeMap<ShareNumber, Option<Bytes>>,
        shares: &[Vec<u8>],
    ) -> (Arc<Server>, Shares, Result<ReadTestWritten, Failure>) {
        let numbers = tests.keys().copied().collect();
        let message = ReadTestWrite {
            vectors: tests
                .into_iter()
                .filter_map(|(number, old)| {
                    let new = shares.get(usize::from(number))?;
                    Some((number, test_write(old, new)))
                })
                .collect(),
            reads: Vec::new(),
        };
        let enabler = write_enabler(&self.cap.writekey, &server.about.tubid);
        let lease = self.engine.secrets.lease(index, &server);
        let answer = server
            .read_test_write(index, &enabler, &lease, &message)
            .await;
        (server, numbers, answer)
    }
}

fn test_write(old: Option<Bytes>, new: &[u8]) -> TestWrite {
    let (size, specimen) = match old {
        Some(checkstring) => (checkstring.len() as u64, checkstring.to_vec()),
        None => (1, Vec::new()),
    };
    TestWrite {
        tests: vec![Test {
            offset: 0,
            size,
            specimen,
        }],
        writes: vec![gbs::Write {
            offset: 0,
            data: new.to_vec(),
        }],
        new_length: Some(new.len() as u64),
    }
}

fn numbers(encoding: Encoding) -> impl Iterator<Item = ShareNumber> {
    (0..encoding.total()).filter_map(|share| ShareNumber::try_from(share).ok())
}

/// Where the shares go: to where they are, those that are nowhere to servers with the fewest.
pub(crate) fn place(map: &Map, servers: Vec<Arc<Server>>, encoding: Encoding) -> Places {
    let mut places: Places = servers
        .iter()
        .map(|server| (server.about.id.clone(), (server.clone(), BTreeMap::new())))
        .collect();
    let mut placed: BTreeSet<ShareNumber> = BTreeSet::new();
    for found in &map.found {
        if usize::from(found.number) >= encoding.total() {
            continue;
        }
        if let Some((_, tests)) = places.get_mut(&found.server.about.id) {
            tests.insert(found.number, Some(found.checkstring.clone()));
            placed.insert(found.number);
        }
    }
    for share in numbers(encoding).filter(|share| !placed.contains(share)) {
        // The first of those with the fewest, in the order of the file.
        let load = |server: &&Arc<Server>| places.get(&server.about.id).map_or(0, |p| p.1.len());
        let Some(server) = servers.iter().min_by_key(load) else {
            break;
        };
        if let Some((_, tests)) = places.get_mut(&server.about.id) {
            tests.insert(share, None);
        }
    }
    places.retain(|_, (_, tests)| !tests.is_empty());
    places
}
