//! How much space this box gives to the community and how much of it is used, where
//! guifi-storaged(8) is installed.

use serde_json::Value;

use super::{Part, State, flag, number};

pub(super) const NAME: &str = "storaged";

pub(super) fn storage(document: &Value) -> Part {
    let space = &document["space"];
    let (given, used) = (number(space, "given_bytes"), number(space, "used_bytes"));
    let words = format!("{} MiB of {} MiB used", used >> 20, given >> 20);
    let degraded = |reason: String, hint: &str| Part::new(NAME, State::Degraded, reason).hint(hint);
    if let Some(aside) = document["damaged_database"].as_str() {
        let reason =
            format!("the database was damaged and has been rebuilt; the damaged one is {aside}");
        return degraded(
            reason,
            "check the disk, then remove that file and restart guifi-storaged",
        );
    }
    let listed = document["listen"].as_array().into_iter().flatten();
    let faulty = listed.filter(|entry| entry["state"] != "listening");
    if let Some(entry) = faulty.into_iter().next() {
        let address = entry["address"].as_str().unwrap_or_default();
        let why = entry["reason"].as_str().unwrap_or("not to be had");
        return degraded(
            format!("cannot serve on {address}: {why}"),
            "journalctl -u guifi-storaged; another port: /etc/guifi/storaged.toml",
        );
    }
    let corrupt = number(&document["scrub"]["since_start"], "corrupt");
    if corrupt > 0 {
        return degraded(
            format!("{corrupt} shares were damaged and set aside; {words}"),
            "check the disk: smartctl -a /dev/DISK; journalctl -u guifi-storaged",
        );
    }
    if !flag(document, "open") {
        return Part::new(NAME, State::Ok, "serves nobody: in no community");
    }
    if given > used && number(space, "free_bytes") == 0 {
        return degraded(
            format!("takes nothing more: the disk is full, or uploads fill it; {words}"),
            "df -h /var/lib/guifi/storaged; space and reserved in /etc/guifi/storaged.toml",
        );
    }
    let shares = number(document, "shares");
    Part::new(NAME, State::Ok, format!("{shares} shares, {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn space_is_told_and_faults_first() {
        let mut document = json!({
            "open": true,
            "listen": [{"address": "[::]:7658", "state": "listening"}],
            "shares": 12,
            "space": {"given_bytes": 10_u64 << 30, "used_bytes": 3 << 20, "free_bytes": 7},
            "scrub": {"since_start": {"corrupt": 0}},
            "damaged_database": null,
        });
        let part = storage(&document);
        assert_eq!(
            (part.state, part.reason.as_str()),
            (State::Ok, "12 shares, 3 MiB of 10240 MiB used")
        );
        for (pointer, value, words) in [
            ("/space/free_bytes", json!(0), "takes nothing more"),
            (
                "/scrub/since_start/corrupt",
                json!(2),
                "2 shares were damaged",
            ),
            (
                "/listen/0/state",
                json!("taken"),
                "cannot serve on [::]:7658",
            ),
            (
                "/damaged_database",
                json!("/x/books.db.damaged-1"),
                "books.db.damaged-1",
            ),
        ] {
            if let Some(member) = document.pointer_mut(pointer) {
                *member = value;
            }
            let part = storage(&document);
            assert_eq!(part.state, State::Degraded);
            assert!(
                part.reason.contains(words) && part.hint.is_some(),
                "{}",
                part.reason
            );
        }
        let alone = storage(&json!({"open": false}));
        assert_eq!(alone.state, State::Ok);
        assert_eq!(storage(&Value::Null).state, State::Ok);
    }
}
