//! A change of the box's key, between the node, which says so, and peerd, which has the keys.

use guifi_core::{Error, Kind};
use guifi_streams::{ClientError, Key};

use super::{Engine, now};
use crate::record::CONTEXT;
use crate::rules::{CLAIM_CONTEXT, rotation_message};

impl Engine {
    /// Gives up the key of this box for one that peerd makes; [`Engine::succeed`] comes a moment
    /// later, when the members have heard of it. Answers both keys.
    pub(crate) fn rotate(&mut self) -> Result<(Key, Key), Error> {
        if self.starting() {
            return Err(Error::new(Kind::TryLater, "the registry is just starting"));
        }
        let client = self.client()?;
        let refused = |e: ClientError| Error::failed(format!("guifi-peerd does not help: {e}"));
        let (old, new) = (client.own_key(), client.successor().map_err(refused)?);
        if let Some(node) = &mut self.node {
            let message = rotation_message(&node.community(), old, new);
            let signature = client
                .sign_as_successor(CLAIM_CONTEXT, &message)
                .map_err(refused)?;
            let sign = |content: &[u8]| {
                client
                    .sign_as_successor(CONTEXT, content)
                    .map_err(|e| format!("guifi-peerd does not sign: {e}"))
            };
            node.rotate(new, &signature, sign, now())
                .map_err(|e| Error::failed(format!("cannot change the key: {e}")))?;
            self.carry_out();
        }
        Ok((old, new))
    }

    /// Has peerd go over to `key`; this box then goes on as another.
    pub(crate) fn succeed(&mut self, key: Key) -> Result<(), Error> {
        match self.client()?.succeed(key) {
            // Its answer may be cut off by what it does.
            Ok(()) | Err(ClientError::Closed) => Ok(()),
            Err(e) => Err(Error::failed(format!(
                "guifi-peerd does not go over to {key}: {e}"
            ))),
        }
    }
}
