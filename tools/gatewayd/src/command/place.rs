//! Places in the grid, as people write them: `ALIAS:PATH`, `CAP` or `CAP/PATH`.

use guifi_core::Error;
use percent_encoding::utf8_percent_encode;

use super::aliases::Aliases;
use crate::web::PLAIN;

/// A cap, and names below it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    cap: String,
    path: Vec<String>,
    /// It was written with a slash at its end.
    slash: bool,
}

impl Place {
    /// Whether a text means the grid and not this machine.
    pub(super) fn is_one(text: &str, aliases: &Aliases) -> bool {
        let root = text.split('/').next().unwrap_or_default();
        is_cap(root)
            || root
                .split_once(':')
                .is_some_and(|(name, _)| aliases.get(name).is_some())
    }

    pub(super) fn parse(text: &str, aliases: &Aliases) -> Result<Self, Error> {
        let (cap, path) = if is_cap(text) {
            let (cap, path) = text.split_once('/').unwrap_or((text, ""));
            (cap.to_owned(), path)
        } else {
            let (name, path) = text.split_once(':').ok_or_else(|| {
                Error::usage(format!("'{text}' is no place in the grid"))
                    .hint("write ALIAS:PATH or CAP; guifi-store alias list")
            })?;
            let cap = aliases.get(name).ok_or_else(|| {
                Error::usage(format!("there is no alias '{name}'"))
                    .hint(format!("guifi-store alias create {name}"))
            })?;
            (cap.to_owned(), path)
        };
        Ok(Self {
            cap,
            path: path
                .split('/')
                .filter(|name| !name.is_empty() && *name != ".")
                .map(str::to_owned)
                .collect(),
            slash: text.ends_with('/'),
        })
    }

    /// Of a cap alone.
    pub(super) fn of_cap(cap: &str) -> Self {
        Self {
            cap: cap.to_owned(),
            path: Vec::new(),
            slash: false,
        }
    }

    /// Where the gateway has it.
    pub(super) fn address(&self) -> String {
        let names = std::iter::once(&self.cap).chain(&self.path);
        let names = names.map(|name| utf8_percent_encode(name, PLAIN).to_string());
        format!("/uri/{}", names.collect::<Vec<_>>().join("/"))
    }

    /// The same as one text, for arguments.
    pub(super) fn plain(&self) -> String {
        let names = std::iter::once(&self.cap).chain(&self.path);
        names.map(String::as_str).collect::<Vec<_>>().join("/")
    }

    /// The directory that has it, and its name there.
    pub(super) fn parent(&self) -> Result<(Self, String), Error> {
        let mut parent = self.clone();
        let name = parent.path.pop().ok_or_else(|| {
            Error::usage("this is a cap, not a name in a directory: it has no place to leave")
        })?;
        Ok((parent, name))
    }

    /// Something below it.
    pub(super) fn join(&self, name: &str) -> Self {
        let mut below = self.clone();
        below.path.push(name.to_owned());
        below.slash = false;
        below
    }

    /// Whether it can be nothing but a directory.
    pub(super) fn is_directory_like(&self) -> bool {
        self.slash
    }

    /// Its last name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.path.last().map(String::as_str)
    }
}

fn is_cap(text: &str) -> bool {
    text.starts_with("URI:") || text.starts_with("ro.URI:") || text.starts_with("imm.URI:")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let aliases = Aliases::parse("fam: URI:DIR2:a:b\n").unwrap();
        let place = Place::parse("fam:photos/2026 a", &aliases).unwrap();
        assert_eq!(place.address(), "/uri/URI%3ADIR2%3Aa%3Ab/photos/2026%20a");
        assert_eq!(place.parent().unwrap().1, "2026 a");
        let cap = Place::parse("URI:LIT:aa", &aliases).unwrap();
        assert_eq!(cap.address(), "/uri/URI%3ALIT%3Aaa");
        assert!(cap.parent().is_err());
        assert!(
            Place::parse("fam:x/", &aliases)
                .unwrap()
                .is_directory_like()
        );
        for text in ["nobody:x", "x", ""] {
            assert!(Place::parse(text, &aliases).is_err(), "{text}");
            assert!(!Place::is_one(text, &aliases), "{text}");
        }
        assert!(Place::is_one("fam:", &aliases) && Place::is_one("URI:X:y/z", &aliases));
        assert!(!Place::is_one("./fam:x", &aliases));
    }
}
