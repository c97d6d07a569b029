//! Passing a stranger's request on to a member that may sponsor.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use guifi_streams::{Client, Key, Stream};

use super::{Verdict, Wish, admit_frame, open};
use crate::engine::{Handle, now};
use crate::net::Places;
use crate::node::{Admission, Home};

/// How long sponsors are looked for, and the pause between two looks.
const LOOK: Duration = Duration::from_secs(7);
const PAUSE: Duration = Duration::from_millis(700);

/// Requests that are being passed on. Each takes seconds when no sponsor answers, so they have
/// places of their own, and one address has few of them.
static PLACES: LazyLock<Arc<Places>> = LazyLock::new(|| Places::new(8, 2));

/// A stranger's request.
pub(super) struct Request {
    pub(super) client: Client,
    /// Who wants to become a member.
    pub(super) key: Key,
    /// Where it was seen.
    pub(super) address: Option<IpAddr>,
    /// What it is to be called.
    pub(super) home: Home,
}

impl Request {
    /// Passes the request on and answers on `stream`, which ends with it.
    ///
    /// # Errors
    /// Those of the stream.
    pub(super) fn pass_on(self, stream: &Stream, handle: &Handle) -> std::io::Result<()> {
        let verdict = match PLACES.take(self.address) {
            Some(_place) => self.verdict(handle),
            None => Verdict::new("later", "this box is asking for others already"),
        };
        verdict.write(stream)
    }

    /// A box that has just joined itself may not know yet where the sponsors are: it looks
    /// again for a while.
    fn verdict(&self, handle: &Handle) -> Verdict {
        let end = Instant::now() + LOOK;
        let key = self.key;
        loop {
            let asked = self.home.clone();
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
            let verdict = self.ask(&able, end, handle);
            if verdict.status != "later" || Instant::now() >= end {
                return verdict;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Asks those who may sponsor, until one decides or `end` has come.
    fn ask(&self, able: &[Key], end: Instant, handle: &Handle) -> Verdict {
        let key = self.key;
        let frame = admit_frame(&self.home, Wish::Other(key, self.address));
        let mut waits = None;
        for sponsor in able.iter().take_while(|_| Instant::now() < end) {
            let asked =
                open(&self.client, *sponsor, &frame).and_then(|stream| Verdict::read(&stream));
            match asked {
                // All the administrators' boxes that are there get to know of it.
                Ok(verdict) if verdict.status == "wait" => waits = Some(verdict),
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
        waits.unwrap_or_else(|| Verdict::new("later", "nobody who may sponsor can be reached"))
    }
}
