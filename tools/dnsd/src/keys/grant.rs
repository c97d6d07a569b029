//! What a key may change: `ZONE`, `ZONE:NAMES` or `ZONE:NAMES:TYPES`.

use std::fmt;
use std::str::FromStr;

use crate::hosted::rdata::{self, Origin};
use crate::name::Name;

/// Names of a zone, types of records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    zone: Name,
    names: Names,
    /// Empty: all.
    types: Vec<u16>,
    /// As it was written.
    text: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Names {
    /// `*`
    All,
    /// `NAME`
    One(Name),
    /// `*.NAME`: any number of labels in front of it.
    Below(Name),
}

impl Grant {
    /// The zone, lower case.
    pub fn zone(&self) -> &Name {
        &self.zone
    }

    /// Whether records of `rtype` at a name of the zone, lower case, may be changed.
    pub fn allows(&self, name: &Name, rtype: u16) -> bool {
        let named = match &self.names {
            Names::All => true,
            Names::One(one) => name == one,
            Names::Below(top) => name.below(top).is_some_and(|front| !front.is_empty()),
        };
        named && (self.types.is_empty() || self.types.contains(&rtype))
    }
}

/// The name of a zone as people write it, lower case.
///
/// # Errors
/// Why it is none.
pub(super) fn zone(text: &str) -> Result<Name, String> {
    let name = Name::parse(text).filter(|name| text.is_ascii() && name.labels().count() > 0);
    let name = name.ok_or_else(|| format!("'{text}' is no name of a zone"))?;
    Ok(name.lower())
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (zone_text, names, types) = match parts[..] {
            [zone] => (zone, "*", ""),
            [zone, names] => (zone, names, ""),
            [zone, names, types] if !types.is_empty() => (zone, names, types),
            _ => return Err(format!("'{text}' is not ZONE[:NAMES[:TYPES]]")),
        };
        let zone = zone(zone_text)?;
        let name = |text: &str| {
            let name = Origin(&zone).name(text)?.lower();
            match name.below(&zone) {
                Some(_) => Ok(name),
                None => Err(format!("'{text}' is not in {zone}")),
            }
        };
        let names = match names.strip_prefix("*.") {
            _ if names == "*" => Names::All,
            Some(top) => Names::Below(name(top)?),
            None => Names::One(name(names)?),
        };
        let types = types.split(',').filter(|word| !word.is_empty());
        let types: Option<Vec<u16>> = types.map(rdata::rtype).collect();
        let types = types.ok_or_else(|| format!("'{text}' has a type that does not exist"))?;
        Ok(Self {
            zone,
            names,
            types,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
