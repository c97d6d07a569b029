//! What waits on this box, and what has failed: asked of apt-get and dpkg, as anyone may.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The label of our repository, which repo/publish writes.
const LABEL: &str = "Guifi-Community-Distro:";
/// How long a question may take, in seconds.
const PATIENCE: &str = "60";

/// The members `pending`, `broken` and `error` of the document of guifi-mirrord-apt(8).
pub(crate) fn look() -> Value {
    let simulation = ask(&[
        "apt-get",
        "-q",
        "-s",
        "-o",
        "Debug::NoLocking=true",
        "-o",
        "APT::Get::Show-User-Simulation-Note=false",
        "dist-upgrade",
    ]);
    let states = ask(&[
        "dpkg-query",
        "-W",
        "-f",
        "${Package} ${db:Status-Status} ${db:Status-Eflag}\n",
    ]);
    let (pending, error) = match simulation {
        Ok(text) => (pending(&text), None),
        Err(e) => (Vec::new(), Some(e)),
    };
    json!({
        "pending": pending,
        "broken": states.as_deref().map(broken).unwrap_or_default(),
        "error": error.or(states.err()),
    })
}

fn ask(words: &[&str]) -> Result<String, String> {
    let done = Command::new("timeout")
        .arg(PATIENCE)
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {}: {e}", words[0]))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let words_of = String::from_utf8_lossy(&done.stderr);
    let first = words_of.lines().find_map(|line| line.strip_prefix("E: "));
    Err(format!(
        "{}: {}",
        words[0],
        first.unwrap_or("it has failed")
    ))
}

/// Lines `Inst NAME [OLD] (NEW LABEL:VERSION/SUITE [ARCHITECTURE])` of a simulation.
fn pending(text: &str) -> Vec<Value> {
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let (before, inside) = rest.split_once('(')?;
        let (new, from) = inside.split_once(' ')?;
        let old = before
            .trim()
            .strip_prefix('[')
            .and_then(|old| old.strip_suffix(']'));
        from.contains(LABEL)
            .then(|| json!({"package": name, "installed": old, "available": new}))
    };
    text.lines().filter_map(line).collect()
}

/// Lines `NAME STATE FLAG` of packages that are neither here nor gone.
fn broken(text: &str) -> Vec<Value> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (name, state, flag) = (words.next()?, words.next()?, words.next()?);
        let is_settled = ["installed", "config-files", "not-installed"].contains(&state);
        (!is_settled || flag != "ok").then(|| json!({"package": name, "state": state}))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_our_packages_are_pending() {
        let text = "Reading package lists...\n\
            Inst guifi-dnsd [0.1.0] (0.2.0 Guifi-Community-Distro:guifi [amd64])\n\
            Inst guifi-new (0.2.0 Guifi-Community-Distro:guifi, other [all]) []\n\
            Inst libc6 [2.36] (2.37 Debian:12/stable [amd64])\n\
            Conf guifi-dnsd (0.2.0 Guifi-Community-Distro:guifi [amd64])\n";
        assert_eq!(
            json!(pending(text)),
            json!([
                {"package": "guifi-dnsd", "installed": "0.1.0", "available": "0.2.0"},
                {"package": "guifi-new", "installed": null, "available": "0.2.0"},
            ])
        );
    }

    #[test]
    fn half_way_packages_are_broken() {
        let text = "a installed ok\nb config-files ok\nc half-configured ok\nd installed reinstreq\ne unpacked ok\n";
        let names: Vec<_> = broken(text).iter().map(|b| b["package"].clone()).collect();
        assert_eq!(json!(names), json!(["c", "d", "e"]));
    }

    proptest! {
        #[test]
        fn no_output_makes_it_panic(text in "(Inst |[a-z\\[\\]() \n]|\\PC){0,60}") {
            let _ = (pending(&text), broken(&text));
        }
    }
}
