//! Checking immutable files: who has shares, and on demand every byte of them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _, iter};
use guifi_tahoe::cap::ChkVerifier;
use guifi_tahoe::chk::{Decoder, HEAD, Need, Share};
use guifi_tahoe::gbs::Shares;
use guifi_tahoe::{Error, ShareNumber};

use super::{Report, of_shares};
use crate::download::{Window, read_needs, report};
use crate::engine::{Engine, blocking};
use crate::problem::Problem;
use crate::server::{Failure, Kind, Server};

/// Servers that are asked at most.
const MOST: usize = 60;
/// Shares that are verified at once.
const AT_ONCE: usize = 4;

/// Looks for the shares; with `verify` reads all of them.
pub(super) async fn check(
    engine: &Engine,
    cap: &ChkVerifier,
    verify: bool,
) -> Result<Report, Problem> {
    let index = &cap.storage_index;
    let mut servers = engine.servers(index);
    servers.truncate(MOST);
    let mut asking: FuturesUnordered<_> = servers
        .into_iter()
        .map(|server| async move {
            let shares = server.shares(Kind::Immutable, index).await;
            (server, shares)
        })
        .collect();
    let mut found: Vec<(Arc<Server>, Shares)> = Vec::new();
    while let Some((server, shares)) = asking.next().await {
        if let Ok(mut shares) = shares {
            shares.retain(|share| usize::from(*share) < cap.encoding.total());
            found.push((server, shares));
        }
    }
    let mut corrupt = Vec::new();
    if verify {
        let decoder = Arc::new(Mutex::new(Decoder::verifier(cap)));
        let each = found
            .iter()
            .flat_map(|(server, shares)| shares.iter().map(move |share| (server.clone(), *share)));
        let all: Vec<_> = each.collect();
        let mut verifying = iter(all)
            .map(|(server, share)| {
                let decoder = decoder.clone();
                async move {
                    let outcome = verify_share(&server, cap, share, decoder).await;
                    (server, share, outcome)
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((server, share, outcome)) = verifying.next().await {
            let Err(bad) = outcome else { continue };
            if let Some((_, shares)) = found.iter_mut().find(|(s, _)| Arc::ptr_eq(s, &server)) {
                shares.remove(&share);
            }
            if let Bad::Corrupt(e) = bad {
                report(&server, Kind::Immutable, index, share, &e.to_string());
                corrupt.push((server, share));
            }
        }
    }
    Ok(of_shares(cap, found, corrupt))
}

/// Why a share does not count.
enum Bad {
    /// It is not what was written.
    Corrupt(Error),
    /// It could not be read.
    Unread,
}

impl From<Failure> for Bad {
    fn from(_: Failure) -> Self {
        Self::Unread
    }
}

/// Reads and checks all of a share: its hashes, then block after block.
async fn verify_share(
    server: &Arc<Server>,
    cap: &ChkVerifier,
    number: ShareNumber,
    decoder: Arc<Mutex<Decoder>>,
) -> Result<(), Bad> {
    let index = &cap.storage_index;
    let window = Window::read(server, index, number, HEAD).await?;
    let mut share = Share::new(number, window.head()).map_err(Bad::Corrupt)?;
    let needs = {
        let decoder = decoder.lock().unwrap_or_else(PoisonError::into_inner);
        share.audit(&decoder).map_err(Bad::Corrupt)?
    };
    let none = Window::default();
    let parts = read_needs(server, index, number, needs, &none, 0).await?;
    share = take(share, decoder.clone(), parts).await?;
    for segment in 0.. {
        let needs = {
            let decoder = decoder.lock().unwrap_or_else(PoisonError::into_inner);
            let segments = decoder.parameters().map_or(0, |p| p.segments());
            if segment >= segments {
                break;
            }
            share.needs(&decoder, segment).map_err(Bad::Corrupt)?
        };
        let parts = read_needs(server, index, number, needs, &none, 0).await?;
        share = take(share, decoder.clone(), parts).await?;
    }
    Ok(())
}

async fn take(
    mut share: Share,
    decoder: Arc<Mutex<Decoder>>,
    parts: Vec<(Need, Bytes)>,
) -> Result<Share, Bad> {
    let taken = blocking(move || {
        let mut decoder = decoder.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts = parts.iter();
        let outcome = parts.try_for_each(|(need, bytes)| share.take(&mut decoder, need, bytes));
        Ok(outcome.map(|()| share))
    })
    .await;
    taken.map_err(|_| Bad::Unread)?.map_err(Bad::Corrupt)
}
