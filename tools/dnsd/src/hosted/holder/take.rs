//! Taking zones from their sources: master files, and the portal's data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use guifi_core::Error;
use sha2::{Digest as _, Sha256};

use super::super::blob::{self, Delta};
use super::super::check::check;
use super::super::content::Content;
use super::super::draft::Draft;
use super::super::portal::{Copied, Defined};
use super::super::rrset::{Record, newer};
use super::super::spec::{Access, Server, Source, Spec};
use super::super::{View, file, rdata};
use super::{Held, Holding, copy, set_soa, soa};
use crate::name::Name;
use crate::state::now;
use crate::update::apply::again;

impl Holding {
    /// Takes the zone from its file, if that has changed.
    pub(super) fn take_file(&mut self, key: &(Name, View), held: &mut Held) {
        let Source::File(path) = &held.spec.source else {
            return;
        };
        let path = self.root.join(path);
        match read_file(&path, &key.0) {
            Err(text) => fault(held, &key.0, text),
            Ok((hash, _)) if held.source == hash && held.content.is_some() => held.fault = None,
            Ok(_) if held.updates > 0 => {
                let text = format!(
                    "{} has changed, and so has the zone, by {} updates: 'guifi-dns show' prints the zone, 'guifi-dns take' takes the file and drops the updates",
                    path.display(),
                    held.updates
                );
                fault(held, &key.0, text);
            }
            Ok((hash, records)) => {
                let new = Content::of(&key.0, records);
                let from = path.display().to_string();
                self.take(key, held, New::of(new, hash), &from);
            }
        }
    }

    /// Takes the file of a zone in spite of updates; gives how many are dropped.
    pub(super) fn take_over(&mut self, name: &Name) -> Result<u32, String> {
        let from_file = |held: &Held| matches!(held.spec.source, Source::File(_));
        let keys: Vec<(Name, View)> = self
            .zones
            .iter()
            .filter(|(key, held)| key.0 == *name && from_file(held))
            .map(|(key, _)| key.clone())
            .collect();
        let mut result = Err(format!("no master file of {name} is hosted here"));
        for key in keys {
            let Some(mut held) = self.zones.remove(&key) else {
                continue;
            };
            let (before, source) = (std::mem::take(&mut held.updates), held.source.clone());
            // Also a file that is as it was: what others made of it is dropped.
            held.source = Vec::new();
            self.take_file(&key, &mut held);
            result = match &held.fault {
                None => Ok(before),
                Some(text) => {
                    let text = text.clone();
                    (held.updates, held.source) = (before, source);
                    Err(text)
                }
            };
            self.zones.insert(key, held);
        }
        self.publish();
        result
    }

    /// Takes the zones that the portal defines; one that is configured here is not touched.
    pub(super) fn take_portal(&mut self, service: u64, zones: Vec<Defined>, copies: Vec<Copied>) {
        if self.portal != Some(service) {
            return;
        }
        let mut defined = BTreeSet::new();
        for zone in zones {
            let key = (zone.name.clone(), zone.view);
            if self.is_configured(&key) {
                log::info!("{} is configured here, whatever the portal says", key.0);
                continue;
            }
            defined.insert(key.clone());
            let before = self.zones.remove(&key);
            let mut held = self.held(before, &key, spec(&key, service, zone.transfer));
            let said = blob::write(&zone.records);
            let hash = Sha256::digest(&said);
            let source = [&tag(service, zone.transfer)[..], &hash].concat();
            if held.source == source && held.content.is_some() {
                held.fault = None;
            } else {
                let mut new = Content::of(&key.0, zone.records.iter().cloned());
                if let Some((ttl, mut soa)) = soa(&new) {
                    soa.serial = now() as u32; // serials wrap by design (RFC 1982)
                    set_soa(&mut new, ttl, &soa);
                }
                let lost = self.add_updates(&key, &held, &mut new);
                let new = New {
                    base: Some(zone.records),
                    updates: held.updates,
                    lost,
                    ..New::of(new, source)
                };
                self.take(&key, &mut held, new, "the portal");
            }
            self.zones.insert(key, held);
        }
        for copied in copies {
            let key = (copied.name.clone(), copied.view);
            if self.is_configured(&key) || !defined.insert(key.clone()) {
                continue;
            }
            let before = self.zones.remove(&key);
            let spec = copy_spec(&key, service, copied.primaries);
            let mut held = self.held(before, &key, spec);
            self.begin_copy(&key, &mut held);
            self.zones.insert(key, held);
        }
        self.zones
            .retain(|key, held| held.spec.source.portal().is_none() || defined.contains(key));
        self.forget();
        self.enter();
        self.publish();
    }

    /// Whether the configuration names a zone that this view sees.
    fn is_configured(&self, (name, view): &(Name, View)) -> bool {
        let ours = |held: &Held| held.spec.source.portal().is_none();
        let mut all = self
            .zones
            .range((name.clone(), View::Internal)..=(name.clone(), View::External));
        all.any(|(_, held)| ours(held) && held.spec.views.contains(view))
    }

    /// Goes on with the portal's zones of before, or of the last run.
    pub(super) fn keep_portal(&mut self, before: BTreeMap<(Name, View), Held>) {
        let Some(service) = self.portal else { return };
        let ours = before
            .into_iter()
            .filter(|(_, held)| held.spec.source.portal() == Some(service));
        let ours: Vec<_> = ours.filter(|(key, _)| !self.is_configured(key)).collect();
        self.zones.extend(ours);
        let kept = self.store.as_ref().map(|store| store.zones());
        for key in kept.and_then(Result::ok).unwrap_or_default() {
            if self.zones.contains_key(&key) || self.is_configured(&key) {
                continue;
            }
            let mut held = self.held(None, &key, spec(&key, service, false));
            let transfers = [false, true].into_iter();
            let is_of = |transfer: &bool| held.source.starts_with(&tag(service, *transfer));
            if let Some(transfer) = transfers.into_iter().find(is_of) {
                held.spec = spec(&key, service, transfer);
                self.zones.insert(key, held);
            } else if let Some(primaries) = copy::named(&held.source, service) {
                held.spec = copy_spec(&key, service, primaries);
                self.begin_copy(&key, &mut held);
                self.zones.insert(key, held);
            }
        }
    }

    /// Makes the updates of a zone again upon what its source says now; gives what is not
    /// possible any more.
    fn add_updates(&self, key: &(Name, View), held: &Held, new: &mut Content) -> Vec<String> {
        let (Some(old), Some(store)) = (&held.content, &self.store) else {
            return Vec::new();
        };
        let base = match store.base((&key.0, key.1)) {
            Ok(base) if held.updates > 0 => base,
            _ => None,
        };
        let Some(base) = base else { return Vec::new() };
        let delta = blob::between(&Content::of(&key.0, base), old);
        let mut draft = Draft::new(new, None);
        let lost = again(&delta, &mut draft);
        let changes = draft.finish();
        new.apply(changes);
        let words = |record: Record| {
            let kind = rdata::text(record.rtype);
            format!("an update is lost: {} {kind} does not fit", record.owner)
        };
        lost.into_iter().map(words).collect()
    }

    /// Takes a new state of a zone, unless it has faults.
    fn take(&mut self, key: &(Name, View), held: &mut Held, new: New, from: &str) {
        let (mut content, source) = (new.content, new.source);
        let mut findings = check(&content);
        findings.doubts.extend(new.lost);
        if let Some(first) = findings.faults.first() {
            let more = match findings.faults.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            return fault(held, &key.0, format!("{from}: {first}{more}"));
        }
        for doubt in &findings.doubts {
            log::warn!("{from}: {doubt}");
        }
        held.doubts = findings.doubts;
        let delta = held.content.as_ref().map(|old| {
            raise(old, &mut content);
            blob::between(old, &content)
        });
        (held.fault, held.source, held.updates) = (None, source, new.updates);
        // The state before may be known to nobody but us.
        let delta = delta.filter(|_| held.unkept.is_none());
        let kept = self.write(key, held, &content, delta.as_ref(), new.base.as_deref());
        held.unkept = kept.err().map(|e| Unkept::new(&key.0, &e, new.base));
        log::info!("{} has {} records", key.0, content.records());
        held.content = Some(content);
        held.published = None;
    }
}

impl Holding {
    /// Writes a state of a zone, and `base`, what its source says, if updates stay upon that.
    fn write(
        &mut self,
        key: &(Name, View),
        held: &Held,
        content: &Content,
        delta: Option<&Delta>,
        base: Option<&[Record]>,
    ) -> Result<(), Error> {
        let store = self.store.as_mut();
        let store = store.ok_or_else(|| Error::failed("there is no database"))?;
        let base = base.map(|base| (base, held.updates));
        let records = blob::records(content);
        store.rebase((&key.0, key.1), &held.source, &records, delta, base)
    }

    /// Writes a zone that could not be written when it came.
    pub(super) fn make_up(&mut self, key: &(Name, View)) -> Result<(), Error> {
        let Some(mut held) = self.zones.remove(key) else {
            return Ok(());
        };
        let mut done = Ok(());
        if let (Some(unkept), Some(content)) = (&held.unkept, &held.content) {
            done = self.write(key, &held, content, None, unkept.base.as_deref());
            if done.is_ok() {
                log::info!("{} is kept again", key.0);
                held.unkept = None;
            }
        }
        self.zones.insert(key.clone(), held);
        done
    }
}

/// A zone is served in a state that could not be written: it must be, before what comes upon it.
pub(super) struct Unkept {
    pub(super) why: String,
    /// What the source says, where updates stay upon it.
    base: Option<Vec<Record>>,
}

impl Unkept {
    pub(super) fn new(name: &Name, why: &Error, base: Option<Vec<Record>>) -> Self {
        let why = format!("it is served, and not kept: {why}");
        log::error!("{name}: {why}");
        Self { why, base }
    }
}

/// A new state of a zone.
struct New {
    content: Content,
    /// Hash of the source.
    source: Vec<u8>,
    /// What the source says, if the updates upon it stay when it changes.
    base: Option<Vec<Record>>,
    /// How many updates there were upon it.
    updates: u32,
    /// What was updated and is lost.
    lost: Vec<String>,
}

impl New {
    /// As the source has it.
    fn of(content: Content, source: Vec<u8>) -> Self {
        Self {
            content,
            source,
            base: None,
            updates: 0,
            lost: Vec::new(),
        }
    }
}

fn fault(held: &mut Held, name: &Name, text: String) {
    let state = if held.content.is_some() {
        "stays as it was"
    } else {
        "is not served"
    };
    log::error!("{name} {state}: {text}");
    held.fault = Some(text);
}

/// What the sources of zones of the portal begin with.
pub(super) const PORTAL: &[u8] = b"portal ";

/// What that of a zone of a service begins with.
fn tag(service: u64, transfer: bool) -> Vec<u8> {
    let rest = format!("{service} {} ", u8::from(transfer));
    [PORTAL, rest.as_bytes()].concat()
}

fn spec((name, view): &(Name, View), service: u64, transfer: bool) -> Spec {
    let everybody = vec![
        (Ipv4Addr::UNSPECIFIED.into(), 0),
        (Ipv6Addr::UNSPECIFIED.into(), 0),
    ];
    Spec {
        name: name.clone(),
        views: vec![*view],
        source: Source::Portal(service),
        transfer: Access {
            networks: if transfer { everybody } else { Vec::new() },
            keys: Vec::new(),
        },
        notify: Vec::new(),
    }
}

fn copy_spec((name, view): &(Name, View), service: u64, primaries: Vec<Server>) -> Spec {
    Spec {
        name: name.clone(),
        views: vec![*view],
        source: Source::PortalPrimaries(service, primaries),
        transfer: Access::default(),
        notify: Vec::new(),
    }
}

/// Lets the serial of `new` be above that of `old`, whatever its file says: who follows the
/// zone would not see the change otherwise.
fn raise(old: &Content, new: &mut Content) {
    let (Some((_, old)), Some((ttl, mut soa))) = (soa(old), soa(new)) else {
        return;
    };
    if newer(soa.serial, old.serial) {
        return;
    }
    log::warn!(
        "the serial of {} did not rise from {}; it does so here",
        new.origin(),
        old.serial
    );
    soa.serial = old.serial.wrapping_add(1);
    set_soa(new, ttl, &soa);
}

/// The hash of a file and the records in it.
fn read_file(path: &Path, origin: &Name) -> Result<(Vec<u8>, Vec<Record>), String> {
    let text = file::load(path)?;
    // Files that it includes count as well: their records do.
    let records = file::read(&text, Some(path), origin);
    let records = records.map_err(|fault| format!("{}: {fault}", path.display()))?;
    let hash = Sha256::digest(blob::write(&records)).to_vec();
    Ok((hash, records))
}
