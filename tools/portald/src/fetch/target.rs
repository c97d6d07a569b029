//! What there is to fetch: a kind of data and the number of a zone or service.

use std::fmt;

use guifi_bus::Failure;

use crate::config::Settings;
use crate::kind::Kind;

/// A source at the portal.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Target {
    /// Kind.
    pub kind: Kind,
    /// Zone or service; 0 for addresses.
    pub id: u64,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Addresses => f.write_str("addresses"),
            kind => write!(f, "{}/{}", kind.word(), self.id),
        }
    }
}

impl Target {
    /// Its path at the portal.
    #[must_use]
    pub fn path(self) -> String {
        let id = self.id;
        match self.kind {
            Kind::Cnml => format!("/guifi/cnml/{id}/detail"),
            Kind::Proxies => format!("/guifi/csvproxy/{id}"),
            Kind::Federation => format!("/guifi/export/{id}/federation"),
            Kind::Domains => format!("/guifi/cnml/{id}/domains"),
            // Any number does; the portal has no address without one.
            Kind::Addresses => "/guifi/cnml/1/ips".into(),
        }
    }

    /// The refresh token that tells of changes, if there is one for this kind.
    #[must_use]
    pub fn token(self) -> Option<&'static str> {
        match self.kind {
            Kind::Cnml => Some("cnml"),
            Kind::Domains => Some("dns"),
            _ => None,
        }
    }
}

/// All that is configured, in the order of fetching.
#[must_use]
pub fn all(settings: &Settings) -> Vec<Target> {
    let of = |kind: Kind| {
        let ids = match kind {
            Kind::Cnml => settings.zones.clone(),
            Kind::Proxies if settings.proxies => settings.zones.clone(),
            Kind::Proxies => Vec::new(),
            Kind::Domains => settings.dns_services.clone(),
            Kind::Federation => settings.federation.clone(),
            Kind::Addresses => vec![0; settings.addresses.into()],
        };
        ids.into_iter().map(move |id| Target { kind, id })
    };
    Kind::ALL.into_iter().flat_map(of).collect()
}

/// What somebody wants fetched.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wish {
    /// Of what is configured.
    pub targets: Vec<Target>,
    /// What may become empty the next time.
    pub confirmed: Option<Target>,
}

/// Reads `""`, `KIND`, `KIND/ID`, and `KIND/ID!`, which confirms that it may become empty.
///
/// # Errors
/// If it is none of these, or nothing of the kind is configured.
pub fn wish(text: &str, configured: &[Target]) -> Result<Wish, Failure> {
    let invalid = || {
        let kinds = Kind::ALL.map(Kind::word).join(", ");
        Failure::Invalid(format!(
            "'{}' is not one of {kinds}, perhaps with /ID",
            text.escape_debug()
        ))
    };
    let (what, confirm) = match text.strip_suffix('!') {
        Some(what) => (what, true),
        None => (text, false),
    };
    if what.is_empty() && !confirm {
        return match configured {
            [] => Err(Failure::Failed(
                "nothing to fetch is configured (hint: name zones in /etc/guifi/portald.toml)"
                    .into(),
            )),
            all => Ok(Wish {
                targets: all.to_vec(),
                confirmed: None,
            }),
        };
    }
    let (word, id) = match what.split_once('/') {
        Some((word, id)) => (word, Some(id.parse().map_err(|_| invalid())?)),
        None if what == Kind::Addresses.word() => (what, Some(0)),
        None => (what, None),
    };
    let kind = Kind::of(word).ok_or_else(invalid)?;
    let fits = |t: &&Target| t.kind == kind && id.is_none_or(|id| t.id == id);
    let targets: Vec<Target> = configured.iter().filter(fits).copied().collect();
    let confirmed = id.filter(|_| confirm).map(|id| Target { kind, id });
    if confirm && confirmed.is_none() {
        return Err(Failure::Invalid(format!(
            "to confirm takes a number: {word}/ID"
        )));
    }
    if targets.is_empty() && confirmed.is_none() {
        return Err(Failure::NotFound(format!(
            "{what} is not configured to be fetched (hint: add it to /etc/guifi/portald.toml)"
        )));
    }
    Ok(Wish { targets, confirmed })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target(kind: Kind, id: u64) -> Target {
        Target { kind, id }
    }

    #[test]
    fn wishes_are_read() {
        let configured = [
            target(Kind::Cnml, 1),
            target(Kind::Cnml, 2),
            target(Kind::Addresses, 0),
        ];
        let targets = |text: &str| wish(text, &configured).map(|wish| wish.targets.len());
        assert_eq!(targets("").unwrap(), 3);
        assert_eq!(targets("cnml").unwrap(), 2);
        assert_eq!(targets("cnml/2").unwrap(), 1);
        assert_eq!(targets("addresses").unwrap(), 1);
        for wrong in [
            "cnml/3", "domains", "x", "cnml/x", "cnml/-1", "!", "cnml!", "cnml/", "/1",
        ] {
            assert!(wish(wrong, &configured).is_err(), "{wrong}");
        }
        assert!(wish("", &[]).is_err());
        let confirmed = wish("cnml/3!", &configured).unwrap();
        assert_eq!(
            (confirmed.targets.len(), confirmed.confirmed),
            (0, Some(target(Kind::Cnml, 3)))
        );
        assert_eq!(
            wish("addresses!", &configured).unwrap().confirmed,
            Some(target(Kind::Addresses, 0))
        );
    }
}
