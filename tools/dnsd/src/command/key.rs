//! `guifi-dns key`: the keys that others sign with.

use std::io::{Read as _, Write};
use std::path::Path;

use guifi_bus::{DnsAdminProxy, block_on, connect};
use guifi_core::Error;
use serde_json::Value;

use super::{list, print, table, text};
use crate::cli::KeyAction;

/// Octets of a file with a secret: more is something else.
const MAX_FILE: u64 = 4096;
const KEYS: [(&str, &str); 4] = [
    ("NAME", "name"),
    ("ALGORITHM", "algorithm"),
    ("UPDATE", "update"),
    ("TRANSFER", "transfer"),
];

pub(super) fn run(as_json: bool, action: &KeyAction, out: &mut impl Write) -> Result<(), Error> {
    match action {
        KeyAction::List => {
            let keys = ask("cannot list the keys", async |admin| {
                admin.list_keys().await
            })?;
            let keys: Value = read(&keys)?;
            print(out, as_json.then_some(&keys), || table(KEYS, &plain(&keys)))
        }
        KeyAction::Add {
            name,
            algorithm,
            secret_file,
            update,
            transfer,
        } => {
            let secret = secret_file.as_deref().map(secret).transpose()?;
            let update: Vec<&str> = update.iter().map(String::as_str).collect();
            let transfer: Vec<&str> = transfer.iter().map(String::as_str).collect();
            let made = ask("cannot make the key", async |admin| {
                let secret = secret.as_deref().unwrap_or_default();
                let rights = (&update[..], &transfer[..]);
                admin
                    .add_key(name, algorithm, secret, rights.0, rights.1)
                    .await
            })?;
            show(as_json, &made, out)
        }
        KeyAction::Show { name } => {
            let key = ask("cannot show the key", async |admin| {
                admin.show_key(name).await
            })?;
            show(as_json, &key, out)
        }
        KeyAction::Revoke { name } => ask("cannot revoke the key", async |admin| {
            admin.revoke_key(name).await
        }),
    }
}

fn ask<T>(
    attempt: &str,
    call: impl AsyncFnOnce(DnsAdminProxy<'_>) -> zbus::Result<T>,
) -> Result<T, Error> {
    block_on(async {
        let failed = |e| guifi_bus::error(attempt, e);
        let admin = DnsAdminProxy::new(&connect().await?)
            .await
            .map_err(failed)?;
        call(admin).await.map_err(failed)
    })
}

fn read(document: &str) -> Result<Value, Error> {
    serde_json::from_str(document)
        .map_err(|e| Error::failed(format!("cannot read the answer of guifi-dnsd: {e}")))
}

/// The clause that named.conf, nsupdate -k and dig -k take.
fn show(as_json: bool, document: &str, out: &mut impl Write) -> Result<(), Error> {
    let key = read(document)?;
    print(out, as_json.then_some(&key), || {
        let [name, algorithm, secret] =
            ["name", "algorithm", "secret"].map(|word| text(&key[word]));
        format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n")
    })
}

/// Lists within the table as words.
fn plain(keys: &Value) -> Value {
    let row = |key: &Value| {
        let mut row = key.clone();
        for column in ["update", "transfer"] {
            let words: Vec<String> = list(&key[column]).map(text).collect();
            row[column] = if words.is_empty() {
                Value::Null
            } else {
                words.join(" ").into()
            };
        }
        row
    };
    list(keys).map(row).collect()
}

/// The secret in a file; `-` is standard input.
fn secret(path: &Path) -> Result<String, Error> {
    let failed = |e: std::io::Error| {
        Error::failed(format!("cannot read the secret in {}: {e}", path.display()))
    };
    let mut text = String::new();
    if path == Path::new("-") {
        let mut input = std::io::stdin().lock().take(MAX_FILE);
        input.read_to_string(&mut text).map_err(failed)?;
    } else {
        let mut file = std::fs::File::open(path).map_err(failed)?.take(MAX_FILE);
        file.read_to_string(&mut text).map_err(failed)?;
    }
    match text.trim() {
        "" => Err(Error::usage(format!(
            "there is no secret in {}",
            path.display()
        ))),
        secret => Ok(secret.to_owned()),
    }
}
