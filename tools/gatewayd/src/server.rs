//! One storage server, as a client of the protocol "Great Black Swamp" sees it.
//!
//! Source: `docs/specifications/http-storage-node-protocol.rst`; bodies are [`guifi_tahoe::gbs`].

mod body;
mod failure;
mod health;
mod pool;
mod request;
mod tls;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use guifi_tahoe::StorageIndex;
use guifi_tahoe::gbs::{
    self, Allocate, Allocated, Range, ReadTestWrite, ReadTestWritten, ShareNumber, Shares, Version,
};
use guifi_tahoe::secrets::Lease;
use hyper::{Method, StatusCode};

pub(crate) use body::Pieces;
pub(crate) use failure::Failure;
pub(crate) use health::Health;

pub(crate) use wire::{Dial, Either, Peer, Tcp};

use pool::Pool;
use request::{Ask, Secret};

use crate::grid::About;

/// Which of the two kinds of share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Written once.
    Immutable,
    /// Written again and again.
    Mutable,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Immutable => "immutable",
            Self::Mutable => "mutable",
        }
    }
}

/// Time for a request that moves little.
const SHORT: Duration = Duration::from_secs(30);
/// Time for one that moves up to a piece of a share.
const LONG: Duration = Duration::from_secs(120);

/// A server of the grid.
#[derive(Debug)]
pub(crate) struct Server {
    /// Who it is.
    pub(crate) about: About,
    /// How it behaves.
    pub(crate) health: Health,
    pool: Pool,
    authorization: String,
}

type Answer<T> = Result<T, Failure>;

impl Server {
    /// A server that `dial` reaches, and that knows us by `swissnum`.
    pub(crate) fn new(about: About, dial: Box<dyn Dial>, swissnum: &str) -> Self {
        Self {
            about,
            health: Health::default(),
            pool: Pool::new(dial),
            authorization: request::authorization(swissnum),
        }
    }

    /// What it is and has room for.
    pub(crate) async fn version(&self) -> Answer<Version> {
        let body = self
            .ask(Ask::new(Method::GET, "version".into(), SHORT))
            .await?;
        Ok(Version::decode(&body.ok()?)?)
    }

    /// The shares it holds of a file.
    pub(crate) async fn shares(&self, kind: Kind, index: &StorageIndex) -> Answer<Shares> {
        let path = format!("{}/{}/shares", kind.path(), name(index));
        let reply = self.ask(Ask::new(Method::GET, path, SHORT)).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(Shares::new());
        }
        Ok(gbs::decode_shares(&reply.ok()?)?)
    }

    /// Asks for room for shares of `size` bytes.
    pub(crate) async fn allocate(
        &self,
        index: &StorageIndex,
        shares: Shares,
        size: u64,
        lease: &Lease,
        upload: &[u8],
    ) -> Answer<Allocated> {
        let path = format!("immutable/{}", name(index));
        let body = Allocate { shares, size }.encode();
        let reply = self
            .ask(
                Ask::new(Method::POST, path, SHORT)
                    .secrets(lease_secrets(lease))
                    .secret(Secret::Upload, upload)
                    .body(body.into()),
            )
            .await?;
        Ok(Allocated::decode(&reply.ok()?)?)
    }

    /// Writes part of a share; gives what is still missing.
    pub(crate) async fn write(
        &self,
        index: &StorageIndex,
        share: ShareNumber,
        offset: u64,
        data: Pieces,
        upload: &[u8],
    ) -> Answer<Vec<Range>> {
        let last = offset + data.len().saturating_sub(1);
        let path = format!("immutable/{}/{share}", name(index));
        let reply = self
            .ask(
                Ask::new(Method::PATCH, path, LONG)
                    .header("content-range", format!("bytes {offset}-{last}/*"))
                    .secret(Secret::Upload, upload)
                    .body(data),
            )
            .await?;
        Ok(gbs::decode_required(&reply.ok()?)?)
    }

    /// Gives up a share that is being written.
    pub(crate) async fn abort(
        &self,
        index: &StorageIndex,
        share: ShareNumber,
        upload: &[u8],
    ) -> Answer<()> {
        let path = format!("immutable/{}/{share}/abort", name(index));
        let ask = Ask::new(Method::PUT, path, SHORT).secret(Secret::Upload, upload);
        self.ask(ask).await?.ok().map(drop)
    }

    /// Reads up to `length` bytes of a share; fewer at its end.
    pub(crate) async fn read(
        &self,
        kind: Kind,
        index: &StorageIndex,
        share: ShareNumber,
        offset: u64,
        length: u64,
    ) -> Answer<Bytes> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let path = format!("{}/{}/{share}", kind.path(), name(index));
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let reply = self
            .ask(
                Ask::new(Method::GET, path, LONG)
                    .header("range", range)
                    .most(length),
            )
            .await?;
        match reply.status {
            StatusCode::NO_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(Bytes::new()),
            StatusCode::PARTIAL_CONTENT => Ok(reply.body),
            _ => reply.ok(),
        }
    }

    /// Says that a share is not what it should be.
    pub(crate) async fn corrupt(
        &self,
        kind: Kind,
        index: &StorageIndex,
        share: ShareNumber,
        reason: &str,
    ) -> Answer<()> {
        let path = format!("{}/{}/{share}/corrupt", kind.path(), name(index));
        let ask = Ask::new(Method::POST, path, SHORT).body(gbs::encode_corrupt(reason).into());
        self.ask(ask).await?.ok().map(drop)
    }

    /// Adds or renews a lease; whether there was a share to lease.
    pub(crate) async fn lease(&self, index: &StorageIndex, lease: &Lease) -> Answer<bool> {
        let path = format!("lease/{}", name(index));
        let ask = Ask::new(Method::PUT, path, SHORT).secrets(lease_secrets(lease));
        let reply = self.ask(ask).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        reply.ok().map(|_| true)
    }

    /// Tests, reads and writes the mutable shares of a file, in one step.
    pub(crate) async fn read_test_write(
        &self,
        index: &StorageIndex,
        enabler: &[u8; 32],
        lease: &Lease,
        message: &ReadTestWrite,
    ) -> Answer<ReadTestWritten> {
        let path = format!("mutable/{}/read-test-write", name(index));
        let reply = self
            .ask(
                Ask::new(Method::POST, path, LONG)
                    .secrets(lease_secrets(lease))
                    .secret(Secret::WriteEnabler, enabler)
                    .body(message.encode().into()),
            )
            .await?;
        Ok(ReadTestWritten::decode(&reply.ok()?)?)
    }
}

fn name(index: &StorageIndex) -> String {
    guifi_tahoe::base32::encode(index)
}

fn lease_secrets(lease: &Lease) -> [(Secret, &[u8]); 2] {
    [
        (Secret::Renew, &lease.renew),
        (Secret::Cancel, &lease.cancel),
    ]
}
