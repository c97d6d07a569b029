//! The key of the box: made once, kept in `/var/lib/guifi/peerd/key`, never given away. A key
//! that is to follow it lies beside it as `key.next`, the one before it as `key.old`.

use std::fs;
use std::io;
use std::path::Path;

use guifi_core::{Error, Root, write_atomic};
use guifi_streams::Key;
use iroh::SecretKey;

/// The state directory.
pub(crate) const STATE: &str = "/var/lib/guifi/peerd";

/// The secret key of the box and its public half.
#[derive(Debug)]
pub(crate) struct Identity {
    secret: SecretKey,
    public: Key,
}

impl Identity {
    /// Reads the key, or makes it at the first start. A file that is not a key is an error and
    /// never replaced: the box would lose its name.
    pub(crate) fn load(root: &Root) -> Result<Self, Error> {
        Self::load_or_make(root, "key")
    }

    /// Reads the key that is to follow, or makes it.
    pub(crate) fn successor(root: &Root) -> Result<Self, Error> {
        Self::load_or_make(root, "key.next")
    }

    /// The key that is to follow, if one was made.
    pub(crate) fn stored_successor(root: &Root) -> Result<Option<Self>, Error> {
        Self::read(root, "key.next")
    }

    /// Puts the key that is to follow in the place of the present one, which is kept as
    /// `key.old`: should all records be lost on the way, it still is a member. Only names move,
    /// so that a full disk is no hindrance, and at no moment is there no key.
    pub(crate) fn succeed(root: &Root) -> Result<(), Error> {
        let state = root.join(STATE);
        replace(&state, &state.join("key.next"))
            .map_err(|e| Error::failed(format!("cannot change the key: {e}")))
    }

    /// The key of a secret.
    pub(crate) fn of(seed: Key) -> Self {
        let secret = SecretKey::from_bytes(&seed.0);
        let public = Key(*secret.public().as_bytes());
        Self { secret, public }
    }

    /// Reads the key, which must be there.
    pub(crate) fn stored(root: &Root) -> Result<Self, Error> {
        Self::read(root, "key")?.ok_or_else(|| {
            Error::failed("this box has no key yet").hint("systemctl start guifi-peerd")
        })
    }

    fn read(root: &Root, name: &str) -> Result<Option<Self>, Error> {
        let path = root.join(STATE).join(name);
        let failed = |verb: &str, e: &dyn std::fmt::Display| {
            Error::failed(format!("cannot {verb} {}: {e}", path.display()))
        };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let seed = text.trim_end().parse().map_err(|e| failed("use", &e))?;
                Ok(Some(Self::of(seed)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &e)),
        }
    }

    fn load_or_make(root: &Root, name: &str) -> Result<Self, Error> {
        if let Some(key) = Self::read(root, name)? {
            return Ok(key);
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| Error::failed(format!("cannot make a key: {e}")))?;
        let path = root.join(STATE).join(name);
        fs::create_dir_all(root.join(STATE))
            .and_then(|()| write_atomic(&path, format!("{}\n", Key(seed)).as_bytes(), 0o600))
            .map_err(|e| Error::failed(format!("cannot write {}: {e}", path.display())))?;
        Ok(Self::of(Key(seed)))
    }

    /// The public key.
    pub(crate) fn public(&self) -> Key {
        self.public
    }

    /// The secret key, for the endpoint.
    pub(crate) fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// Signs `context`, a zero byte, then `bytes`.
    pub(crate) fn sign(&self, context: &str, bytes: &[u8]) -> [u8; 64] {
        let message = [context.as_bytes(), &[0], bytes].concat();
        self.secret.sign(&message).to_bytes()
    }
}

/// Makes `new` the key in the directory `state`; the one before stays as `key.old`.
pub(crate) fn replace(state: &Path, new: &Path) -> io::Result<()> {
    let (key, old) = (state.join("key"), state.join("key.old"));
    if key.exists() {
        match fs::remove_file(&old) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => fs::hard_link(&key, &old)?,
        }
    }
    fs::rename(new, &key)?;
    fs::File::open(state)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_kept_to_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let first = Identity::load(&root).unwrap().public();
        assert_eq!(Identity::load(&root).unwrap().public(), first);
        let path = root.join(STATE).join("key");
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_key_that_is_to_follow_stays_the_same_until_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let first = Identity::load(&root).unwrap();
        let next = Identity::successor(&root).unwrap().public();
        assert_ne!(next, first.public());
        assert_eq!(Identity::successor(&root).unwrap().public(), next);
        assert_eq!(Identity::load(&root).unwrap().public(), first.public());
        Identity::succeed(&root).unwrap();
        assert_eq!(Identity::load(&root).unwrap().public(), next);
        let old = Identity::read(&root, "key.old").unwrap().unwrap();
        assert_eq!(old.public(), first.public());
        // Nothing is left to follow: the key stays.
        assert!(Identity::succeed(&root).is_err());
        assert_eq!(Identity::load(&root).unwrap().public(), next);
        assert_ne!(Identity::successor(&root).unwrap().public(), next);
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(root.join(STATE)).unwrap();
        fs::write(root.join(STATE).join("key"), "oops").unwrap();
        assert!(Identity::load(&root).is_err());
        assert_eq!(
            fs::read_to_string(root.join(STATE).join("key")).unwrap(),
            "oops"
        );
    }
}
