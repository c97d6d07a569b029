//! One share on its way to one server.

use std::sync::Arc;

use bytes::Bytes;
use guifi_tahoe::hash::Hash;
use guifi_tahoe::{ShareNumber, StorageIndex};
use tokio::sync::mpsc;

use crate::server::{Failure, Pieces, Server};

/// Bytes sent in a request, at least: official clients send as much.
const PIECE: u64 = 1_000_000;
/// Blocks that wait for a server.
const WAITING: usize = 3;

/// The receiving end of a lane.
pub(super) struct Lane {
    server: Arc<Server>,
    index: StorageIndex,
    share: ShareNumber,
    secret: Hash,
    size: u64,
    blocks: mpsc::Receiver<Bytes>,
}

pub(super) fn new(
    server: Arc<Server>,
    index: StorageIndex,
    share: ShareNumber,
    secret: Hash,
    size: u64,
) -> (mpsc::Sender<Bytes>, Lane) {
    let (sender, blocks) = mpsc::channel(WAITING);
    let lane = Lane {
        server,
        index,
        share,
        secret,
        size,
        blocks,
    };
    (sender, lane)
}

impl Lane {
    /// Sends what comes; whole or not at all.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let (mut offset, mut piece) = (0, Pieces::default());
        while let Some(block) = self.blocks.recv().await {
            piece.push(block);
            let last = offset + piece.len() == self.size;
            if piece.len() >= PIECE || last {
                let length = piece.len();
                let sent = std::mem::take(&mut piece);
                let missing = self
                    .server
                    .write(&self.index, self.share, offset, sent, &self.secret)
                    .await?;
                offset += length;
                if last && !missing.is_empty() {
                    return Err(Failure::Nonsense("parts are missing at the end".into()));
                }
            }
        }
        if offset == self.size {
            return Ok(());
        }
        // The file could not be encoded to its end.
        self.server
            .abort(&self.index, self.share, &self.secret)
            .await?;
        Err(Failure::Nonsense("the upload was given up".into()))
    }
}
