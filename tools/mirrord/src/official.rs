//! The official hosts of the repository: those that APT's own sources name for its suite.
//! sources.list(5), both formats.

use std::fs;
use std::path::PathBuf;

use guifi_core::Root;

use crate::deb822::paragraphs;

/// A repository that an administrator has given to APT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Official {
    /// As it is written, with a slash at the end.
    pub(crate) url: String,
    /// The keys that it is trusted with, if they are a file.
    pub(crate) keyring: Option<PathBuf>,
}

/// Where sources are.
const DIRECTORY: &str = "/etc/apt/sources.list.d";
/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Those of all files of APT's configuration, in the order of their names.
pub(crate) fn find(root: &Root, suite: &str) -> Vec<Official> {
    let mut files = vec![root.join("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir(root.join(DIRECTORY)) {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let mut found: Vec<Official> = Vec::new();
    for file in files {
        let extension = file
            .extension()
            .and_then(|x| x.to_str())
            .unwrap_or_default();
        if !fs::metadata(&file).is_ok_and(|m| m.len() <= MAX_BYTES) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        let read = match extension {
            "sources" => sources(&text, suite),
            "list" => list(&text, suite),
            _ => continue,
        };
        for official in read {
            if !found.iter().any(|known| known.url == official.url) {
                found.push(official);
            }
        }
    }
    found
}

fn official(url: &str, keyring: Option<&str>) -> Option<Official> {
    let is_known = ["http://", "https://", "file:/"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    is_known.then(|| Official {
        url: format!("{}/", url.trim_end_matches('/')),
        keyring: keyring
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from),
    })
}

fn sources(text: &str, suite: &str) -> Vec<Official> {
    let mut found = Vec::new();
    for source in paragraphs(text) {
        let has = |field: &str, word: &str| {
            source
                .field(field)
                .is_some_and(|value| value.split_ascii_whitespace().any(|w| w == word))
        };
        if has("Enabled", "no") || !has("Types", "deb") || !has("Suites", suite) {
            continue;
        }
        let urls = source
            .field("URIs")
            .unwrap_or_default()
            .split_ascii_whitespace();
        found.extend(urls.filter_map(|url| official(url, source.field("Signed-By"))));
    }
    found
}

fn list(text: &str, suite: &str) -> Vec<Official> {
    let line = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_ascii_whitespace();
        let url = words.next()?;
        let keyring = options
            .split_ascii_whitespace()
            .find_map(|o| o.strip_prefix("signed-by="));
        (words.next()? == suite).then(|| official(url, keyring))?
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_formats_are_read_and_others_left() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "etc/apt/sources.list",
            "deb http://deb.debian.org/debian trixie main\n#deb http://x/ guifi main\n",
        );
        put(
            "etc/apt/sources.list.d/a.list",
            "deb [arch=amd64 signed-by=/k.gpg] http://a.example guifi main\n",
        );
        put(
            "etc/apt/sources.list.d/guifi.sources",
            "Types: deb\nURIs: http://b.example/ http://a.example/\nSuites: guifi\nSigned-By: /l.gpg\n\n\
             Enabled: no\nTypes: deb\nURIs: http://c.example/\nSuites: guifi\n",
        );
        put(
            "etc/apt/sources.list.d/m.sources",
            "Types: deb\nURIs: mirror+file:/x\nSuites: guifi\n",
        );
        put(
            "etc/apt/sources.list.d/b.sources.bak",
            "Types: deb\nURIs: http://d/\nSuites: guifi\n",
        );
        let found = find(&Root::new(dir.path()), "guifi");
        let urls: Vec<&str> = found.iter().map(|o| o.url.as_str()).collect();
        assert_eq!(urls, ["http://a.example/", "http://b.example/"]);
        assert_eq!(found[0].keyring.as_deref(), Some("/k.gpg".as_ref()));
        assert!(find(&Root::new("/nonexistent"), "guifi").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(deb|Types|URIs|\\[|\\]|:|[ \na-z/]|\\PC){0,80}") {
            let _ = (sources(&text, "guifi"), list(&text, "guifi"));
        }
    }
}
