//! A request taken apart: its cap, path and arguments.

use guifi_tahoe::cap::Cap;
use percent_encoding::percent_decode_str;

use crate::directory::{MAX_DEPTH, Replace};
use crate::problem::{Problem, Reason};

/// Arguments of a query, or of a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments(Vec<(String, String)>);

/// Arguments that are looked at.
const MOST: usize = 64;

impl Arguments {
    /// Reads `a=b&c=d`.
    ///
    /// # Errors
    /// If something is not UTF-8, or there are too many.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let mut all = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if all.len() == MOST {
                return Err(Problem::bad(format!("more than {MOST} arguments")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |text: &str| decode(&text.replace('+', " "));
            all.push((plain(name)?, plain(value)?));
        }
        Ok(Self(all))
    }

    /// Adds those of a form; what the query says counts.
    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// A value, without the spaces around it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.trim())
    }

    /// What is to be done.
    pub(crate) fn t(&self) -> &str {
        self.get("t").unwrap_or_default()
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name)
            .ok_or_else(|| Problem::bad(format!("the argument {name}= is missing")))
    }

    /// Yes or no; no if it is not said.
    ///
    /// # Errors
    /// If it is neither.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        self.get(name).map_or(Ok(false), |value| flag(name, value))
    }

    /// Whether something may be replaced; yes if it is not said.
    ///
    /// # Errors
    /// If it is none of the words.
    pub(crate) fn replace(&self) -> Result<Replace, Problem> {
        match self.get("replace") {
            None => Ok(Replace::Yes),
            Some(word) if word.eq_ignore_ascii_case("only-files") => Ok(Replace::OnlyFiles),
            Some(word) if flag("replace", word)? => Ok(Replace::Yes),
            Some(_) => Ok(Replace::No),
        }
    }

    /// Whether a new file is to be mutable.
    ///
    /// # Errors
    /// If the format is not known, or not written.
    pub(crate) fn mutable(&self) -> Result<bool, Problem> {
        match self.get("format").map(str::to_ascii_uppercase).as_deref() {
            Some("CHK") => Ok(false),
            Some("SDMF") => Ok(true),
            Some("MDMF") => Err(Problem::new(
                Reason::NotSupported,
                "files of the format MDMF are not written yet: ask for SDMF",
            )),
            Some("") | None => self.flag("mutable"),
            Some(other) => Err(Problem::bad(format!("there is no format '{other}'"))),
        }
    }
}

fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "on" => Ok(true),
        "false" | "f" | "0" | "off" => Ok(false),
        _ => Err(Problem::bad(format!(
            "the argument {name}= is neither true nor false"
        ))),
    }
}

/// Text without its percent signs.
///
/// # Errors
/// If it is not UTF-8.
pub(crate) fn decode(text: &str) -> Result<String, Problem> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| Problem::bad("the address has bytes that are not UTF-8"))
}

/// The names of a path, decoded; a slash at its end does not count.
///
/// # Errors
/// If one is empty or not UTF-8, or there are too many.
pub(crate) fn names(path: &str) -> Result<Vec<String>, Problem> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = path.split('/').collect();
    if names.len() > MAX_DEPTH {
        return Err(Problem::bad(format!(
            "a path has more than {MAX_DEPTH} names"
        )));
    }
    if names.contains(&"") {
        return Err(Problem::bad(
            "a path has an empty name: two slashes in a row",
        ));
    }
    names.into_iter().map(decode).collect()
}

/// The capability of a text.
///
/// # Errors
/// If it is none.
pub(crate) fn cap(text: &str) -> Result<Cap, Problem> {
    let text = text.trim();
    // Addresses of old clients.
    let text = text
        .find("URI:")
        .filter(|_| text.starts_with("http://") || text.starts_with("https://"))
        .and_then(|place| text.get(place..))
        .unwrap_or(text);
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(
            names("/uri/URI%3ALIT%3Aaa/b%20c/").unwrap(),
            ["uri", "URI:LIT:aa", "b c"]
        );
        assert_eq!(names("/").unwrap(), Vec::<String>::new());
        for bad in ["/uri//x", "/uri/%ff", &"/x".repeat(300)] {
            assert!(names(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_are_read() {
        let arguments = Arguments::parse("t=mkdir&name=a+b%2Bc&replace=only-files&x").unwrap();
        assert_eq!(
            (arguments.t(), arguments.need("name").unwrap()),
            ("mkdir", "a b+c")
        );
        assert_eq!(arguments.replace().unwrap(), Replace::OnlyFiles);
        assert!(arguments.need("to_dir").is_err());
        assert!(
            Arguments::parse("replace=perhaps")
                .unwrap()
                .replace()
                .is_err()
        );
        assert!(Arguments::parse("format=mdmf").unwrap().mutable().is_err());
        assert!(Arguments::parse(&"a&".repeat(65)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "\\PC{0,200}") {
            let _ = (names(&text), Arguments::parse(&text), cap(&text));
        }
    }
}
