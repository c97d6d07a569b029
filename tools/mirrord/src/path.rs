//! Which paths a repository may hold, whoever names them: an index, or a client.

/// The longest path.
const MAX_BYTES: usize = 512;

/// Whether this is a plain relative path: no empty or hidden component, so none that leads up,
/// and only characters that names of packages and indices have.
#[must_use]
pub(crate) fn is_plain(path: &str) -> bool {
    path.len() <= MAX_BYTES
        && path.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._+~:-".contains(&b))
        })
}

/// A path of a URL with its `%XX` resolved, if it is plain then.
#[must_use]
pub(crate) fn decode(url: &str) -> Option<String> {
    let bytes = url.strip_prefix('/')?.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let hex = bytes.get(at + 1..at + 3)?;
            plain.push(data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()?[0]);
            at += 3;
        } else {
            plain.push(byte);
            at += 1;
        }
    }
    String::from_utf8(plain).ok().filter(|path| is_plain(path))
}

/// A path as it is written into a URL: what APT writes, too.
#[must_use]
pub(crate) fn encode(path: &str) -> String {
    path.replace('+', "%2b").replace('~', "%7e")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_tree() {
        for path in [
            "",
            "/",
            "/../x",
            "/a//b",
            "/a/./b",
            "/.lock",
            "/a/%2e%2e/b",
            "/a%2fb/%00",
            "/a%",
            "/a%zz",
            "a/b",
            "/a b",
            "/a\\b",
        ] {
            assert_eq!(decode(path), None, "{path}");
        }
        assert_eq!(decode("/a%2fb").unwrap(), "a/b");
        assert!(!is_plain(&"a/".repeat(300)));
    }

    #[test]
    fn names_of_packages_survive() {
        let path = "pool/guifi/x/guifi-dnsd_0.1.0+local.1~2_amd64.deb";
        assert!(is_plain(path));
        assert_eq!(decode(&format!("/{}", encode(path))).unwrap(), path);
    }

    #[test]
    fn whatever_is_decoded_is_plain() {
        let samples = [
            "/pool/guifi/guifi-dnsd_0.1.0%2blocal.1%7e2_amd64.deb",
            "/dists/guifi/InRelease",
            "/a/%2e%2e/b%2f/../c",
        ];
        guifi_testing::fuzz::texts("path of a request", &samples, |url| {
            if let Some(path) = decode(url) {
                assert!(is_plain(&path));
                assert!(!path.split('/').any(|part| part == ".."));
            }
        });
    }
}
