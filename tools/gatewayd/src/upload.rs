//! Immutable files to the grid: placed, encoded segment by segment, sent to all servers at once.
//!
//! A pass places the shares that are missing and sends them. Servers lost in the middle are
//! replaced in a further pass; what is stored by then is kept.

mod assignment;
mod encode;
mod lane;
mod placement;
mod turns;

use std::sync::Arc;

use futures_util::future::join_all;
use guifi_tahoe::cap::{Cap, MAX_LITERAL, Object};
use guifi_tahoe::chk::{DEFAULT_SEGMENT, Encoded, Encoder, Parameters};
use guifi_tahoe::placement::happiness;
use guifi_tahoe::{StorageIndex, cap};

use crate::engine::{Engine, blocking};
use crate::policy::Plan;
use crate::problem::{Problem, Reason};
use crate::spool::Source;

pub(crate) use assignment::spread;
pub(crate) use encode::Feed;
pub(crate) use placement::Holder;
use placement::Placing;
pub(crate) use turns::Turns;

/// How often shares are placed anew after servers were lost.
const PASSES: usize = 3;

/// Stores a file; gives its read cap.
///
/// # Errors
/// If too few servers take shares; nothing that this upload began is left then.
pub(crate) async fn upload(engine: &Engine, source: Source, plan: Plan) -> Result<Cap, Problem> {
    let size = source.size();
    if let Some(bytes) = source
        .in_memory()
        .filter(|bytes| bytes.len() <= MAX_LITERAL)
    {
        return Ok(Cap::File(Object::Literal(bytes.to_vec())));
    }
    let parameters = Parameters::new(plan.encoding, size, DEFAULT_SEGMENT)?;
    let key = *source.key();
    // The storage index depends on the key alone.
    let probe = cap::Chk {
        key,
        ueb_hash: [0; 32],
        encoding: plan.encoding,
        size,
    };
    let feed = Feed { source, parameters };
    let make = move || Ok(Encoder::new(parameters, &key));
    let encoded = store(engine, &probe.storage_index(), plan, make, feed, Vec::new()).await?;
    let cap = encoded
        .cap()
        .ok_or_else(|| Problem::internal("no read cap"))?;
    Ok(Cap::File(Object::Chk(cap)))
}

/// Makes and places the shares that nobody holds. `known` are servers with the shares that they
/// are known to hold.
///
/// # Errors
/// As [`upload`].
pub(crate) async fn store(
    engine: &Engine,
    index: &StorageIndex,
    plan: Plan,
    make: impl Fn() -> Result<Encoder, Problem> + Clone + Send + 'static,
    feed: Feed,
    known: Vec<Holder>,
) -> Result<Encoded, Problem> {
    let _turn = engine.turns.take(index).await;
    let share_size = make()?.share_size();
    let mut placing = Placing::new(engine, index, plan, share_size, known);
    let mut encoded = None;
    for _ in 0..PASSES {
        placing.place().await;
        let reachable = happiness(&placing.held_or_given());
        if reachable < plan.happy {
            placing.abort().await;
            return Err(unhappy(&placing, plan, reachable));
        }
        let given = placing.given();
        if given.is_empty() && encoded.is_some() {
            break;
        }
        let (senders, lanes): (Vec<_>, Vec<_>) = given
            .into_iter()
            .map(|(holder, share, server)| {
                let secret = engine.secrets.upload(index, &server);
                let (sender, lane) = lane::new(server, *index, share, secret, share_size);
                (
                    (share, sender),
                    async move { (holder, share, lane.run().await) },
                )
            })
            .unzip();
        let (make, feed) = (make.clone(), feed.clone());
        let encoding = blocking(move || encode::run(make()?, &feed, senders));
        let (made, sent) = tokio::join!(encoding, join_all(lanes));
        let mut lost = false;
        for (holder, share, outcome) in sent {
            lost |= outcome.is_err();
            placing.sent(holder, share, outcome);
        }
        match made {
            Ok(made) => encoded = Some(made),
            Err(problem) => {
                placing.abort().await;
                return Err(problem);
            }
        }
        if !lost {
            break;
        }
    }
    let stored = happiness(&placing.held());
    match encoded {
        Some(encoded) if stored >= plan.happy => Ok(encoded),
        _ => Err(unhappy(&placing, plan, stored)),
    }
}

fn unhappy(placing: &Placing<'_>, plan: Plan, reached: usize) -> Problem {
    let mut text = format!(
        "shares could be placed on only {reached} servers, but {} are needed so that any {} shares of {} \
         bring the file back and the loss of any {} servers is survived",
        plan.happy,
        plan.encoding.needed(),
        plan.encoding.total(),
        plan.survives()
    );
    for (server, why) in placing.failures().take(3) {
        text += &format!("; {server}: {why}");
    }
    Problem::new(Reason::Unavailable, text)
}

/// A server's name for messages.
pub(crate) fn shown(server: &Arc<crate::server::Server>) -> String {
    let about = &server.about;
    if about.nickname.is_empty() {
        about.id.chars().take(12).collect()
    } else {
        guifi_core::terminal::tame(&about.nickname)
    }
}
