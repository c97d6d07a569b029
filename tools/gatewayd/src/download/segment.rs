//! One segment: the fastest k shares, others where one is slow, lost or wrong.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use guifi_tahoe::chk::{Decoder, Need, Part, Segment, Share};
use guifi_tahoe::{ShareNumber, StorageIndex};
use tokio::time::sleep;

use super::File;
use super::fetch::{Window, read_needs};
use super::sources::Source;
use crate::engine::blocking;
use crate::problem::{Problem, Reason};
use crate::server::{Failure, Kind, Server};
use crate::upload::shown;

/// What is wanted of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// What was stored.
    Plaintext,
    /// What shares are made of.
    Ciphertext,
}

/// What came of a share; not verified.
struct Catch {
    source: Arc<Source>,
    parts: Vec<(Need, Bytes)>,
}

/// Reads a segment, or segment 0 if there is none of that number.
pub(super) async fn read(file: Arc<File>, number: u64, content: Content) -> Result<Bytes, Problem> {
    let needed = file.about.encoding.needed();
    let mut progress = file.sources.progress();
    let mut caught: Vec<Catch> = Vec::new();
    // Numbers of shares that were caught or are on their way.
    let mut busy: Vec<ShareNumber> = Vec::new();
    let mut running = FuturesUnordered::new();
    let mut spare = 0;
    loop {
        while caught.len() + running.len() < needed + spare {
            let Some(source) = file.sources.best(&busy) else {
                break;
            };
            busy.push(source.number);
            running.push(catch(file.clone(), source, number));
        }
        if caught.len() >= needed {
            match decode(file.clone(), std::mem::take(&mut caught), number, content).await? {
                Outcome::Done(bytes) => return Ok(bytes),
                Outcome::Wrong(good, bad) => {
                    caught = good;
                    busy.retain(|number| *number != bad);
                    continue;
                }
            }
        }
        let is_over = progress.borrow_and_update().done;
        if running.is_empty() && is_over && file.sources.best(&busy).is_none() {
            return Err(too_few(&file, needed));
        }
        tokio::select! {
            Some((source, outcome)) = running.next(), if !running.is_empty() => match outcome {
                Ok(catch) => caught.push(catch),
                Err(failure) => {
                    log::info!("{}: share {} is not read: {failure}", shown(&source.server), source.number);
                    source.kill();
                    busy.retain(|number| *number != source.number);
                }
            },
            changed = progress.changed(), if !is_over => {
                if changed.is_err() {
                    return Err(Problem::internal("the search for shares ended early"));
                }
            }
            // Whatever is slow goes on, but another is asked, too.
            () = sleep(file.sources.slow()), if !running.is_empty() && spare < needed => spare += 1,
        }
    }
}

fn too_few(file: &File, needed: usize) -> Problem {
    let found = file.sources.count();
    Problem::new(
        Reason::Gone,
        format!(
            "the file cannot be read now: it takes {needed} good shares, and of the servers that answer {found} \
             different ones are known, not all of them good"
        ),
    )
}

async fn catch(
    file: Arc<File>,
    source: Arc<Source>,
    number: u64,
) -> (Arc<Source>, Result<Catch, Failure>) {
    let begin = Instant::now();
    let outcome = try_catch(&file, &source, number).await;
    if outcome.is_ok() {
        source.took(begin.elapsed());
    }
    let outcome = outcome.map(|parts| Catch {
        source: source.clone(),
        parts,
    });
    (source, outcome)
}

async fn try_catch(
    file: &File,
    source: &Source,
    number: u64,
) -> Result<Vec<(Need, Bytes)>, Failure> {
    let nonsense = |e: guifi_tahoe::Error| Failure::Nonsense(e.to_string());
    let (mut window, mut asked) = (Window::default(), 0);
    if source.share().is_none() {
        let expected = expected(file, number);
        asked = guifi_tahoe::chk::HEAD + expected;
        window = Window::read(&source.server, &file.index, source.number, asked).await?;
        let share = Share::new(source.number, window.head()).map_err(nonsense)?;
        source.share().get_or_insert(share);
    }
    let needs = {
        let (decoder, share) = (file.decoder(), source.share());
        let share = share.as_ref().ok_or(Failure::Resting)?;
        let needs = share.needs(&decoder, number);
        needs
            .or_else(|_| share.needs(&decoder, 0))
            .map_err(nonsense)?
    };
    read_needs(
        &source.server,
        &file.index,
        source.number,
        needs,
        &window,
        asked,
    )
    .await
}

/// Bytes that are read with the head of a share.
fn expected(file: &File, number: u64) -> u64 {
    /// Hashes and UEB of a file of one segment are shorter.
    const TAIL: u64 = 4 << 10;
    let block = file
        .about
        .size
        .div_ceil(file.about.encoding.needed() as u64);
    match number {
        0 if block <= 384 << 10 => block + TAIL,
        0 => 384 << 10,
        _ => 0,
    }
}

enum Outcome {
    Done(Bytes),
    /// Those that were good, and the number of a share that was not.
    Wrong(Vec<Catch>, ShareNumber),
}

/// Verifies what came and brings the segment back, beside the network.
async fn decode(
    file: Arc<File>,
    mut caught: Vec<Catch>,
    number: u64,
    content: Content,
) -> Result<Outcome, Problem> {
    blocking(move || {
        let mut decoder = file.decoder();
        let mut wrong = None;
        for (place, catch) in caught.iter().enumerate() {
            if let Err(e) = take(catch, &mut decoder) {
                wrong = Some((place, e));
                break;
            }
        }
        if let Some((place, error)) = wrong {
            let bad = caught.swap_remove(place);
            bad.source.kill();
            report(
                &bad.source.server,
                Kind::Immutable,
                &file.index,
                bad.source.number,
                &error.to_string(),
            );
            return Ok(Outcome::Wrong(caught, bad.source.number));
        }
        let blocks: Vec<(ShareNumber, &[u8])> = caught
            .iter()
            .filter_map(|catch| Some((catch.source.number, block(&catch.parts)?)))
            .collect();
        let number = match decoder.parameters() {
            Some(parameters) if number < parameters.segments() => number,
            _ => 0,
        };
        let mut segment = Segment::default();
        match content {
            Content::Plaintext => decoder.decode(number, &blocks, &mut segment)?,
            Content::Ciphertext => decoder.decode_ciphertext(number, &blocks, &mut segment)?,
        }
        Ok(Outcome::Done(Bytes::copy_from_slice(segment.contents())))
    })
    .await
}

fn take(catch: &Catch, decoder: &mut Decoder) -> Result<(), guifi_tahoe::Error> {
    let mut share = catch.source.share();
    let share = share
        .as_mut()
        .ok_or(guifi_tahoe::Error::Misuse("a share without its head"))?;
    let mut parts = catch.parts.iter();
    parts.try_for_each(|(need, bytes)| share.take(decoder, need, bytes))
}

fn block(parts: &[(Need, Bytes)]) -> Option<&[u8]> {
    let (need, bytes) = parts.last()?;
    matches!(need.part, Part::Block(_)).then_some(bytes)
}

/// Tells a server that a share of it is not what it should be. Its answer does not matter.
pub(crate) fn report(
    server: &Arc<Server>,
    kind: Kind,
    index: &StorageIndex,
    share: ShareNumber,
    reason: &str,
) {
    log::warn!("{}: share {share} is damaged: {reason}", shown(server));
    let (server, index, reason) = (server.clone(), *index, reason.to_owned());
    tokio::runtime::Handle::current().spawn(async move {
        if let Err(e) = server.corrupt(kind, &index, share, &reason).await {
            log::debug!("{}: cannot report the damage: {e}", shown(&server));
        }
    });
}
