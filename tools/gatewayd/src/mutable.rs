//! Mutable files on the grid: what versions there are, reading the newest, writing the next.
//!
//! Source: `docs/specifications/mutable.rst`. A write goes to each server together with a test
//! of what is there; where the test fails somebody else wrote, and who wrote looks again.

mod map;
mod publish;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use guifi_tahoe::cap::{Format, Object, Read, Write};
use guifi_tahoe::mutable::{KeyPair, sdmf};

use crate::engine::{Engine, blocking};
use crate::problem::{Problem, Reason};
use crate::secrets::random;

pub(crate) use map::{Asking, Map};
use publish::Publish;

/// How often a write is tried when others write at the same time.
const ATTEMPTS: u32 = 16;
/// How often one that is under way is waited for.
const SETTLE: u32 = 7;
/// The first pause between two attempts, at most; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(40);

/// The read cap of a mutable file.
///
/// # Errors
/// If it may not be read, or is of a format that is not read.
pub(crate) fn reader(object: &Object) -> Result<Read, Problem> {
    let read = match object {
        Object::Write(cap) => cap.to_readonly(),
        Object::Read(cap) => cap.clone(),
        _ => {
            return Err(Problem::bad(
                "this cap is not of a mutable file that may be read",
            ));
        }
    };
    known(read.format)?;
    Ok(read)
}

/// Refuses what cannot be read or written yet.
pub(crate) fn known(format: Format) -> Result<(), Problem> {
    match format {
        Format::Sdmf => Ok(()),
        Format::Mdmf => Err(Problem::new(
            Reason::NotSupported,
            "mutable files of the format MDMF are not read or written yet",
        )),
    }
}

/// The contents of the newest version.
///
/// # Errors
/// If too few shares of any version can be found.
pub(crate) async fn read(engine: &Engine, cap: &Read) -> Result<Bytes, Problem> {
    known(cap.format)?;
    let map = Map::look(engine, &cap.to_verifier(), &Asking::Reader).await?;
    contents(cap, &map).await
}

/// The contents of the newest version of a map.
async fn contents(cap: &Read, map: &Map) -> Result<Bytes, Problem> {
    let shares = map.newest().ok_or_else(|| map.unreadable())?;
    let cap = cap.clone();
    blocking(move || Ok(sdmf::decode(&cap, &shares)?.into())).await
}

/// Makes a new file.
///
/// # Errors
/// If too few servers take shares.
pub(crate) async fn create(engine: &Engine, contents: Bytes) -> Result<Write, Problem> {
    let key = engine.keys.take().await?;
    create_with(engine, key, move |_| Ok(contents)).await
}

/// Makes a new file whose contents depend on its cap.
///
/// # Errors
/// As [`create`].
pub(crate) async fn create_with(
    engine: &Engine,
    key: KeyPair,
    contents: impl FnOnce(&Write) -> Result<Bytes, Problem>,
) -> Result<Write, Problem> {
    let plan = engine.plan()?;
    let cap = key.cap(Format::Sdmf);
    let contents = contents(&cap)?;
    let publish = Publish {
        engine,
        cap: &cap,
        key: Arc::new(key),
        encoding: plan.encoding,
        happy: plan.happy,
    };
    publish.write(&Map::default(), 1, contents).await?;
    Ok(cap)
}

/// Replaces the contents by what `edit` makes of the newest ones; gives what it says. `edit` is
/// called anew whenever somebody else wrote in between.
///
/// # Errors
/// Those of `edit`; if the file cannot be read, too few servers take shares, or others write all
/// the time.
pub(crate) async fn modify<T>(
    engine: &Engine,
    cap: &Write,
    edit: impl Fn(Bytes) -> Result<(Option<Bytes>, T), Problem>,
) -> Result<T, Problem> {
    known(cap.format)?;
    let read = cap.to_readonly();
    let mut pause = PAUSE;
    let mut mine: Option<Bytes> = None;
    for _ in 0..ATTEMPTS {
        let map = settled(engine, cap).await?;
        let old = match (contents(&read, &map).await, &mine) {
            (Ok(old), _) => old,
            // Those who wrote at the same time left nothing that can be read: what we wrote had
            // all that was there before.
            (Err(_), Some(mine)) if map.newest().is_none() => mine.clone(),
            (Err(e), _) => return Err(e),
        };
        let (new, said) = edit(old)?;
        let Some(new) = new else {
            return Ok(said);
        };
        mine = Some(new.clone());
        if overwrite(engine, cap, &map, new).await? {
            return Ok(said);
        }
        wait(&mut pause).await?;
    }
    Err(busy())
}

/// Replaces the contents, whatever they are.
///
/// # Errors
/// As [`modify`]; contents that cannot be read are no hindrance.
pub(crate) async fn replace(engine: &Engine, cap: &Write, contents: Bytes) -> Result<(), Problem> {
    known(cap.format)?;
    let mut pause = PAUSE;
    for _ in 0..ATTEMPTS {
        let map = settled(engine, cap).await?;
        if map.is_empty() {
            return Err(map.unreadable());
        }
        if overwrite(engine, cap, &map, contents.clone()).await? {
            return Ok(());
        }
        wait(&mut pause).await?;
    }
    Err(busy())
}

/// What there is, once nobody is in the middle of writing. Who ended there is not waited for long.
async fn settled(engine: &Engine, cap: &Write) -> Result<Map, Problem> {
    let verifier = cap.to_readonly().to_verifier();
    let mut pause = PAUSE;
    for _ in 0..SETTLE {
        let map = Map::look(engine, &verifier, &Asking::Writer(cap)).await?;
        if !map.is_unsettled() {
            return Ok(map);
        }
        wait(&mut pause).await?;
    }
    Map::look(engine, &verifier, &Asking::Writer(cap)).await
}

/// Writes the version after the newest of a map; `false` if somebody else did.
async fn overwrite(
    engine: &Engine,
    cap: &Write,
    map: &Map,
    contents: Bytes,
) -> Result<bool, Problem> {
    let (encoding, encrypted) = map.origin().ok_or_else(|| map.unreadable())?;
    let key = {
        let cap = cap.clone();
        blocking(move || Ok(KeyPair::decrypt(&cap, &encrypted)?)).await?
    };
    let happy = engine.happy(encoding);
    let publish = Publish {
        engine,
        cap,
        key: Arc::new(key),
        encoding,
        happy,
    };
    publish.write(map, map.highest() + 1, contents).await
}

/// Waits a while that others who wait do not guess.
async fn wait(pause: &mut Duration) -> Result<(), Problem> {
    let chance = u32::from_be_bytes(random::<4>()?);
    let part = f64::from(chance) / f64::from(u32::MAX);
    tokio::time::sleep(pause.mul_f64(part)).await;
    *pause = (*pause * 2).min(PAUSE * 64);
    Ok(())
}

fn busy() -> Problem {
    Problem::new(
        Reason::Conflict,
        "somebody else changes it all the time; nothing was lost, try again",
    )
}
