//! How old the data of guifi.net's portal are, where guifi-portald(8) is installed.

use serde_json::Value;

use super::{Part, State, flag, number};

pub(super) const NAME: &str = "portald";
/// Data that nobody has confirmed for so long are old.
const OLD_SECONDS: u64 = 7 * 86_400;

pub(super) fn portal(document: &Value) -> Part {
    let hint = "guifi-portal status; guifi-portal fetch; or from a file: guifi-portal import FILE";
    let all = document["sources"].as_array();
    let all: Vec<&Value> = all.into_iter().flatten().collect();
    let fetched: Vec<&&Value> = all.iter().filter(|s| flag(s, "configured")).collect();
    let of = |source: &Value| {
        let what = source["what"].as_str().unwrap_or_default();
        format!("{what}/{}", number(source, "id"))
    };
    let because = |source: &Value| match source["error"].as_str() {
        Some(error) => format!(": {error}"),
        None => String::new(),
    };
    let missing = |s: &&&&Value| s["age_seconds"].is_null() && number(s, "failures") > 0;
    if let Some(source) = fetched.iter().find(missing) {
        let reason = format!("{} was never fetched{}", of(source), because(source));
        return Part::new(NAME, State::Degraded, reason).hint(hint);
    }
    let oldest = fetched.iter().max_by_key(|s| number(s, "age_seconds"));
    if let Some(source) = oldest.filter(|s| number(s, "age_seconds") > OLD_SECONDS) {
        let days = number(source, "age_seconds") / 86_400;
        let reason = format!("{} is {days} days old{}", of(source), because(source));
        return Part::new(NAME, State::Degraded, reason).hint(hint);
    }
    let reason = match (oldest, all.iter().max_by_key(|s| number(s, "age_seconds"))) {
        (Some(source), _) => {
            let hours = number(source, "age_seconds") / 3600;
            format!("{} sources, the oldest {hours} hours old", fetched.len())
        }
        (None, Some(source)) => {
            let days = number(source, "age_seconds") / 86_400;
            format!("nothing to fetch is configured; what is kept is up to {days} days old")
        }
        (None, None) => "nothing to fetch is configured".into(),
    };
    Part::new(NAME, State::Ok, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(sources: &Value) -> (State, String) {
        let part = portal(&json!({"sources": sources}));
        (part.state, part.reason)
    }

    #[test]
    fn old_and_missing_data_are_told_and_nothing_configured_is_no_fault() {
        assert_eq!(said(&json!([])).0, State::Ok);
        let source = |configured: bool, age: Value, error: Value| {
            json!([{"what": "cnml", "id": 900, "configured": configured, "age_seconds": age,
                "failures": u8::from(!error.is_null()), "error": error}])
        };
        let (state, reason) = said(&source(true, json!(7200), Value::Null));
        assert_eq!(
            (state, reason.as_str()),
            (State::Ok, "1 sources, the oldest 2 hours old")
        );
        let (state, reason) = said(&source(true, json!(8 * 86_400), json!("timeout")));
        assert_eq!(
            (state, reason.as_str()),
            (State::Degraded, "cnml/900 is 8 days old: timeout")
        );
        let (state, reason) = said(&source(true, Value::Null, json!("no way")));
        assert_eq!(
            (state, reason.as_str()),
            (State::Degraded, "cnml/900 was never fetched: no way")
        );
        assert_eq!(
            said(&source(true, Value::Null, Value::Null)).0,
            State::Ok,
            "it has just begun"
        );
        assert_eq!(
            said(&source(true, json!(7200), json!("timeout"))).0,
            State::Ok
        );
        let (state, reason) = said(&source(false, json!(99 * 86_400), Value::Null));
        assert_eq!(state, State::Ok);
        assert!(reason.contains("up to 99 days old"), "{reason}");
        assert_eq!(portal(&Value::Null).state, State::Ok);
    }
}
