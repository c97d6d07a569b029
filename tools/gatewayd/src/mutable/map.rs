//! Which servers hold which shares of which version of a mutable file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use guifi_tahoe::cap::{Verifier, Write};
use guifi_tahoe::gbs::{self, ReadTestWrite};
use guifi_tahoe::mutable::sdmf::{self, Share, Version};
use guifi_tahoe::secrets::write_enabler;
use guifi_tahoe::{Encoding, ShareNumber};
use tokio::time::sleep;

use crate::download::report;
use crate::engine::{Engine, blocking};
use crate::problem::{Problem, Reason};
use crate::server::{Failure, Kind, Server};
use crate::upload::shown;

/// What is read of each share at first, in bytes: all of a small directory.
const FIRST: u64 = 32 << 10;
/// Servers that are asked at most.
const MOST: usize = 60;
/// When a version can be read, others are waited for this long at least, and at most for
/// [`LAG`] times what the ones that answered took.
const GRACE: Duration = Duration::from_millis(300);
/// See [`GRACE`].
const LAG: u32 = 5;

/// As who servers are asked.
pub(crate) enum Asking<'a> {
    /// Who may read or verify.
    Reader,
    /// Who may write: one request gives all shares of a server.
    Writer(&'a Write),
}

/// A share that is there.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) server: Arc<Server>,
    pub(crate) number: ShareNumber,
    /// Its bytes verified; none if they are not what they should be.
    pub(crate) share: Option<Share>,
    /// What a write over it is tested against.
    pub(crate) checkstring: Bytes,
}

/// What was found.
#[derive(Clone, Default)]
pub(crate) struct Map {
    pub(crate) found: Vec<Found>,
    /// Servers that answered, in the order of the file.
    pub(crate) servers: Vec<Arc<Server>>,
}

/// Bytes of a share, and how long it is.
type Raw = (ShareNumber, Bytes);

impl Map {
    /// Asks the servers.
    ///
    /// # Errors
    /// None but of the system: servers that do not answer are left out.
    pub(crate) async fn look(
        engine: &Engine,
        cap: &Verifier,
        asking: &Asking<'_>,
    ) -> Result<Self, Problem> {
        let begin = Instant::now();
        let mut servers = engine.servers(&cap.storage_index);
        servers.truncate(MOST);
        let mut running: FuturesUnordered<_> = servers
            .iter()
            .enumerate()
            .map(|(place, server)| async move { (place, ask(engine, server, cap, asking).await) })
            .collect();
        let mut map = Self::default();
        let mut answered = Vec::new();
        let mut patience: Option<Duration> = None;
        loop {
            let late = async {
                match patience {
                    Some(time) => sleep(time.saturating_sub(begin.elapsed())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                next = running.next() => {
                    let Some((place, answer)) = next else { break };
                    let server = &servers[place];
                    match answer {
                        Ok(raw) => {
                            answered.push(place);
                            map.found.extend(verify(cap, server, raw).await?);
                        }
                        Err(e) => log::debug!("{}: no shares: {e}", shown(server)),
                    }
                }
                () = late => break,
            }
            if patience.is_none() && map.newest().is_some() {
                patience = Some((begin.elapsed() * LAG).max(begin.elapsed() + GRACE));
            }
        }
        answered.sort_unstable();
        map.servers = answered
            .into_iter()
            .filter_map(|place| servers.get(place).cloned())
            .collect();
        Ok(map)
    }

    /// Shares by version.
    pub(crate) fn versions(&self) -> BTreeMap<Version, BTreeMap<ShareNumber, &Share>> {
        let mut versions: BTreeMap<Version, BTreeMap<ShareNumber, &Share>> = BTreeMap::new();
        for found in &self.found {
            if let Some(share) = &found.share {
                let version = versions.entry(share.version()).or_default();
                version.entry(found.number).or_insert(share);
            }
        }
        versions
    }

    /// The shares of the newest version that can be read.
    pub(crate) fn newest(&self) -> Option<Vec<Share>> {
        let readable = self.versions().into_iter().rev().find(|(_, shares)| {
            let needed = shares
                .values()
                .next()
                .map(|share| share.encoding().needed());
            needed.is_some_and(|needed| shares.len() >= needed)
        });
        Some(readable?.1.into_values().cloned().collect())
    }

    /// Whether there are shares of a version that is newer than the one that can be read: somebody
    /// is writing it, or ended in the middle.
    pub(crate) fn is_unsettled(&self) -> bool {
        let versions = self.versions();
        let newest = versions.iter().next_back();
        newest.is_some_and(|(_, shares)| {
            let needed = shares
                .values()
                .next()
                .map(|share| share.encoding().needed());
            needed.is_some_and(|needed| shares.len() < needed)
        })
    }

    /// Servers that have shares, in the order of the file.
    pub(crate) fn order(&self) -> Vec<String> {
        let has = |server: &&Arc<Server>| {
            let mut found = self.found.iter();
            found.any(|found| found.server.about.id == server.about.id)
        };
        let holders = self.servers.iter().filter(has);
        holders.map(|server| server.about.id.clone()).collect()
    }

    /// The highest sequence number of any share.
    pub(crate) fn highest(&self) -> u64 {
        let numbers = self.found.iter().filter_map(|found| found.share.as_ref());
        numbers
            .map(|share| share.version().sequence)
            .max()
            .unwrap_or(0)
    }

    /// How the file is cut, and its encrypted private key.
    pub(crate) fn origin(&self) -> Option<(Encoding, Vec<u8>)> {
        let shares = self.found.iter().filter_map(|found| found.share.as_ref());
        let share = shares.max_by_key(|share| share.version())?;
        Some((share.encoding(), share.encrypted_key().to_vec()))
    }

    /// Whether nobody holds anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Why it cannot be read.
    pub(crate) fn unreadable(&self) -> Problem {
        let good = self.found.iter().filter(|found| found.share.is_some());
        Problem::new(
            Reason::Gone,
            format!(
                "the newest version cannot be read now: {} servers answer, with {} good shares of it",
                self.servers.len(),
                good.count()
            ),
        )
    }
}

async fn ask(
    engine: &Engine,
    server: &Server,
    cap: &Verifier,
    asking: &Asking<'_>,
) -> Result<Vec<Raw>, Failure> {
    let index = &cap.storage_index;
    let first: Vec<Raw> = match asking {
        Asking::Writer(cap) => {
            let message = ReadTestWrite {
                vectors: BTreeMap::new(),
                reads: vec![gbs::Read {
                    offset: 0,
                    size: FIRST,
                }],
            };
            let enabler = write_enabler(&cap.writekey, &server.about.tubid);
            let lease = engine.secrets.lease(index, server);
            let answer = server
                .read_test_write(index, &enabler, &lease, &message)
                .await?;
            answer
                .data
                .into_iter()
                .filter_map(|(share, mut read)| Some((share, read.pop()?.into())))
                .collect()
        }
        Asking::Reader => {
            let shares = server.shares(Kind::Mutable, index).await?;
            let read = shares.into_iter().map(|share| async move {
                let bytes = server.read(Kind::Mutable, index, share, 0, FIRST).await?;
                Ok::<_, Failure>((share, bytes))
            });
            try_join_all(read).await?
        }
    };
    let whole = first.into_iter().map(|(share, bytes)| async move {
        let length = sdmf::share_length(&bytes).ok().flatten().unwrap_or(0);
        let have = bytes.len() as u64;
        if length <= have || have < FIRST || length > 2 * sdmf::MAX_LENGTH as u64 {
            return Ok((share, bytes));
        }
        let rest = server
            .read(Kind::Mutable, index, share, have, length - have)
            .await?;
        Ok::<_, Failure>((share, [bytes, rest].concat().into()))
    });
    try_join_all(whole).await
}

/// Checks what a server sent, and tells it of shares that are damaged.
async fn verify(
    cap: &Verifier,
    server: &Arc<Server>,
    raw: Vec<Raw>,
) -> Result<Vec<Found>, Problem> {
    let (cap, server) = (cap.clone(), server.clone());
    blocking(move || {
        let check = |(number, bytes): Raw| {
            let share = Share::verify(&cap, number, &bytes)
                .inspect_err(|e| {
                    let (kind, index) = (Kind::Mutable, &cap.storage_index);
                    report(&server, kind, index, number, &e.to_string());
                })
                .ok();
            let end = bytes.len().min(sdmf::CHECKSTRING);
            Found {
                server: server.clone(),
                number,
                share,
                checkstring: bytes.slice(..end),
            }
        };
        Ok(raw.into_iter().map(check).collect())
    })
    .await
}
