//! How instances of one name and type in one zone are told apart, for the list on a screen
//! and for DNS alike.

/// Octets of a DNS label (RFC 1035 section 2.3.4).
const LABEL_BYTES: usize = 63;

/// The label under which an instance is shown: its name, or `NAME (HOST)` where several
/// owners publish that name. NAME is cut at a character so that the label fits 63 octets.
#[must_use]
pub fn label(name: &str, host: &str, shared: bool) -> String {
    let suffix = if shared {
        format!(" ({host})")
    } else {
        String::new()
    };
    let room = LABEL_BYTES.saturating_sub(suffix.len());
    format!("{}{suffix}", &name[..name.floor_char_boundary(room)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_name_carries_its_host_within_63_octets() {
        assert_eq!(label("Photos", "vic-01", false), "Photos");
        assert_eq!(label("Photos", "vic-01", true), "Photos (vic-01)");
        let long = "ñ".repeat(31); // 62 octets
        let shown = label(&long, "vic-01", true);
        assert!(
            shown.len() <= 63 && shown.ends_with("ñ (vic-01)"),
            "{shown}"
        );
    }
}
