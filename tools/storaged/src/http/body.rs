//! Bodies of requests that are read whole: CBOR, within limits of size, memory and time.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::reply::Refusal;
use crate::pulse::Pulse;

/// How long a body may take.
const TIME: Duration = Duration::from_secs(600);
/// How long a body waits for memory.
const PATIENCE: Duration = Duration::from_secs(30);
/// Memory is taken in pieces of so many KiB.
const PIECE_KIB: u32 = 256;

/// A whole body, with the right to the memory that it takes.
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    /// Given back when the request is answered.
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Reads a body of CBOR of at most `most` bytes.
pub(super) async fn read(
    request: Request<Incoming>,
    most: usize,
    memory: &Arc<Semaphore>,
    pulse: &Pulse,
) -> Result<Whole, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.map(|kind| kind.to_str().unwrap_or_default());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case(guifi_tahoe::gbs::CBOR)) {
        return Err(Refusal::MediaType);
    }
    let mut body = request.into_body();
    if body.size_hint().lower() > most as u64 {
        return Err(Refusal::TooLong);
    }
    let end = Instant::now() + TIME;
    let mut whole = Whole {
        bytes: Vec::new(),
        memory: None,
    };
    loop {
        let frame = timeout_at(end, pulse.within(body.frame())).await;
        let frame = frame.ok().flatten().ok_or(Refusal::Late)?;
        let Some(frame) = frame else { break };
        let Ok(bytes) = frame
            .map_err(|_| Refusal::Bad("the body ended early"))?
            .into_data()
        else {
            continue;
        };
        if whole.bytes.len() + bytes.len() > most {
            return Err(Refusal::TooLong);
        }
        whole.reserve(bytes.len(), memory).await?;
        whole.bytes.extend_from_slice(&bytes);
    }
    Ok(whole)
}

impl Whole {
    /// Takes memory for so many bytes more: twice as much, since the message is read out of them.
    async fn reserve(&mut self, more: usize, memory: &Arc<Semaphore>) -> Result<(), Refusal> {
        let wanted = (self.bytes.len() + more) * 2 / 1024;
        while self
            .memory
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
            < wanted
        {
            let piece = memory.clone().acquire_many_owned(PIECE_KIB);
            let piece = tokio::time::timeout(PATIENCE, piece)
                .await
                .map_err(|_| Refusal::Late)?
                .map_err(|_| Refusal::Late)?;
            match &mut self.memory {
                Some(held) => held.merge(piece),
                None => self.memory = Some(piece),
            }
        }
        Ok(())
    }
}
