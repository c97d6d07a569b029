//! Making missing shares anew: from ciphertext, so that who repairs need not read.

use guifi_tahoe::cap::{Cap, ChkVerifier, Object};
use guifi_tahoe::chk::Encoder;
use guifi_tahoe::gbs::Shares;

use super::{Report, Wanted, check};
use crate::download::{Content, Reader};
use crate::engine::Engine;
use crate::mutable;
use crate::policy::Plan;
use crate::problem::{Problem, Reason};
use crate::spool::Spool;
use crate::upload::{Feed, Holder, store};

/// What a check and repair came to.
pub(crate) struct Repaired {
    /// What was there.
    pub(crate) before: Report,
    /// What is there after a repair that was attempted; why it failed.
    pub(crate) after: Option<Result<Report, Problem>>,
}

/// Checks, and repairs what is not healthy; nothing for what has no shares.
///
/// # Errors
/// If it cannot be checked.
pub(crate) async fn repair(
    engine: &Engine,
    cap: &Cap,
    wanted: Wanted,
) -> Result<Option<Repaired>, Problem> {
    let Some(before) = check(engine, cap, wanted).await? else {
        return Ok(None);
    };
    if before.is_healthy() {
        return Ok(Some(Repaired {
            before,
            after: None,
        }));
    }
    let after = match attempt(engine, cap, &before).await {
        Ok(()) => {
            // What was written just now is verified by who reads it next.
            let again = Wanted {
                verify: false,
                ..wanted
            };
            let mut after = check(engine, cap, again).await?;
            if let Some(after) = &mut after {
                without(after, &before);
            }
            after.ok_or_else(|| Problem::internal("nothing to check"))
        }
        Err(e) => Err(e),
    };
    Ok(Some(Repaired {
        before,
        after: Some(after),
    }))
}

/// Damaged shares that a server still has are none.
fn without(after: &mut Report, before: &Report) {
    for (server, share) in &before.corrupt {
        for (holder, shares) in &mut after.good {
            if holder.about.id == server.about.id && before.wrong == 0 {
                shares.remove(share);
            }
        }
    }
}

async fn attempt(engine: &Engine, cap: &Cap, before: &Report) -> Result<(), Problem> {
    if !before.is_recoverable() {
        return Err(Problem::new(Reason::Gone, "too few good shares are left"));
    }
    match cap.object() {
        Some(Object::Write(cap)) => mutable::modify(engine, cap, |old| Ok((Some(old), ()))).await,
        Some(object) => match object.to_verifier() {
            Some(Object::ChkVerifier(cap)) => immutable(engine, &cap, before).await,
            _ => Err(Problem::new(
                Reason::Forbidden,
                "a mutable file is repaired by who may write it",
            )),
        },
        None => Err(Problem::bad("this cap is of a kind that is not known")),
    }
}

async fn immutable(engine: &Engine, cap: &ChkVerifier, before: &Report) -> Result<(), Problem> {
    let reader = Reader::ciphertext(engine, cap);
    let mut reading = reader.read(0..cap.size, Content::Ciphertext);
    // The key that the spool derives is of no use here.
    let mut spool = Spool::new(&engine.spool, cap.encoding, &[]);
    while let Some(bytes) = reading.next().await? {
        spool.push(bytes).await?;
    }
    let source = spool.finish().await?;
    let parameters = reader
        .parameters()
        .ok_or_else(|| Problem::internal("the file's numbers are not known"))?;
    let (ueb, whose) = (reader.ueb(), cap.clone());
    let make = move || Ok(Encoder::repair(&whose, &ueb)?);
    let plan = Plan {
        encoding: cap.encoding,
        // Every share that is placed is a gain.
        happy: cap.encoding.needed().min(before.good.len()).max(1),
    };
    let known = before.good.iter().map(|(server, shares)| {
        let damaged = before.corrupt.iter();
        let damaged = damaged.filter(|(bad, _)| bad.about.id == server.about.id);
        let damaged: Shares = damaged.map(|(_, share)| *share).collect();
        Holder::new(server.clone(), shares.clone()).except(damaged)
    });
    let known = known.collect();
    store(
        engine,
        &cap.storage_index,
        plan,
        make,
        Feed { source, parameters },
        known,
    )
    .await
    .map(drop)
}
