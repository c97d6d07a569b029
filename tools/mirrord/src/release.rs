//! The signed index of a suite, `dists/SUITE/Release`; Debian's wiki, "DebianRepository/Format".

use std::collections::BTreeMap;

use data_encoding::HEXLOWER_PERMISSIVE;
use guifi_core::Error;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::deb822::paragraphs;
use crate::path::is_plain;

/// The largest release file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// Files that a release may list.
const MAX_FILES: usize = 2000;

/// A SHA-256 sum.
pub type Sum = [u8; 32];

/// A file as an index lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sum: Sum,
}

/// What a release file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Release {
    /// When it was made.
    pub date: Timestamp,
    /// Until when it may be used, if it says so.
    pub valid_until: Option<Timestamp>,
    /// Whether its indices are found by their sums, too.
    pub by_hash: bool,
    /// Its files by their paths below the suite's directory.
    pub files: BTreeMap<String, Listed>,
}

impl Release {
    /// Reads the text of a release of `suite`, whose signature has been checked.
    ///
    /// # Errors
    /// [`guifi_core::Kind::Failed`] saying what is wrong with it.
    pub fn parse(text: &str, suite: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::failed(format!("cannot use the release file: {why}"));
        let head = paragraphs(text)
            .next()
            .ok_or_else(|| wrong("it is empty"))?;
        if ![head.field("Suite"), head.field("Codename")].contains(&Some(suite)) {
            return Err(wrong("it is of another suite"));
        }
        let date = head.field("Date").and_then(date);
        let date = date.ok_or_else(|| wrong("it has no date"))?;
        let valid_until = match head.field("Valid-Until") {
            Some(text) => Some(self::date(text).ok_or_else(|| wrong("Valid-Until is no date"))?),
            None => None,
        };
        let mut files = BTreeMap::new();
        for line in head.lines("SHA256") {
            let (path, listed) = listed(line).ok_or_else(|| wrong("a line of SHA256"))?;
            files.insert(path, listed);
            if files.len() > MAX_FILES {
                return Err(wrong("it lists too many files"));
            }
        }
        let by_hash = head.field("Acquire-By-Hash") == Some("yes");
        Ok(Self {
            date,
            valid_until,
            by_hash,
            files,
        })
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_past(&self, now: Timestamp) -> bool {
        self.valid_until.is_some_and(|until| until < now)
    }

    /// The uncompressed lists of packages.
    pub fn package_lists(&self) -> impl Iterator<Item = &str> {
        let names = self.files.keys().map(String::as_str);
        names.filter(|path| path.rsplit('/').next() == Some("Packages"))
    }
}

/// A date as release files write it.
fn date(text: &str) -> Option<Timestamp> {
    // The zone is UTC, which RFC 2822 has no word for.
    let text = text
        .strip_suffix("UTC")
        .map_or_else(|| text.to_owned(), |t| format!("{t}+0000"));
    DateTimeParser::new().parse_timestamp(&text).ok()
}

/// `SUM SIZE PATH`
fn listed(line: &str) -> Option<(String, Listed)> {
    let mut words = line.split_ascii_whitespace();
    let sum = sum(words.next()?)?;
    let size = words.next()?.parse().ok()?;
    let path = words.next().filter(|path| is_plain(path))?;
    words
        .next()
        .is_none()
        .then(|| (path.to_owned(), Listed { size, sum }))
}

/// A sum as hexadecimal digits.
pub(crate) fn sum(text: &str) -> Option<Sum> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(more: &str) -> String {
        let sum = "a".repeat(64);
        format!(
            "Suite: guifi\nDate: Tue, 24 Nov 2026 08:36:22 +0000\nAcquire-By-Hash: yes\n{more}SHA256:\n \
             {sum}  12 main/binary-amd64/Packages\n {sum} 5 main/binary-amd64/Packages.xz\nSHA512:\n zz 1 x\n"
        )
    }

    #[test]
    fn a_release_is_read() {
        let release = Release::parse(
            &text("Valid-Until: Thu, 24 Dec 2026 08:36:22 UTC\n"),
            "guifi",
        )
        .unwrap();
        assert_eq!(release.date.to_string(), "2026-11-24T08:36:22Z");
        assert_eq!(
            release.valid_until.unwrap().to_string(),
            "2026-12-24T08:36:22Z"
        );
        assert!(release.by_hash);
        assert_eq!(release.files["main/binary-amd64/Packages"].size, 12);
        assert_eq!(
            release.package_lists().collect::<Vec<_>>(),
            ["main/binary-amd64/Packages"]
        );
        assert!(release.is_past("2027-01-01T00:00:00Z".parse().unwrap()));
        assert!(!release.is_past("2026-12-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_not_a_release_is_refused() {
        for (text, word) in [
            (String::new(), "empty"),
            (text("").replace("guifi", "evil"), "another suite"),
            (text("").replace("Nov", "Nev"), "no date"),
            (text("Valid-Until: soon\n"), "Valid-Until"),
            (text("").replace("main/", "../"), "SHA256"),
            (text("").replace(" 12 ", " -1 "), "SHA256"),
            (text("").replace("aaaa", "aaa"), "SHA256"),
        ] {
            let error = Release::parse(&text, "guifi").unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
        let line = format!(" {} 1 f", "a".repeat(64));
        let many: String = (0..3000).map(|n| format!("{line}{n}\n")).collect();
        let text = text("").replace("SHA512:", &format!("{many}SHA512:"));
        assert!(
            Release::parse(&text, "guifi")
                .unwrap_err()
                .to_string()
                .contains("many")
        );
    }

    #[test]
    fn mutants_are_read_within_their_bounds_or_refused() {
        let samples = [
            text(""),
            text("Valid-Until: Thu, 24 Dec 2026 08:36:22 UTC\n"),
        ];
        guifi_testing::fuzz::texts("Release", &samples, |text| {
            if let Ok(release) = Release::parse(text, "guifi") {
                assert!(release.files.len() <= MAX_FILES);
                assert!(release.files.keys().all(|path| is_plain(path)));
                let _ = release.is_past(release.date);
            }
        });
    }
}
