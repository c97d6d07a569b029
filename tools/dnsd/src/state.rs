//! What is kept on the disk: the last good records, so that a restart answers at once, and a
//! serial that never goes back.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use guifi_core::{Root, write_atomic};
use serde::{Deserialize, Serialize};

use crate::keeper::Lines;
use crate::name::Name;
use crate::record::Store;
use crate::zone::Community;

/// The records, one JSON object a line; the first line is the community.
const RECORDS: &str = "/var/lib/guifi/dnsd/records.jsonl";
/// A serial above all that were given out.
const SERIAL: &str = "/var/lib/guifi/dnsd/serial";
/// How far ahead serials are reserved, so that the file is rarely written.
const RESERVE: u32 = 600;

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The serials of the zones: as the time in seconds, but always larger than the last.
#[derive(Debug)]
pub struct Serials {
    root: Root,
    last: u32,
    reserved: u32,
}

impl Serials {
    /// Continues above what was given out before.
    pub fn load(root: &Root) -> Self {
        let kept = fs::read_to_string(root.join(SERIAL)).ok();
        let reserved = kept.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self {
            root: root.clone(),
            last: reserved,
            reserved,
        }
    }

    /// The next serial.
    pub fn advance(&mut self) -> u32 {
        let time = now() as u32; // serials wrap by design (RFC 1982)
        self.last = time.max(self.last.saturating_add(1));
        if self.last >= self.reserved {
            self.reserve(self.last.saturating_add(RESERVE));
        }
        self.last
    }

    /// At a clean end nothing is reserved.
    pub fn close(&mut self) {
        self.reserve(self.last);
    }

    fn reserve(&mut self, reserved: u32) {
        self.reserved = reserved;
        let text = format!("{reserved}\n");
        if let Err(e) = write_atomic(&self.root.join(SERIAL), text.as_bytes(), 0o644) {
            log::warn!("cannot keep the serial: {e}; going on by the clock");
        }
    }
}

#[derive(Deserialize, Serialize)]
struct Head {
    community: Box<str>,
    domain: String,
    own_zone: Box<str>,
}

/// The community and the records as they were kept; `None` if there are none.
pub fn load(root: &Root) -> Option<(Community, Lines)> {
    let mut lines = BufReader::new(File::open(root.join(RECORDS)).ok()?).lines();
    let head: Head = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    let community = Community {
        name: head.community,
        domain: Name::parse(&head.domain)?.lower(),
        own_zone: head.own_zone,
    };
    Some((community, read(lines)))
}

/// Records line by line. One that cannot be read costs that record and nothing else.
pub fn read(lines: impl Iterator<Item = io::Result<String>> + Send + 'static) -> Lines {
    let whole = lines.map_while(Result::ok);
    Box::new(whole.filter_map(|line| serde_json::from_str(&line).ok()))
}

/// Keeps the records, or removes them when there is no community; gives the octets written.
pub fn save(root: &Root, community: Option<&Community>, store: &Store) -> usize {
    let path = root.join(RECORDS);
    let Some(community) = community else {
        let _ = fs::remove_file(path); // absent already, mostly
        return 0;
    };
    let head = Head {
        community: community.name.clone(),
        domain: community.domain.to_string(),
        own_zone: community.own_zone.clone(),
    };
    let mut text = Vec::new();
    let mut written = serde_json::to_writer(&mut text, &head).is_ok();
    for line in store.lines() {
        let _ = text.write_all(b"\n"); // into memory
        written &= serde_json::to_writer(&mut text, &line).is_ok();
    }
    let saved = write_atomic(&path, &text, 0o644);
    if let Some(e) = saved
        .err()
        .map(|e| e.to_string())
        .or((!written).then(|| "not JSON".into()))
    {
        log::warn!("cannot keep the records: {e}; a restart will wait for the registry");
    }
    text.len()
}
