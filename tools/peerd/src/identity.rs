//! The key of the box: made once, kept in `/var/lib/guifi/peerd/key`, never given away.

use std::fs;
use std::io;

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
        let path = root.join(STATE).join("key");
        let shown = path.display();
        let secret = match fs::read_to_string(&path) {
            Ok(text) => {
                let seed: Key = text
                    .trim_end()
                    .parse()
                    .map_err(|e| Error::failed(format!("cannot use {shown}: {e}")))?;
                SecretKey::from_bytes(&seed.0)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed)
                    .map_err(|e| Error::failed(format!("cannot make a key: {e}")))?;
                fs::create_dir_all(root.join(STATE))
                    .and_then(|()| {
                        write_atomic(&path, format!("{}\n", Key(seed)).as_bytes(), 0o600)
                    })
                    .map_err(|e| Error::failed(format!("cannot write {shown}: {e}")))?;
                SecretKey::from_bytes(&seed)
            }
            Err(e) => return Err(Error::failed(format!("cannot read {shown}: {e}"))),
        };
        let public = Key(*secret.public().as_bytes());
        Ok(Self { secret, public })
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
