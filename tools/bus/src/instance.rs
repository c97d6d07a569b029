//! How instances of one name and type in one zone are told apart, for the list on a screen
//! and for DNS alike.

/// Octets of a DNS label (RFC 1035 section 2.3.4).
const LABEL_BYTES: usize = 63;

/// What a long host name leaves to NAME at the least, and what is kept of it then.
const LEAST_NAME_BYTES: usize = 20;
const CUT_HOST_BYTES: usize = 20;

/// The label under which an instance is shown: its name, or `NAME (HOST)` where several
/// owners publish that name. NAME is cut at a character so that the label fits 63 octets; a
/// HOST that would leave less than 20 octets to NAME (one of more than 40) is cut to 20 first.
#[must_use]
pub fn label(name: &str, host: &str, shared: bool) -> String {
    if !shared {
        return cut(name, LABEL_BYTES).to_owned();
    }
    let brackets = " ()".len();
    let host = if host.len() + brackets + LEAST_NAME_BYTES > LABEL_BYTES {
        cut(host, CUT_HOST_BYTES)
    } else {
        host
    };
    let room = LABEL_BYTES - brackets - host.len();
    format!("{} ({host})", cut(name, room))
}

/// The beginning of a text: as many whole characters as fit.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
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

    #[test]
    fn a_long_host_leaves_room_for_the_name() {
        let whole = "h".repeat(40);
        let shown = label("Photos of the summer", &whole, true);
        assert_eq!(shown, format!("Photos of the summer ({whole})"));
        let long = "ñ".repeat(31); // 62 octets
        assert_eq!(
            label("Photos", &long, true),
            format!("Photos ({})", "ñ".repeat(10))
        );
        let odd = format!("x{}", "ñ".repeat(31)); // no boundary at 20
        assert_eq!(
            label("Photos", &odd, true),
            format!("Photos (x{})", "ñ".repeat(9))
        );
    }

    #[test]
    fn no_label_is_too_long_nor_without_a_name() {
        for host in 0..=63 {
            for name in 1..=63 {
                let shown = label(&"n".repeat(name), &"h".repeat(host), true);
                assert!(shown.len() <= 63 && shown.starts_with('n'), "{shown}");
            }
        }
    }
}
