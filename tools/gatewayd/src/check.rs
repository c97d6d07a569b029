//! How many good shares of a file there are, and where; making missing ones anew.

mod immutable;
mod repair;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use guifi_tahoe::cap::{Cap, ChkVerifier, Object};
use guifi_tahoe::gbs::Shares;
use guifi_tahoe::placement::happiness;
use guifi_tahoe::{Encoding, ShareNumber, StorageIndex, base32};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::mutable::{self, Asking, Map};
use crate::problem::{Problem, Reason};
use crate::server::Server;

pub(crate) use repair::repair;
pub(crate) use walk::{Visit, walk};

/// What is wanted of a check.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// Reads every byte of every share.
    pub(crate) verify: bool,
    /// Makes missing shares anew.
    pub(crate) repair: bool,
    /// Adds or renews leases.
    pub(crate) lease: bool,
}

/// What a check found.
pub(crate) struct Report {
    index: StorageIndex,
    pub(crate) encoding: Encoding,
    /// Good shares, as far as was looked, by server.
    pub(crate) good: Vec<(Arc<Server>, Shares)>,
    /// Damaged ones.
    pub(crate) corrupt: Vec<(Arc<Server>, ShareNumber)>,
    responding: Vec<Arc<Server>>,
    /// Good shares of older versions.
    wrong: usize,
    recoverable_versions: usize,
    unrecoverable_versions: usize,
}

impl Report {
    fn numbers(&self) -> Shares {
        self.good
            .iter()
            .flat_map(|(_, shares)| shares)
            .copied()
            .collect()
    }

    /// Whether every share is there.
    pub(crate) fn is_healthy(&self) -> bool {
        self.numbers().len() >= self.encoding.total()
            && self.wrong == 0
            && self.unrecoverable_versions == 0
            && self.recoverable_versions == 1
    }

    /// Whether it can be read.
    pub(crate) fn is_recoverable(&self) -> bool {
        self.recoverable_versions > 0
    }

    fn held(&self) -> Vec<Shares> {
        self.good.iter().map(|(_, shares)| shares.clone()).collect()
    }

    /// In the form of Tahoe's `t=check&output=JSON`.
    pub(crate) fn json(&self) -> Value {
        let id = |server: &Arc<Server>| server.about.id.clone();
        let index = base32::encode(&self.index);
        let mut sharemap: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (server, shares) in &self.good {
            for share in shares {
                sharemap
                    .entry(share.to_string())
                    .or_default()
                    .push(id(server));
            }
        }
        sharemap
            .values_mut()
            .for_each(|servers| servers.sort_unstable());
        let (good, needed, total) = (
            self.numbers().len(),
            self.encoding.needed(),
            self.encoding.total(),
        );
        let summary = if self.is_healthy() {
            "Healthy".to_owned()
        } else if self.is_recoverable() {
            format!("Not Healthy: {good} shares (enc {needed}-of-{total})")
        } else {
            format!("Not Recoverable: {good} shares (enc {needed}-of-{total})")
        };
        let corrupt: Vec<Value> = self
            .corrupt
            .iter()
            .map(|(server, share)| json!([id(server), index, share]))
            .collect();
        json!({
            "storage-index": index,
            "summary": summary,
            "results": {
                "healthy": self.is_healthy(),
                "recoverable": self.is_recoverable(),
                "count-happiness": happiness(&self.held()),
                "count-shares-good": good,
                "count-shares-needed": needed,
                "count-shares-expected": total,
                "count-good-share-hosts": self.good.iter().filter(|(_, s)| !s.is_empty()).count(),
                "count-wrong-shares": self.wrong,
                "count-corrupt-shares": corrupt.len(),
                "list-corrupt-shares": corrupt,
                "servers-responding": self.responding.iter().map(id).collect::<Vec<_>>(),
                "sharemap": sharemap,
                "count-recoverable-versions": self.recoverable_versions,
                "count-unrecoverable-versions": self.unrecoverable_versions,
            },
        })
    }
}

/// Looks for the shares of a file or directory; nothing for what has none.
///
/// # Errors
/// If that is not known how.
pub(crate) async fn check(
    engine: &Engine,
    cap: &Cap,
    wanted: Wanted,
) -> Result<Option<Report>, Problem> {
    let Some(object) = cap.object() else {
        return Err(Problem::bad("this cap is of a kind that is not known"));
    };
    let report = match object.to_verifier() {
        None => return Ok(None),
        Some(Object::ChkVerifier(cap)) => immutable::check(engine, &cap, wanted.verify).await?,
        Some(Object::Verifier(cap)) => {
            mutable::known(cap.format)?;
            // Shares of mutable files are verified whenever they are read.
            let map = Map::look(engine, &cap, &Asking::Reader).await?;
            of_map(engine, cap.storage_index, &map)?
        }
        Some(_) => return Err(Problem::new(Reason::Internal, "no verify cap")),
    };
    if wanted.lease {
        renew(engine, &report).await;
    }
    Ok(Some(report))
}

fn of_map(engine: &Engine, index: StorageIndex, map: &Map) -> Result<Report, Problem> {
    let versions = map.versions();
    let is_readable =
        |shares: &BTreeMap<ShareNumber, _>, encoding: Encoding| shares.len() >= encoding.needed();
    let mut newest = None;
    let (mut recoverable, mut unrecoverable) = (0, 0);
    for (version, shares) in &versions {
        let Some(encoding) = shares.values().next().map(|share| share.encoding()) else {
            continue;
        };
        if is_readable(shares, encoding) {
            recoverable += 1;
            newest = Some((*version, encoding));
        } else {
            unrecoverable += 1;
        }
    }
    let mut report = Report {
        index,
        encoding: match (newest, map.origin()) {
            (Some((_, encoding)), _) | (None, Some((encoding, _))) => encoding,
            (None, None) => engine.plan()?.encoding,
        },
        good: Vec::new(),
        corrupt: Vec::new(),
        responding: map.servers.clone(),
        wrong: 0,
        recoverable_versions: recoverable,
        unrecoverable_versions: unrecoverable,
    };
    for found in &map.found {
        match &found.share {
            None => report.corrupt.push((found.server.clone(), found.number)),
            Some(share) if newest.is_none_or(|(version, _)| version == share.version()) => {
                report
                    .good
                    .push((found.server.clone(), Shares::from([found.number])));
            }
            Some(_) => report.wrong += 1,
        }
    }
    Ok(report)
}

/// Adds or renews the leases of a file where it is. What fails is tried at the next check.
async fn renew(engine: &Engine, report: &Report) {
    let holders = report.good.iter().filter(|(_, shares)| !shares.is_empty());
    let renewals = holders.map(|(server, _)| async move {
        let lease = engine.secrets.lease(&report.index, server);
        if let Err(e) = server.lease(&report.index, &lease).await {
            log::warn!(
                "{}: cannot renew a lease: {e}",
                crate::upload::shown(server)
            );
        }
    });
    join_all(renewals).await;
}

/// The report of an immutable file.
fn of_shares(
    cap: &ChkVerifier,
    good: Vec<(Arc<Server>, Shares)>,
    corrupt: Vec<(Arc<Server>, ShareNumber)>,
) -> Report {
    let numbers: Shares = good
        .iter()
        .flat_map(|(_, shares)| shares)
        .copied()
        .collect();
    let recoverable = usize::from(numbers.len() >= cap.encoding.needed());
    Report {
        index: cap.storage_index,
        encoding: cap.encoding,
        responding: good.iter().map(|(server, _)| server.clone()).collect(),
        good,
        corrupt,
        wrong: 0,
        recoverable_versions: recoverable,
        unrecoverable_versions: 1 - recoverable,
    }
}
