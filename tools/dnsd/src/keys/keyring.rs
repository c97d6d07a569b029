//! The keys on the disk: one file that only the daemon reads, since the daemon alone makes and
//! uses the secrets, and may write nowhere but in its state.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use guifi_bus::Failure;
use guifi_core::{Error, Kind, Root, write_atomic};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Entry, Grant, Keys, grant};
use crate::board::Board;
use crate::name::Name;
use crate::tsig::{Algorithm, Key};

/// The keys as a JSON object.
const FILE: &str = "/var/lib/guifi/dnsd/keys.json";
/// Octets of a secret: fewer are guessed, more are hashed first.
const SECRET: std::ops::RangeInclusive<usize> = 16..=512;

/// A key as it is kept, by its name in lower case and without a last dot.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    algorithm: String,
    /// In base64.
    secret: String,
    #[serde(default)]
    update: Vec<String>,
    #[serde(default)]
    transfer: Vec<String>,
}

type File = BTreeMap<String, Kept>;

/// A key that is to be made.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// Its name.
    pub name: String,
    /// Name of the algorithm.
    pub algorithm: String,
    /// The secret in base64; empty for a fresh one.
    pub secret: String,
    /// What it may change, each as in [`Grant`].
    pub update: Vec<String>,
    /// Zones that it may have as a whole.
    pub transfer: Vec<String>,
}

/// The one place where keys are changed.
pub struct Keyring {
    root: Root,
    board: Arc<Board>,
    changing: Mutex<()>,
}

impl Keyring {
    /// Publishes the keys as they were kept.
    pub fn open(root: &Root, board: &Arc<Board>) -> Arc<Self> {
        let keyring = Self {
            root: root.clone(),
            board: board.clone(),
            changing: Mutex::default(),
        };
        match keyring.read().and_then(|file| keys(&file)) {
            Ok(keys) => keyring.publish(keys),
            Err(e) => log::error!("{e}; nothing that is signed is believed"),
        }
        Arc::new(keyring)
    }

    /// All keys without their secrets.
    ///
    /// # Errors
    /// [`Failure::Failed`] if the file cannot be read.
    pub fn list(&self) -> Result<Value, Failure> {
        let file = self.read()?;
        Ok(file.iter().map(|(name, kept)| shown(name, kept)).collect())
    }

    /// A key with its secret.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Failed`] if the file cannot be read.
    pub fn show(&self, name: &str) -> Result<Value, Failure> {
        let (file, name) = (self.read()?, plain(name)?);
        let kept = file.get(&name).ok_or_else(|| none(&name))?;
        Ok(secret(&name, kept))
    }

    /// Makes a key, valid from now on; gives it with its secret.
    ///
    /// # Errors
    /// [`Failure::Invalid`]; [`Failure::Taken`] if there is one of this name; [`Failure::Failed`]
    /// if it could not be kept.
    pub fn add(&self, new: New) -> Result<Value, Failure> {
        let name = plain(&new.name)?;
        let secret_text = match new.secret.trim() {
            "" => fresh(&new.algorithm)?,
            given => given.to_owned(),
        };
        let kept = Kept {
            algorithm: new.algorithm,
            secret: secret_text,
            update: new.update,
            transfer: new.transfer,
        };
        entry(&name, &kept).map_err(Failure::Invalid)?;
        self.change(|file| {
            if file.contains_key(&name) {
                return Err(Failure::Taken(format!("there is a key '{name}' already")));
            }
            let document = secret(&name, &kept);
            file.insert(name, kept);
            Ok(document)
        })
    }

    /// Ends a key: from now on nothing that is signed with it is believed.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Failed`] if the end could not be kept.
    pub fn revoke(&self, name: &str) -> Result<(), Failure> {
        let name = plain(name)?;
        self.change(|file| file.remove(&name).map(drop).ok_or_else(|| none(&name)))
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut File) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.read()?;
        let done = change(&mut file)?;
        let keys = keys(&file)?;
        let text = serde_json::to_vec_pretty(&file)
            .map_err(|e| Failure::Failed(format!("cannot write keys: {e}")))?;
        write_atomic(&self.root.join(FILE), &text, 0o600)
            .map_err(|e| Failure::Failed(format!("cannot write {FILE}: {e}")))?;
        self.publish(keys);
        Ok(done)
    }

    fn read(&self) -> Result<File, Error> {
        match fs::read(self.root.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|e| Error::failed(format!("cannot read {FILE}: {e}"))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(File::default()),
            Err(e) => Err(Error::failed(format!("cannot read {FILE}: {e}"))),
        }
    }

    fn publish(&self, keys: Keys) {
        let keys = Arc::new(keys);
        self.board.change(|snapshot| snapshot.keys = keys);
    }
}

fn none(name: &str) -> Failure {
    Failure::NotFound(format!("there is no key '{name}'"))
}

/// The name of a key as it is kept.
fn plain(text: &str) -> Result<String, Error> {
    let name = Name::parse(text).filter(|name| text.is_ascii() && name.labels().count() > 0);
    let name = name.ok_or_else(|| Error::usage(format!("'{text}' is no name of a key")))?;
    let text = name.lower().to_string();
    Ok(text.strip_suffix('.').unwrap_or(&text).to_owned())
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let known = Algorithm::ALL.map(Algorithm::name).join(", ");
    let wrong = |()| format!("'{text}' is no algorithm that is done here: {known}");
    text.parse().map_err(wrong)
}

/// A new secret, as long as the signatures.
fn fresh(name: &str) -> Result<String, Failure> {
    let mut secret = vec![0; algorithm(name).map_err(Failure::Invalid)?.size()];
    getrandom::fill(&mut secret)
        .map_err(|e| Failure::Failed(format!("cannot make a secret: {e}")))?;
    Ok(BASE64.encode(&secret))
}

fn keys(file: &File) -> Result<Keys, Error> {
    let entries = file.iter().map(|(name, kept)| {
        let entry = entry(name, kept)
            .map_err(|e| Error::new(Kind::Failed, format!("cannot use {FILE}: {e}")))?;
        Ok((entry.key.name().clone(), Arc::new(entry)))
    });
    entries.collect::<Result<_, Error>>().map(Keys)
}

fn entry(name: &str, kept: &Kept) -> Result<Entry, String> {
    let wire = Name::parse(name).ok_or_else(|| format!("'{name}' is no name of a key"))?;
    let secret = BASE64
        .decode(kept.secret.as_bytes())
        .ok()
        .filter(|secret| SECRET.contains(&secret.len()))
        .ok_or_else(|| {
            let (from, to) = (SECRET.start(), SECRET.end());
            format!("the secret of '{name}' is not {from} to {to} octets in base64")
        })?;
    let key = Key::new(&wire, algorithm(&kept.algorithm)?, &secret);
    Ok(Entry {
        key: Arc::new(key),
        update: kept
            .update
            .iter()
            .map(|text| text.parse::<Grant>())
            .collect::<Result<_, _>>()?,
        transfer: kept
            .transfer
            .iter()
            .map(|text| grant::zone(text))
            .collect::<Result<_, _>>()?,
    })
}

fn shown(name: &str, kept: &Kept) -> Value {
    json!({
        "name": name, "algorithm": kept.algorithm,
        "update": kept.update, "transfer": kept.transfer,
    })
}

fn secret(name: &str, kept: &Kept) -> Value {
    let mut document = shown(name, kept);
    document["secret"] = json!(kept.secret);
    document
}
