//! Whether updates of this box wait, have failed, or do not get here: from what guifi-mirrord-apt(8)
//! says.

use serde_json::Value;

use super::{Part, State};

const NAME: &str = "updates";
/// Packages that are named; of more there is only the number.
const NAMED: usize = 5;

fn list<'a>(document: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    document[member].as_array().into_iter().flatten()
}

fn names(document: &Value, member: &str) -> Vec<String> {
    let name = |entry: &Value| entry["package"].as_str().map(str::to_owned);
    list(document, member).filter_map(name).collect()
}

/// Some of the names, and how many more there are.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

pub(super) fn updates(document: &Value) -> Part {
    let broken = names(document, "broken");
    if !broken.is_empty() {
        let reason = format!(
            "an upgrade is under way or has failed; half-way installed: {}",
            some(&broken)
        );
        return Part::new(NAME, State::Degraded, reason)
            .hint("if none is under way: dpkg --configure -a; apt -f install");
    }
    if let Some(error) = document["error"].as_str() {
        return Part::new(NAME, State::Degraded, error).hint("apt update; apt -f install");
    }
    let skipped = skipped(document);
    let pending = names(document, "pending");
    let reason = if pending.is_empty() {
        format!("none pending{skipped}")
    } else {
        format!("{} pending: {}{skipped}", pending.len(), some(&pending))
    };
    let part = Part::new(NAME, State::Ok, reason);
    if pending.is_empty() {
        part
    } else {
        part.hint("apt upgrade")
    }
}

/// The mirrors that are not to be trusted with updates, and why.
fn skipped(document: &Value) -> String {
    let word = |mirror: &Value| {
        let state = mirror["state"].as_str()?;
        let reason = mirror["reason"].as_str().unwrap_or_default();
        let name = mirror["box"].as_str().filter(|name| !name.is_empty());
        let name = name.or(mirror["url"].as_str())?;
        ["frozen", "bad"]
            .contains(&state)
            .then(|| format!("; the mirror of {name} is left out ({state}: {reason})"))
    };
    list(document, "mirrors").filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(document: &Value) -> (State, String, String) {
        let part = updates(document);
        (part.state, part.reason, part.hint.unwrap_or_default())
    }

    #[test]
    fn pending_failed_and_frozen_are_said() {
        let quiet = json!({"pending": [], "broken": [], "error": null, "mirrors": []});
        assert_eq!(
            said(&quiet),
            (State::Ok, "none pending".into(), String::new())
        );
        let with = |member: &str, value: Value| {
            let mut document = quiet.clone();
            document[member] = value;
            said(&document)
        };
        let many: Vec<Value> = (0..7)
            .map(|n| json!({"package": format!("p{n}")}))
            .collect();
        let (state, reason, hint) = with("pending", json!(many));
        assert_eq!(
            (state, reason.as_str(), hint.as_str()),
            (
                State::Ok,
                "7 pending: p0, p1, p2, p3, p4 and 2 more",
                "apt upgrade"
            )
        );
        let (state, reason, hint) = with(
            "broken",
            json!([{"package": "guifi-dnsd", "state": "half-configured"}]),
        );
        assert_eq!(state, State::Degraded);
        assert!(reason.contains("guifi-dnsd"), "{reason}");
        assert!(
            hint.contains("dpkg --configure -a; apt -f install"),
            "{hint}"
        );
        assert_eq!(with("error", json!("apt-get: no")).0, State::Degraded);
        let (state, reason, _) = with(
            "mirrors",
            json!([
                {"box": "tona-01", "url": "http://x/", "state": "frozen", "reason": "its index is old"},
                {"box": "vic-01", "url": "http://y/", "state": "ok", "reason": null},
            ]),
        );
        assert_eq!(state, State::Ok);
        assert_eq!(
            reason,
            "none pending; the mirror of tona-01 is left out (frozen: its index is old)"
        );
        assert_eq!(updates(&Value::Null).state, State::Ok);
    }
}
