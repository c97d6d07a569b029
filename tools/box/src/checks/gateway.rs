//! Whether files can be stored and survive, where guifi-gatewayd(8) is installed.

use serde_json::Value;

use super::{Part, State, number};

pub(super) const NAME: &str = "gatewayd";

pub(super) fn gateway(document: &Value) -> Part {
    let encoding = &document["encoding"];
    if let Some(error) = encoding["error"].as_str() {
        let reason = format!("files cannot be stored: {error}");
        return Part::new(NAME, State::Degraded, reason).hint(
            "apt install guifi-storaged, here or on other boxes; guifi-store grid import FILE",
        );
    }
    let servers = document["servers"].as_array();
    let servers: Vec<&Value> = servers.into_iter().flatten().collect();
    let down = servers.iter().filter(|server| server["state"] == "down");
    let (all, down) = (servers.len(), down.count());
    let there = all - down;
    let happy = usize::try_from(number(encoding, "happy")).unwrap_or(usize::MAX);
    if there < happy {
        let reason = format!(
            "files cannot be stored: {there} of {all} storage servers answer, {happy} are needed"
        );
        return Part::new(NAME, State::Degraded, reason).hint("guifi-store status");
    }
    let promise = match number(encoding, "survives") {
        0 => "nothing is redundant: a file is lost with a box that holds it".to_owned(),
        1 => "a file survives the loss of any one box".to_owned(),
        boxes => format!("a file survives the loss of any {boxes} boxes"),
    };
    let away = match down {
        0 => String::new(),
        down => format!("; {down} of {all} storage servers do not answer"),
    };
    Part::new(NAME, State::Ok, format!("{promise}{away}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(survives: u64, states: &[&str]) -> (State, String) {
        let servers: Vec<Value> = states.iter().map(|state| json!({"state": state})).collect();
        let part = gateway(&json!({
            "encoding": {"happy": 2, "survives": survives, "error": null},
            "servers": servers,
        }));
        (part.state, part.reason)
    }

    #[test]
    fn the_promise_is_told_and_too_few_servers_are() {
        let (state, reason) = said(1, &["up", "unknown", "down"]);
        assert_eq!(state, State::Ok);
        assert_eq!(
            reason,
            "a file survives the loss of any one box; 1 of 3 storage servers do not answer"
        );
        assert!(said(0, &["up", "up"]).1.starts_with("nothing is redundant"));
        let (state, reason) = said(1, &["up", "down", "down"]);
        assert_eq!(state, State::Degraded);
        assert!(reason.contains("1 of 3 storage servers answer, 2 are needed"));
        let none = gateway(&json!({"encoding": {"error": "no storage server is known"}}));
        assert_eq!(none.state, State::Degraded);
    }
}
