//! Joining by an invitation.

use guifi_bus::RegistryAdminProxy;
use guifi_core::Error;
use serde_json::Value;

use super::Wish;

/// Whether a person has given an invitation rather than the name of a community; what exactly
/// is wrong with it, the registry says.
pub(super) fn is_invitation(text: &str) -> bool {
    let text = text.trim_start();
    let begins = text
        .get(..5)
        .is_some_and(|t| t.eq_ignore_ascii_case("guifi"))
        && text[5..].starts_with(|c: char| c.is_ascii_digit());
    // A label has at most 63 characters.
    begins && text.len() > 63
}

/// Takes community and seeds from an invitation.
pub(super) async fn read(wish: &mut Wish, admin: &RegistryAdminProxy<'_>) -> Result<(), Error> {
    let text = std::mem::take(&mut wish.community);
    if wish.create {
        return Err(Error::usage("an invitation is for a community that exists"));
    }
    let document = admin
        .read_invitation(&text)
        .await
        .map_err(|e| guifi_bus::error("cannot join", e))?;
    let read: Value = serde_json::from_str(&document).unwrap_or_default();
    wish.community = read["community"].as_str().unwrap_or_default().to_owned();
    let seeds = read["seeds"].as_array().into_iter().flatten();
    wish.seeds
        .extend(seeds.filter_map(|s| Some(s.as_str()?.to_owned())));
    wish.invitation = text;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_told_from_the_name_of_a_community() {
        let code = "a".repeat(80);
        for text in [format!("guifi1{code}"), format!(" GUIFI2{code}")] {
            assert!(is_invitation(&text), "{text}");
        }
        for text in [
            "guifi1",
            "osona",
            "",
            "gui",
            "ñuifi1",
            &code,
            &format!("guifi-{code}"),
        ] {
            assert!(!is_invitation(text), "{text}");
        }
    }
}
