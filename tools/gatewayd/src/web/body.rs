//! Bodies of requests: read within a limit, given up when the client is silent.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::policy::Plan;
use crate::problem::{Problem, Reason};
use crate::spool::{Source, Spool};

/// The next bytes.
async fn next(engine: &Engine, body: &mut Incoming) -> Result<Option<Bytes>, Problem> {
    let idle = engine.settings.borrow().limits.idle;
    loop {
        let frame = timeout(idle, body.frame())
            .await
            .map_err(|_| Problem::bad("the request stopped in its middle"))?;
        match frame {
            None => return Ok(None),
            Some(Err(e)) => return Err(Problem::bad(format!("the request ended early: {e}"))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                // Trailers say nothing here.
                Err(_) => {}
            },
        }
    }
}

fn long(limit: u64) -> Problem {
    Problem::new(Reason::TooLong, format!("longer than {limit} bytes"))
}

/// All of a short body.
///
/// # Errors
/// If it is longer than `limit` bytes, or does not come.
pub(crate) async fn whole(
    engine: &Engine,
    mut body: Incoming,
    limit: u64,
) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > limit {
        return Err(long(limit));
    }
    let mut all = BytesMut::new();
    while let Some(bytes) = next(engine, &mut body).await? {
        if (all.len() + bytes.len()) as u64 > limit {
            return Err(long(limit));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all.freeze())
}

/// The source of an upload.
///
/// # Errors
/// If it is too long, does not come, or cannot be kept.
pub(crate) async fn source(
    engine: &Engine,
    mut body: Incoming,
    plan: &Plan,
) -> Result<Source, Problem> {
    let limit = engine.settings.borrow().limits.upload;
    if body.size_hint().lower() > limit {
        return Err(long(limit));
    }
    let mut spool = Spool::new(&engine.spool, plan.encoding, &engine.secrets.convergence);
    let mut length = 0;
    while let Some(bytes) = next(engine, &mut body).await? {
        length += bytes.len() as u64;
        if length > limit {
            return Err(long(limit));
        }
        spool.push(bytes).await?;
    }
    spool.finish().await
}
