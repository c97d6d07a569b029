//! Names as they may stand in the domain name system.

/// The name in lower case and without the dot at its end, if it is one: labels of letters,
/// digits, hyphens and underscores.
#[must_use]
pub fn dns_name(text: &str) -> Option<String> {
    let name = text.trim().to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name.len() <= 253 && name.split('.').all(label)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::dns_name;

    #[test]
    fn names_are_lowered_and_checked() {
        assert_eq!(dns_name("WWW.Example."), Some("www.example".into()));
        assert_eq!(dns_name("ns1"), Some("ns1".into()));
        for wrong in [
            "", ".", "a..b", "-a", "a-", "a b", "é", "*", "a/b", "http://x",
        ] {
            assert_eq!(dns_name(wrong), None, "{wrong}");
        }
        assert_eq!(dns_name(&"a".repeat(64)), None);
        assert_eq!(dns_name(&["a"; 130].join(".")), None);
    }
}
