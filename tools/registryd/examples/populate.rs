//! Fills the registry of a box that has founded a community with members and their records,
//! all really signed, for benchmarks and system tests. guifi-registryd must not be running.
//!
//!     populate STATE KEY < MEMBERS
//!
//! STATE is the directory with `community.json` and `registry.db`, KEY the file with the secret key of the founder
//! (`/var/lib/guifi/peerd/key`). Each line of MEMBERS is a member as a JSON object: `name` and
//! `zone` (which it claims), `addresses`, and `services`, a list of bodies of `service`
//! records. The members' keys are made up and forgotten; none of them runs anywhere.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program

use std::io::BufRead as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use guifi_registryd::kinds;
use guifi_registryd::record::{CONTEXT, Draft, Hash, MAX_LIFE_MS, Record, RecordKey};
use guifi_registryd::store::{Change, Store};
use guifi_streams::Key;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Member {
    name: String,
    zone: String,
    addresses: Vec<String>,
    services: Vec<Map<String, Value>>,
}

/// Signs what belongs to one community, as of one moment.
struct Writer {
    community: Hash,
    version: u64,
    made: Vec<Change>,
}

impl Writer {
    fn add(
        &mut self,
        owner: &SigningKey,
        kind: &str,
        name: &str,
        body: Value,
    ) -> Result<(), String> {
        let Value::Object(body) = body else {
            return Err("a body is an object".to_owned());
        };
        let life = if kinds::expires(kind) {
            self.version + MAX_LIFE_MS
        } else {
            0
        };
        let draft = Draft {
            community: self.community,
            key: RecordKey {
                owner: public(owner),
                kind: kind.into(),
                name: name.into(),
            },
            version: self.version,
            expires: life,
            body: Some(body),
        };
        let record = draft.sign(|content| {
            let signed = [CONTEXT.as_bytes(), &[0], content].concat();
            Ok(owner.sign(&signed).to_bytes())
        })?;
        self.made.push(Change::Put(record.into()));
        Ok(())
    }

    fn member(&mut self, founder: &SigningKey, slot: usize, member: Member) -> Result<(), String> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| e.to_string())?;
        let own = SigningKey::from_bytes(&seed);
        let Member {
            name,
            zone,
            addresses,
            services,
        } = member;
        self.add(
            founder,
            "member",
            &slot.to_string(),
            json!({"key": public(&own)}),
        )?;
        let claim = json!({"space": "dns", "zone": zone, "name": name, "time": self.version});
        self.add(&own, "claim", "dns/0", claim)?;
        let spine = json!({"name": name, "zone": zone, "addresses": addresses, "port": 7656,
            "neighbours": [], "software": env!("CARGO_PKG_VERSION")});
        self.add(&own, "box", "box", json!({"spine": spine}))?;
        for service in services {
            let text = |member: &str| service.get(member).and_then(Value::as_str);
            let kind = text("type").ok_or("a service has no type")?;
            let instance = text("instance").ok_or("a service has no instance")?;
            let record = format!("{kind}/{instance}");
            self.add(&own, "service", &record, Value::Object(service))?;
        }
        Ok(())
    }
}

fn public(key: &SigningKey) -> Key {
    Key(key.verifying_key().to_bytes())
}

/// The community that a box has joined, which must be one that `founder` has founded.
fn community(file: &Path, founder: &SigningKey) -> Result<Hash, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("cannot read {}: {e}", file.display());
    let text = std::fs::read(file).map_err(|e| wrong(&e))?;
    let joined: Value = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
    let founding = joined["founding"].as_str().unwrap_or_default();
    let founding = HEXLOWER
        .decode(founding.as_bytes())
        .map_err(|e| wrong(&e))?;
    let founding = Record::decode(&founding).map_err(|e| wrong(&e))?;
    if founding.key.owner != public(founder) {
        return Err("this box has not founded its community".to_owned());
    }
    Ok(founding.hash)
}

fn run(state: &str, key: &str) -> Result<usize, String> {
    let text = std::fs::read_to_string(key).map_err(|e| format!("cannot read {key}: {e}"))?;
    let seed: Key = text.trim_end().parse().map_err(|e| format!("{key}: {e}"))?;
    let founder = SigningKey::from_bytes(&seed.0);
    let community = community(&Path::new(state).join("community.json"), &founder)?;
    let mut opened = Store::open(&Path::new(state).join("registry.db"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(|e| e.to_string())?.as_millis();
    let mut writer = Writer {
        community,
        version: u64::try_from(now).map_err(|e| e.to_string())?,
        made: Vec::new(),
    };
    for (slot, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|e| e.to_string())?;
        let member = serde_json::from_str(&line).map_err(|e| e.to_string())?;
        writer.member(&founder, slot, member)?;
    }
    opened.store.apply(&writer.made)?;
    Ok(writer.made.len())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [state, key] = &words[..] else {
        eprintln!("usage: populate STATE KEY < MEMBERS");
        return ExitCode::from(2);
    };
    match run(state, key) {
        Ok(records) => {
            println!("{records}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("populate: {e}");
            ExitCode::FAILURE
        }
    }
}
