//! Founding a community.

use guifi_core::Error;
use guifi_streams::{Client, Key};
use serde_json::{Value, json};

use super::client::{Options, document};
use super::object;
use crate::engine::{Handle, now};
use crate::home::Membership;
use crate::node::{Home, Sign};
use crate::record::{Draft, RecordKey};
use crate::rules::{Founding, is_label, is_zone};

/// Founding administrators; with the longest terms they still fit one record.
const MAX_ADMINISTRATORS: usize = 12;

/// Founds a community with this box as its first administrator.
///
/// # Errors
/// [`guifi_core::Kind::Usage`], or the key is out of reach.
pub(super) fn found(
    handle: &Handle,
    client: &Client,
    options: &Options,
    home: Home,
) -> Result<Value, Error> {
    let name = options.community.to_ascii_lowercase();
    if !is_label(&name) {
        return Err(Error::usage(format!(
            "'{}' cannot be the name of a community: letters, digits and hyphens, at most 63",
            options.community
        )));
    }
    let domain = if options.domain.is_empty() {
        format!("{name}.internal")
    } else {
        options.domain.trim_end_matches('.').to_ascii_lowercase()
    };
    if !is_zone(&domain) {
        return Err(Error::usage(format!(
            "'{}' is not a DNS domain",
            options.domain
        )));
    }
    if options.terms.len() > 3000 {
        return Err(Error::usage("the terms have over 3,000 bytes"));
    }
    let administrators = administrators(client.own_key(), &options.administrators)?;
    let draft = Draft {
        community: [0; 32],
        key: RecordKey {
            owner: client.own_key(),
            kind: "founding".into(),
            name: "founding".into(),
        },
        version: now().clock_ms.max(1),
        expires: 0,
        body: Some(object(json!({
            "name": name,
            "domain": domain,
            "policy": if options.closed { "closed" } else { "open" },
            "administrators": administrators,
            "terms": options.terms,
        }))),
    };
    let signer = Direct(client.clone());
    let founding = draft
        .sign(|content| signer.sign(crate::record::CONTEXT, content))
        .map_err(Error::failed)?;
    let community = Founding::read(&founding).map_err(Error::failed)?;
    let document = document(&founding, &community);
    let membership = Membership::new(&founding, home, None);
    handle.call(move |engine| engine.adopt(&membership, Vec::new()))??;
    log::info!("founded the community {name}");
    Ok(document)
}

struct Direct(Client);

impl Sign for Direct {
    fn sign(&self, context: &str, message: &[u8]) -> Result<[u8; 64], String> {
        self.0
            .sign(context, message)
            .map_err(|e| format!("guifi-peerd does not sign: {e}"))
    }
}

/// The founding administrators in the order of their rank, this box first.
fn administrators(own: Key, further: &[String]) -> Result<Vec<Key>, Error> {
    let mut administrators = vec![own];
    for text in further {
        let key: Key = text.parse().map_err(|_| {
            Error::usage(format!("'{text}' is not a key")).hint("guifi-peer key, on that box")
        })?;
        if !administrators.contains(&key) {
            administrators.push(key);
        }
    }
    if administrators.len() > MAX_ADMINISTRATORS {
        return Err(Error::usage(format!(
            "a community is founded by at most {MAX_ADMINISTRATORS} administrators"
        ))
        .hint("guifi-registry appoint adds others later"));
    }
    Ok(administrators)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use guifi_core::Kind;

    #[test]
    fn the_founder_ranks_first_and_each_key_once() {
        let keys: Vec<Key> = (1..=20).map(|n| Key([n; 32])).collect();
        let text = |n: usize| keys[n].to_string();
        let made = administrators(keys[0], &[text(2), text(0), text(2), text(1)]).unwrap();
        assert_eq!(made, [keys[0], keys[2], keys[1]]);
        let many: Vec<String> = (0..20).map(text).collect();
        for wrong in [&many[..], &["nonsense".to_owned()]] {
            let error = administrators(keys[0], wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
        }
    }
}
