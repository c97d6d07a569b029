//! One fetch after the other: token, data, the taking in, and what follows from a failure.

use std::fs::File;
use std::time::Duration;

use jiff::Timestamp;

use super::{Active, Job, Keeper, Stage};
use crate::fetch::http::{Answer, Request, Trouble};
use crate::fetch::pace;
use crate::fetch::target::Target;
use crate::input::Input;
use crate::lines;
use crate::store::Meta;

/// A token is no longer than this.
const TOKEN_BYTES: u64 = 4096;
/// The clock may be set while one sleeps: look at it at least so often.
const LONGEST: Duration = Duration::from_secs(3600);

impl Keeper {
    /// Begins the next fetch, if one is wanted or due and none is under way.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if self.active.is_some() {
            return;
        }
        let (target, forced) = match self.wishes.pop_front() {
            Some(target) => (target, true),
            None => match self.first_due() {
                Some((target, due)) if due <= now => (target, false),
                _ => return,
            },
        };
        let stage = match target.token() {
            Some(token) => {
                self.ask(format!("/guifi/refresh/{token}"), None);
                Stage::Token
            }
            None => {
                self.ask(target.path(), Some(target));
                Stage::Data(None)
            }
        };
        self.active = Some(Active {
            target,
            forced,
            stage,
        });
    }

    /// How long there is nothing to do; `None` is for ever.
    pub(super) fn sleep(&self, now: Timestamp) -> Option<Duration> {
        if self.active.is_some() {
            return None;
        }
        let (_, due) = self.first_due()?;
        let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        Some(left.min(LONGEST))
    }

    fn first_due(&self) -> Option<(Target, Timestamp)> {
        let all = self
            .configured
            .iter()
            .map(|target| (*target, self.due(*target)));
        // Of several that are due the first in the order of fetching.
        all.min_by_key(|(_, due)| *due)
    }

    /// When a source is looked at next.
    pub(super) fn due(&self, target: Target) -> Timestamp {
        let now = Timestamp::now();
        let failed = self
            .failures
            .get(&target)
            .and_then(|failures| failures.until);
        let regular = self.held_of(target).and_then(|held| {
            let interval = pace::interval(self.settings.interval, target.id);
            // A time in the future is of a clock that was wrong.
            let due = held.checked.checked_add(interval).ok();
            due.filter(|_| held.checked <= now)
        });
        let own = failed.or(regular).unwrap_or(Timestamp::UNIX_EPOCH);
        own.max(self.portal.until.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    fn ask(&self, path: String, conditional: Option<Target>) {
        let held = conditional.and_then(|target| self.held_of(target));
        let request = Request {
            url: format!("{}{path}", self.settings.portal),
            etag: held.and_then(|held| held.etag.clone()),
            modified: held.and_then(|held| held.modified.clone()),
        };
        // The thread lives as long as the process does.
        let _ = self.jobs.send(Job::Ask(request));
    }

    /// A request is done.
    pub(super) fn done(&mut self, answer: Result<Answer, Trouble>) {
        let Some(active) = self.active.take() else {
            return;
        };
        let target = active.target;
        match (active.stage, answer) {
            (Stage::Token, Ok(Answer::File { file, .. })) => match token(file) {
                Ok(token) => self.announced(target, active.forced, token),
                Err(text) => self.failed(target, &Trouble::of(text)),
            },
            // Without tokens there are still conditional requests.
            (Stage::Token, Err(trouble)) if trouble.absent => {
                self.go_on(target, active.forced, None);
            }
            (Stage::Token, Ok(Answer::Same)) => self.go_on(target, active.forced, None),
            (Stage::Data(token), Ok(Answer::Same)) => self.same(target, token.as_deref()),
            (
                Stage::Data(token),
                Ok(Answer::File {
                    file,
                    etag,
                    modified,
                }),
            ) => {
                let meta = Meta {
                    etag,
                    modified,
                    token,
                };
                self.came(target, file, &meta);
            }
            (_, Err(trouble)) => self.failed(target, &trouble),
        }
    }

    fn announced(&mut self, target: Target, forced: bool, token: String) {
        self.portal = super::Failures::default();
        // Only whether it is another one counts: without changes the portal may give the time.
        let known = self.held_of(target).and_then(|held| held.token.as_ref());
        if !forced && known == Some(&token) {
            self.same(target, Some(&token));
        } else {
            self.go_on(target, forced, Some(token));
        }
    }

    fn go_on(&mut self, target: Target, forced: bool, token: Option<String>) {
        self.ask(target.path(), Some(target));
        self.active = Some(Active {
            target,
            forced,
            stage: Stage::Data(token),
        });
    }

    fn same(&mut self, target: Target, token: Option<&str>) {
        let now = Timestamp::now();
        self.portal = super::Failures::default();
        match self.store.confirm(target.kind, target.id, token, now) {
            Ok(()) => drop(self.failures.remove(&target)),
            Err(e) => self.failed(target, &Trouble::of(format!("cannot keep it: {e}"))),
        }
        self.read_held();
        log::debug!("{target} is current");
    }

    fn came(&mut self, target: Target, file: File, meta: &Meta) {
        self.portal = super::Failures::default();
        let limit = self.settings.limits.bytes;
        let taken = Input::new(file, limit)
            .map_err(|e| e.to_string())
            .and_then(|input| {
                let taken = self.take(&input, Some(target), meta);
                taken.map(drop).map_err(|e| e.to_string())
            });
        if let Err(text) = taken {
            self.failed(target, &Trouble::of(text));
        }
    }

    /// What is held stays; it is tried again later.
    fn failed(&mut self, target: Target, trouble: &Trouble) {
        let now = Timestamp::now();
        let known = self.failures.entry(target).or_default();
        known.add(trouble.text.clone(), now, trouble.wait);
        if trouble.portal {
            self.portal.add(trouble.text.clone(), now, trouble.wait);
            // What else was wanted now would fare no better.
            for other in self.wishes.drain(..) {
                let known = self.failures.entry(other).or_default();
                known.add(trouble.text.clone(), now, trouble.wait);
            }
        }
        let kept = match self.held_of(target) {
            Some(held) => format!("keeping that of {}", held.fetched),
            None => "nothing is kept yet".into(),
        };
        log::warn!("cannot fetch {target}: {}; {kept}", trouble.text);
    }
}

fn token(file: File) -> Result<String, String> {
    let input = Input::new(file, TOKEN_BYTES).map_err(|e| e.to_string())?;
    let reader = input.reader().map_err(|e| e.to_string())?;
    lines::token(reader).map_err(|e| e.to_string())
}

impl Trouble {
    /// One of the source alone.
    fn of(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}
