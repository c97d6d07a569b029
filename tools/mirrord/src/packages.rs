//! Lists of packages, `Packages`: where each package is, how large, and its sum.

use std::collections::BTreeMap;

use guifi_core::Error;

use crate::deb822::paragraphs;
use crate::path::is_plain;
use crate::release::{Listed, sum};

/// The largest list that is read, in bytes.
pub const MAX_BYTES: u64 = 64 << 20;

/// Adds the packages of a list to `all`, by their paths below the repository; not more than
/// `most` of at most `total` bytes together.
///
/// # Errors
/// [`guifi_core::Kind::Failed`] saying what is wrong with it.
pub fn add(
    all: &mut BTreeMap<String, Listed>,
    text: &str,
    most: usize,
    total: u64,
) -> Result<(), Error> {
    let wrong = |why: String| Error::failed(format!("cannot use the list of packages: {why}"));
    let mut bytes: u64 = all.values().map(|listed| listed.size).sum();
    for package in paragraphs(text) {
        let name = package.field("Package").unwrap_or("without a name");
        let path = package.field("Filename").unwrap_or_default();
        if !is_plain(path) || !path.starts_with("pool/") {
            return Err(wrong(format!("package {name} has no proper path")));
        }
        let size = package.field("Size").and_then(|size| size.parse().ok());
        let sum = package.field("SHA256").and_then(sum);
        let (Some(size), Some(sum)) = (size, sum) else {
            return Err(wrong(format!("package {name} has no size or no SHA256")));
        };
        let listed = Listed { size, sum };
        match all.insert(path.to_owned(), listed.clone()) {
            // Packages for all architectures are in the list of each.
            Some(other) if other == listed => continue,
            Some(_) => return Err(wrong(format!("{path} is listed with two contents"))),
            None => {}
        }
        bytes = bytes.saturating_add(size);
        if all.len() > most || bytes > total {
            return Err(wrong(format!("more than {most} packages or {total} bytes")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn package(path: &str, size: &str, digit: &str) -> String {
        format!(
            "Package: p\nFilename: {path}\nSize: {size}\nSHA256: {}\nDescription: x\n .\n\n",
            digit.repeat(64)
        )
    }

    fn read(text: &str) -> Result<BTreeMap<String, Listed>, Error> {
        let mut all = BTreeMap::new();
        add(&mut all, text, 3, 100).map(|()| all)
    }

    #[test]
    fn packages_are_read_once() {
        let all = read(
            &(package("pool/a.deb", "5", "a")
                + &package("pool/a.deb", "5", "a")
                + &package("pool/b.deb", "6", "b")),
        )
        .unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all["pool/b.deb"].size, 6);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        for (text, word) in [
            (package("../etc/passwd", "5", "a"), "path"),
            (package("dists/x", "5", "a"), "path"),
            (package("pool/.a", "5", "a"), "path"),
            (package("pool/a", "-5", "a"), "size"),
            (package("pool/a", "5", "g"), "SHA256"),
            (package("pool/a", "101", "a"), "100 bytes"),
            (
                package("pool/a", "5", "a") + &package("pool/a", "6", "a"),
                "two contents",
            ),
            (
                (0..4)
                    .map(|n| package(&format!("pool/{n}"), "1", "a"))
                    .collect(),
                "3 packages",
            ),
            (
                package("pool/a", "5", "a") + &package("pool/b", "18446744073709551615", "a"),
                "bytes",
            ),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn mutants_are_read_within_their_bounds_or_refused() {
        let samples = [
            package("pool/a.deb", "5", "a") + &package("pool/b.deb", "6", "b"),
            package("pool/guifi/g_1+x_all.deb", "18446744073709551615", "f"),
        ];
        guifi_testing::fuzz::texts("Packages", &samples, |text| {
            if let Ok(all) = read(text) {
                assert!(all.len() <= 3 && all.keys().all(|path| is_plain(path)));
            }
        });
    }
}
