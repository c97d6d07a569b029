//! Requests about immutable shares, and reading of both kinds.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use guifi_tahoe::gbs::{Allocate, MAX_ALLOCATE, MAX_REASON, decode_corrupt, encode_required};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::task::JoinHandle;

use super::buffer::{Buffer, SIZE};
use super::headers::{self, Part, Secrets};
use super::reply::{self, Refusal};
use super::{Content, Shop, body};
use crate::door::Client;
use crate::http::route::Lost;
use crate::pulse::Pulse;
use crate::store::{Account, Fault, Index, Kind, Place, Progress, Secret, Upload};

impl Shop {
    pub(super) async fn allocate(
        &self,
        index: Index,
        who: (Account, Client),
        request: Request<Incoming>,
        pulse: &Pulse,
    ) -> Result<Response<Content>, Refusal> {
        let wanted = [Secrets::Upload, Secrets::Renew, Secrets::Cancel];
        let [upload, renew, _] = headers::wanted(request.headers(), wanted)?;
        let whole = body::read(request, MAX_ALLOCATE, &self.memory, pulse).await?;
        let wish = Allocate::decode(&whole.bytes).map_err(|_| Refusal::Bad("no such message"))?;
        let secrets = [Secret::of(&upload), Secret::of(&renew)];
        let allocated = self
            .blocking(move |store| store.allocate(index, &wish, secrets, who))
            .await?;
        self.began.notify_one();
        Ok(reply::cbor(allocated.encode()))
    }

    pub(super) async fn abort(
        &self,
        place: Place,
        headers: &HeaderMap,
    ) -> Result<Response<Content>, Refusal> {
        let [secret] = headers::wanted(headers, [Secrets::Upload])?;
        let secret = Secret::of(&secret);
        let found = self
            .blocking(move |store| store.upload(place, secret))
            .await;
        let upload = match found {
            Err(Refusal::Store(Fault::Complete)) => {
                return Err(Refusal::Lost(Lost::Method("GET")));
            }
            found => found?,
        };
        // Who is writing comes to an end first: perhaps the share is whole then.
        let turn = upload.turn.clone().lock_owned().await;
        self.blocking(move |store| {
            let upload = store.upload(place, secret)?;
            store.drop_upload(&upload);
            Ok(())
        })
        .await?;
        drop(turn);
        Ok(reply::status(200))
    }

    pub(super) async fn write(
        &self,
        place: Place,
        request: Request<Incoming>,
        pulse: &Pulse,
    ) -> Result<Response<Content>, Refusal> {
        let [secret] = headers::wanted(request.headers(), [Secrets::Upload])?;
        let range = headers::content_range(request.headers()).ok_or(Refusal::Range)?;
        let secret = Secret::of(&secret);
        let upload = self
            .blocking(move |store| store.upload(place, secret))
            .await?;
        if range.1 > upload.size {
            return Err(Refusal::Range);
        }
        let size = request.body().size_hint();
        if size.exact().is_some_and(|size| size != range.1 - range.0) {
            return Err(Refusal::Bad("the body is not as long as its range"));
        }
        let _turn = upload.turn.clone().lock_owned().await;
        let begun = upload.clone();
        let file = Arc::new(
            self.blocking(move |store| store.open_upload(&begun))
                .await?,
        );
        self.receive(&upload, &file, range, request.into_body(), pulse)
            .await?;
        let progress = self
            .blocking(move |store| store.progress(&upload, &file))
            .await?;
        let (code, missing) = match progress {
            Progress::Missing(missing) => (StatusCode::OK, missing),
            Progress::Whole => (StatusCode::CREATED, Vec::new()),
        };
        let mut answer = reply::cbor(encode_required(&missing));
        *answer.status_mut() = code;
        Ok(answer)
    }

    /// Takes the bytes of a part as they come: one buffer fills while another is written.
    async fn receive(
        &self,
        upload: &Arc<Upload>,
        file: &Arc<File>,
        (mut at, end): (u64, u64),
        mut body: Incoming,
        pulse: &Pulse,
    ) -> Result<(), Refusal> {
        let mut buffer = self.pool.take();
        let mut writing: Option<JoinHandle<Result<(), Fault>>> = None;
        let mut received = at;
        while let Some(frame) = pulse.within(body.frame()).await.ok_or(Refusal::Late)? {
            let frame = frame.map_err(|_| Refusal::Bad("the body ended early"))?;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            received += bytes.len() as u64;
            if received > end {
                return Err(Refusal::Bad("the body is longer than its range"));
            }
            let wait = self.paces[0].take(bytes.len());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let mut left = &bytes[..];
            while !left.is_empty() {
                left = left.get(buffer.add(left)..).unwrap_or_default();
                if buffer.length == SIZE {
                    finish(writing.take()).await?;
                    let full = std::mem::replace(&mut buffer, self.pool.take());
                    writing = Some(self.put(upload, file, at, full));
                    at += SIZE as u64;
                }
            }
        }
        finish(writing.take()).await?;
        if buffer.length > 0 {
            finish(Some(self.put(upload, file, at, buffer))).await?;
        }
        if received < end {
            return Err(Refusal::Bad("the body is shorter than its range"));
        }
        Ok(())
    }

    fn put(
        &self,
        upload: &Arc<Upload>,
        file: &Arc<File>,
        at: u64,
        buffer: Buffer,
    ) -> JoinHandle<Result<(), Fault>> {
        let (store, upload, file) = (self.store.clone(), upload.clone(), file.clone());
        let count = buffer.length as u64;
        self.counters.received.fetch_add(count, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || store.write(&upload, &file, at, buffer.as_ref()))
    }

    pub(super) async fn read(
        &self,
        kind: Kind,
        place: Place,
        headers: &HeaderMap,
        pulse: &Pulse,
    ) -> Result<Response<Content>, Refusal> {
        let held = self.blocking(move |store| store.held(place, kind)).await?;
        let held = held.ok_or(Fault::NotFound)?;
        let (code, begin, end) = match headers::part(headers, held.size) {
            Part::Whole => (StatusCode::OK, 0, held.size),
            Part::Some(begin, end) => (StatusCode::PARTIAL_CONTENT, begin, end),
            Part::Nothing => return Ok(reply::status(204)),
            Part::Wrong => return Err(Refusal::Range),
        };
        let length = end - begin;
        self.counters.sent.fetch_add(length, Ordering::Relaxed);
        let content = Content::share(
            held.file,
            [begin, length],
            &self.pool,
            &self.paces[1],
            pulse,
        );
        let mut answer = Response::new(content);
        *answer.status_mut() = code;
        let headers = answer.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(CONTENT_LENGTH, length.into());
        if code == StatusCode::PARTIAL_CONTENT
            && let Ok(range) = format!("bytes {begin}-{}/*", end - 1).parse()
        {
            headers.insert(CONTENT_RANGE, range);
        }
        Ok(answer)
    }

    pub(super) async fn corrupt(
        &self,
        kind: Kind,
        place: Place,
        account: Account,
        request: Request<Incoming>,
        pulse: &Pulse,
    ) -> Result<Response<Content>, Refusal> {
        let there = self
            .blocking(move |store| store.numbers(place.index, Some(kind)))
            .await?;
        if !there.contains(&place.number) {
            return Err(Fault::NotFound.into());
        }
        // Room for the head of the message, too.
        let whole = body::read(request, MAX_REASON + 64, &self.memory, pulse).await?;
        let reason = decode_corrupt(&whole.bytes).map_err(|_| Refusal::Bad("no such message"))?;
        self.blocking(move |store| store.advise(place, account, &reason))
            .await?;
        Ok(reply::status(200))
    }
}

async fn finish(writing: Option<JoinHandle<Result<(), Fault>>>) -> Result<(), Refusal> {
    match writing {
        Some(writing) => Ok(writing.await.map_err(|e| Fault::Disk(e.to_string()))??),
        None => Ok(()),
    }
}
