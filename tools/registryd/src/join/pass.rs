//! Passing a stranger's request on to a member that may sponsor.

use std::time::{Duration, Instant};

use guifi_streams::{Client, Key};

use super::{Verdict, Wish, admit_frame, open};
use crate::engine::{Handle, now};
use crate::node::{Admission, Home};

/// How long sponsors are looked for, and the pause between two looks.
const LOOK: Duration = Duration::from_secs(7);
const PAUSE: Duration = Duration::from_millis(700);

/// Passes a request on. A box that has just joined itself may not know yet where the sponsors
/// are: it looks again for a while.
pub(super) fn pass_on(client: &Client, key: Key, home: &Home, handle: &Handle) -> Verdict {
    let end = Instant::now() + LOOK;
    loop {
        let asked = home.clone();
        let admission = handle.call(move |engine| {
            let admission = engine.node()?.admit(key, None, &asked, now());
            engine.configure_now()?;
            Ok::<_, guifi_core::Error>(admission)
        });
        let able = match admission.and_then(|r| r) {
            Ok(Admission::Ask(able)) => able,
            Ok(Admission::Member(proof)) => {
                return Verdict {
                    proof,
                    ..Verdict::new("member", "")
                };
            }
            Ok(_) | Err(_) => Vec::new(),
        };
        let verdict = ask_others(client, &able, key, home, handle);
        if verdict.status != "later" || Instant::now() >= end {
            return verdict;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Passes a request on to those who may sponsor, until one decides.
fn ask_others(client: &Client, able: &[Key], key: Key, home: &Home, handle: &Handle) -> Verdict {
    for sponsor in able {
        let asked = open(client, *sponsor, &admit_frame(home, Wish::Other(key)))
            .and_then(|stream| Verdict::read(&stream));
        match asked {
            Ok(mut verdict) if verdict.status != "later" => {
                // As above. Should it fail, the newcomer tries again.
                let proof = verdict.proof.clone();
                let told = handle.call(move |engine| {
                    engine.node()?.merge(proof, now());
                    engine.configure_now()?;
                    Ok(engine.node()?.proof(key))
                });
                match told.and_then(|r: Result<_, guifi_core::Error>| r) {
                    Ok(proof) => verdict.proof = proof,
                    Err(e) => log::debug!("cannot take up the newcomer: {e}"),
                }
                return verdict;
            }
            Ok(verdict) => log::debug!("{sponsor} does not sponsor: {}", verdict.reason),
            Err(e) => log::debug!("{sponsor} does not answer: {e}"),
        }
    }
    Verdict::new("later", "nobody who may sponsor can be reached")
}
