//! `guifi-peer key export`, `import` and `rotate`.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use guifi_bus::{PeerProxy, RegistryAdminProxy};
use guifi_core::{Error, Kind, Root, terminal, write_atomic};
use guifi_streams::Key;
use serde_json::{Value, json};

use super::{KeyAction, lines, word};
use crate::identity::{Identity, STATE, replace};

/// First line of an exported key, under its passphrase; the key follows in base32.
const TITLE: &str = "guifi-key-v1";
/// Octets of a sealed key at most.
const MAX_BYTES: u64 = 4096;
/// How long the daemon may take to go on with another key.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks meanwhile.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn act(action: &KeyAction, json: bool) -> Result<String, Error> {
    let root = Root::from_env();
    let key = match action {
        KeyAction::Export {
            file,
            passphrase_file,
        } => export(&root, file, passphrase_file.as_deref())?,
        KeyAction::Import {
            file,
            passphrase_file,
        } => import(&root, file, passphrase_file.as_deref()).await?,
        KeyAction::Rotate => rotate().await?,
    };
    if json {
        return Ok(lines([&json!({"key": key})]));
    }
    Ok(match action {
        KeyAction::Export { file, .. } => {
            format!("{}: the key {key}\n", file.display())
        }
        _ => format!("the key of this box is {key}\n"),
    })
}

fn export(root: &Root, file: &Path, passphrase: Option<&Path>) -> Result<String, Error> {
    let failed =
        |e: &dyn std::fmt::Display| Error::failed(format!("cannot write {}: {e}", file.display()));
    if file.exists() {
        return Err(failed(&"it exists"));
    }
    let own = Identity::stored(root)?;
    let passphrase = guifi_seal::passphrase(passphrase, true)?;
    let text = format!("{TITLE}\n{}\n", Key(own.secret().to_bytes()));
    let sealed = guifi_seal::seal(text.as_bytes(), &passphrase).map_err(|e| failed(&e))?;
    write_atomic(file, &sealed, 0o600).map_err(|e| failed(&e))?;
    Ok(own.public().to_string())
}

/// The key in a sealed file.
fn opened(file: &Path, passphrase: Option<&Path>) -> Result<Identity, Error> {
    let failed =
        |e: &dyn std::fmt::Display| Error::failed(format!("cannot open {}: {e}", file.display()));
    let mut sealed = Vec::new();
    fs::File::open(file)
        .and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut sealed))
        .map_err(|e| failed(&e))?;
    if sealed.len() as u64 > MAX_BYTES {
        return Err(failed(&"it is larger than any key"));
    }
    let passphrase = guifi_seal::passphrase(passphrase, false)?;
    let plain = guifi_seal::open(&sealed, &passphrase).map_err(|e| failed(&e))?;
    let seed = std::str::from_utf8(&plain)
        .ok()
        .and_then(|text| text.strip_prefix(TITLE)?.trim().parse::<Key>().ok())
        .ok_or_else(|| failed(&"it holds no key"))?;
    Ok(Identity::of(seed))
}

async fn import(root: &Root, file: &Path, passphrase: Option<&Path>) -> Result<String, Error> {
    let new = opened(file, passphrase)?;
    let state = root.join(STATE);
    let failed = |e: std::io::Error| {
        Error::failed(format!("cannot put the key into {}: {e}", state.display()))
    };
    let own = Identity::stored(root).ok();
    if own.as_ref().map(Identity::public) == Some(new.public()) {
        return Ok(new.public().to_string());
    }
    if is_joined().await {
        return Err(
            Error::failed("this box is a member of a community under its own key")
                .hint("guifi-leave first"),
        );
    }
    // What peerd owns stays peerd's, and is so before it has the name that peerd reads.
    let coming = state.join("key.import");
    let text = format!("{}\n", Key(new.secret().to_bytes()));
    fs::metadata(&state)
        .and_then(|owner| {
            write_atomic(&coming, text.as_bytes(), 0o600)?;
            chown(&coming, Some(owner.uid()), Some(owner.gid()))?;
            replace(&state, &coming)
        })
        .map_err(failed)?;
    let restarted = Command::new("systemctl")
        .args(["try-restart", "guifi-peerd.service"])
        .stdin(Stdio::null())
        .status();
    if !restarted.is_ok_and(|status| status.success()) {
        terminal::say("guifi-peerd was not restarted: it takes up the key at its next start");
    }
    Ok(new.public().to_string())
}

/// Whether the box is a member of a community, as far as anybody is there to say so.
async fn is_joined() -> bool {
    let document = async {
        let bus = guifi_bus::connect().await.ok()?;
        described(&PeerProxy::new(&bus).await.ok()?).await.ok()
    };
    document.await.is_some_and(|d| !d["community"].is_null())
}

async fn described(peer: &PeerProxy<'_>) -> Result<Value, Error> {
    let text = peer
        .describe()
        .await
        .map_err(|e| guifi_bus::error("cannot ask guifi-peerd", e))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::failed(format!("cannot read the answer of guifi-peerd: {e}")))
}

async fn rotate() -> Result<String, Error> {
    let failed = |e| guifi_bus::error("cannot change the key", e);
    let bus = guifi_bus::connect().await?;
    let registry = RegistryAdminProxy::new(&bus).await.map_err(failed)?;
    let answer = registry.rotate().await.map_err(failed)?;
    let answer: Value = serde_json::from_str(&answer)
        .map_err(|e| Error::failed(format!("cannot read the answer: {e}")))?;
    let key = word(&answer["key"]).to_owned();
    let peer = PeerProxy::new(&bus).await.map_err(failed)?;
    let end = Instant::now() + PATIENCE;
    while described(&peer)
        .await
        .is_ok_and(|document| document["key"] != *key)
        && Instant::now() < end
    {
        tokio::time::sleep(LOOK).await;
    }
    if described(&peer).await?["key"] != *key {
        return Err(Error::new(
            Kind::Unavailable,
            "guifi-peerd has not gone over to the new key yet",
        )
        .hint("systemctl restart guifi-registryd"));
    }
    terminal::say("an older backup holds the key that was given up: make a new one");
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_exported_key_is_opened_by_its_passphrase_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let own = Identity::load(&root).unwrap();
        let (file, word) = (dir.path().join("sealed"), dir.path().join("word"));
        fs::write(&word, "one\n").unwrap();
        let key = export(&root, &file, Some(&word)).unwrap();
        assert_eq!(key, own.public().to_string());
        assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap()).contains(TITLE));
        assert!(export(&root, &file, Some(&word)).is_err());
        assert_eq!(opened(&file, Some(&word)).unwrap().public(), own.public());
        fs::write(&word, "two\n").unwrap();
        assert!(opened(&file, Some(&word)).is_err());
        // A backup is sealed alike, and no key.
        let other = guifi_seal::seal(b"another thing", "two").unwrap();
        fs::write(&file, other).unwrap();
        let refused = opened(&file, Some(&word)).err().unwrap();
        assert!(refused.to_string().contains("holds no key"));
        fs::write(&file, vec![0; 5000]).unwrap();
        assert!(opened(&file, Some(&word)).is_err());
    }
}
